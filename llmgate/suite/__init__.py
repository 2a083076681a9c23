"""Suites: what is asked and what is checked, versioned and digested, before any model is asked.

`spec` reads a suite file, `cases` makes its cases; asking and scoring live above this room.
"""
