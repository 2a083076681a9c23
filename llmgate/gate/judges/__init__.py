"""May this judge gate? Admission by agreement with people, and drift by frozen anchors.

Knows judges, not metrics; what follows for a metric is `gate.metrics.judge_bars`.
"""
