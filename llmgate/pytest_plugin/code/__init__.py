"""Suites in code under pytest: `collect` plans them, `conduct` runs their tests and keeps what they found.

Imported when the first test of such a suite is met.
"""
