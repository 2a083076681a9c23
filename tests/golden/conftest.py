"""The suites in `formats/` are read by tests, not run as tests."""

collect_ignore = ["formats"]
