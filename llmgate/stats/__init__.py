"""The gate's statistics: pure functions with sources and oracles."""
