"""The folder of a run on disk: written, followed while it is written, sealed, and read back against its seal.

What the files hold is `schema` and `manifest`; nothing here knows what is asked or decided.
"""
