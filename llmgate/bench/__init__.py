"""Serving throughput: what is sent and when, the client that sends it, and what is watched meanwhile."""
