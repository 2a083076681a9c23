"""Decide and publish: records or result files → decision → files, registry, CI output.

Nothing here asks a model: every decision can be taken again from what is on disk.
"""
