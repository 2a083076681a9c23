"""Serving: raw timings, and how figures of them are gated."""
