"""JSON as data: paths into documents, and what is read, searched and compared there.

Nothing here asks a model or knows a suite's file format.
"""
