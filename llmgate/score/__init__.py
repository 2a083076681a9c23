"""A generation becomes scores: checks and judges."""
