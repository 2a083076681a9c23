"""Trying again: answers of all attempts count together, and each attempt takes its share of the error rate."""
