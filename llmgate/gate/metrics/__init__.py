"""One metric: tested, corrected by labels, barred by its judges, adjusted, and decided, in words too.

Every error rate of a verdict is made here; what all metrics together mean is `gate.decide`.
"""
