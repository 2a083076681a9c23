"""Who judges, what judges said on trial, and what admitted them: types and their files.

No judge is asked here, and whether one may gate is decided in `gate`.
"""
