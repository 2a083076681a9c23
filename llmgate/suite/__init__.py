"""Suites, datasets and cases: what is asked, versioned and digested."""
