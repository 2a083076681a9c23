"""Serving throughput: plans, load, and whether the measurement may be believed."""
