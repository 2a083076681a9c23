"""Suites in code under pytest: `collect` plans them, `case` is what a test holds, `conduct` keeps what it found.

Imported when the first test of such a suite is met.
"""
