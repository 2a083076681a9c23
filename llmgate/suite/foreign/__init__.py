"""Suites of other tools, read into ours: files in, suites and notes out. What cannot be carried over is named."""
