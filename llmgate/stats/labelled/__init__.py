"""Means that people's labels on part of the cases pin down: bounds that hold with few labels, and by strata."""
