"""Decide and publish: records or result files → decision → files, registry, CI output. Starts no model."""
