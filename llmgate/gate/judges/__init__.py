"""May this judge gate? Admission by agreement with people, drift by frozen anchors, and whose answers it preferred.

Knows judges, not metrics; what follows for a metric is `gate.metrics.judge_bars`.
"""
