"""How close a call was: the distance between what is proven and its limit, in a measure that fits all that gates.

Scores are compared with each other in points. Points of accuracy and per cent of throughput have no common unit, so
where both gate, a distance is told as a share of the loss that is accepted: 0.2 is a fifth of it left. A limit on
scores accepts what lies between it and a perfect score, a limit of serving the limit itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.gate.metrics.length import length_limits
from llmgate.gate.metrics.metric import ServingTest
from llmgate.gate.metrics.serving_scale import lost_margin
from llmgate.record.output_features import OutputFeature

if TYPE_CHECKING:
    from llmgate.gate.metrics.metric import HypothesisTest, MetricTest

__all__ = ["excess_of", "room_of"]


def room_of(test: MetricTest | ServingTest, hypothesis: HypothesisTest, *, shares: bool) -> float:
    """How far what is proven is from its limit; below 0 where it does not reach it.

    Args:
        test: The metric.
        hypothesis: One of its hypotheses.
        shares: Whether as a share of what is accepted; else as a fraction of scores, of lengths of the champion's.
    """
    interval = hypothesis.interval
    if not isinstance(test, ServingTest) and test.policy.trait is OutputFeature.LENGTH:
        shortest, longest = length_limits(test.margin or 0.0)
        below, above = math.expm1(interval.lower) - shortest, longest - math.expm1(interval.upper)
        return min(below / -shortest, above / longest) if shares and longest else min(below, above)
    return _beyond(test, hypothesis, interval.lower, shares=shares)


def excess_of(test: MetricTest | ServingTest, hypothesis: HypothesisTest, *, shares: bool) -> float:
    """How much more than is accepted was lost, by the estimate; as `room_of` otherwise."""
    estimate = hypothesis.interval.estimate
    if not isinstance(test, ServingTest) and test.policy.trait is OutputFeature.LENGTH:
        allowed = math.log1p(test.margin or 0.0)
        return (abs(estimate) - allowed) / allowed if shares and allowed else abs(estimate) - allowed
    return -_beyond(test, hypothesis, estimate, shares=shares)


def _beyond(test: MetricTest | ServingTest, hypothesis: HypothesisTest, value: float, *, shares: bool) -> float:
    if isinstance(test, ServingTest):
        if hypothesis is not test.comparison:
            return -math.expm1(-value)
        return (value + lost_margin(test.policy)) / lost_margin(test.policy)
    if hypothesis is test.comparison:
        margin = test.margin or 0.0
        return (value + margin) / margin if shares and margin else value + margin
    floor = test.policy.floor or 0.0
    return (value - floor) / (1.0 - floor) if shares and floor < 1.0 else value - floor
