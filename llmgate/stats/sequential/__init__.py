"""Tests that are taken more than once: bounds that keep one error rate over all of them."""
