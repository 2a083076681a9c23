"""Suites whose cases are pytest tests: declared in Python, with the rows, metrics and gates of a suite file.

`definition` is what people write, `source` reads what their code checks, `plan` makes a planned suite of both.
"""
