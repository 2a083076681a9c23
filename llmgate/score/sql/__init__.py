"""SQL in answers: is it SQL of a dialect, and does it touch only the tables and columns that it may?

Nothing here runs SQL, and no other module than these imports sqlglot, which is slow to import.
"""
