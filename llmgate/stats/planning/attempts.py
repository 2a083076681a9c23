"""Trying again, planned: how often one of several attempts passes, whose answers count together."""

from __future__ import annotations

import math

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.interval import check_alpha
from llmgate.stats.sequential.motion import exits
from llmgate.stats.sequential.shares import attempt_shares
from llmgate.stats.sequential.spending import spending_bounds

__all__ = ["SHARED_CHAMPION", "pass_by_attempt"]

SHARED_CHAMPION = 0.5
"""r of an unchanged model: each attempt draws its own answers, and all are compared with the champion's same ones."""


def pass_by_attempt(first: float, *, attempts: int, reserve: float, alpha: float, correlation: float) -> float:
    """P(PASS at one of the attempts), where the first passes with a known probability.

    Z_k ~ N(θ·√t_k, 1), correlated by √(t_j/t_k), with t_k = 1/(r + (1 − r)/k) and θ from the first attempt; attempt k
    passes at the bound that spends its share of alpha. Explored by simulation at n = 688 and r = 0.5 (4,000 and more
    repetitions): 87.0 % at the first become 93.1 % by the third, 48.5 % become 55.6 %.

    Args:
        first: P(PASS) of the first attempt, at its share of alpha, in [0, 1].
        attempts: How many, at least 1.
        reserve: Share of alpha that is kept for attempts after the first.
        alpha: One-sided error rate over all.
        correlation: r, the share of the variance of a case's difference that asking again does not average out.

    Raises:
        UndefinedError: If an argument is outside its range.
    """
    check_alpha(alpha)
    if not (0.0 <= first <= 1.0 and 0.0 <= correlation < 1.0):
        raise UndefinedError(f"no attempt passes with {first}, and none correlate by {correlation}")
    shares = attempt_shares(attempts, reserve=reserve)
    if not 0.0 < first < 1.0 or reserve == 0.0:
        return first
    times = [1.0 / (correlation + (1.0 - correlation) / k) for k in range(1, attempts + 1)]
    bounds = np.array(spending_bounds(times, [share * alpha for share in shares]))
    drift = float(bounds[0]) + float(special.ndtri(first))
    return min(1.0, math.fsum(exits(times, bounds - drift * np.sqrt(times))))
