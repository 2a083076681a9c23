"""Suites of other tools, read into ours. Each importer says what it could not carry over.

What is read here is data: no code of a suite is run, and nothing is fetched.
"""
