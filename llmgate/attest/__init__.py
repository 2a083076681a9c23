"""The verdict as a signed document: keys, envelope, statement, and what a registry believes of it.

Light on purpose: a database server loads this. Nothing of the measuring or deciding rooms is imported.
"""
