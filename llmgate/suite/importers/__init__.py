"""Suites of other tools, read into ours. Each importer says what it could not carry over."""
