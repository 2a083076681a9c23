"""Ratios of serving figures on the scale of logarithms, turned so that more is better; and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.record.policy import Direction

if TYPE_CHECKING:
    from llmgate.record.serving.policy import ServingPolicy

__all__ = ["lost_margin", "relative_change", "sign_of"]


def sign_of(policy: ServingPolicy) -> int:
    """What turns logarithms so that more is better: −1 for latencies."""
    return -1 if policy.direction is Direction.LOWER else 1


def lost_margin(policy: ServingPolicy) -> float:
    """The margin as a distance of logarithms, above 0; infinite without one.

    A ratio of 1 − margin where more is better, and of 1 + margin where less is.
    """
    if policy.margin is None:
        return math.inf
    return math.log1p(policy.margin) if policy.direction is Direction.LOWER else -math.log1p(-policy.margin)


def relative_change(policy: ServingPolicy, turned: float) -> float:
    """A turned logarithm of a ratio as a relative change, more than 0 being better: −0.04 is 4 % more latency."""
    sign = sign_of(policy)
    return sign * math.expm1(sign * turned)
