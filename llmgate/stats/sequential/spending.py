"""Trying again with more of the same evidence: bounds that keep one error rate over however many attempts.

Attempt k is judged by all evidence up to it, of information t_k, and takes its own share of the error rate, which is
fixed beforehand. Unlike looks, attempts are not planned: nobody knows how many there will be, nor what they will tell.
With shares that add up to 1 at most, alpha holds over all of them, whoever stops, at whichever attempt, for whatever
reason.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from scipy import optimize, special

from llmgate.errors import UndefinedError
from llmgate.stats.sequential.motion import START

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.stats.sequential.motion import Survivors

__all__ = ["MOST_SOLVED", "repeated_alpha", "spending_bounds"]

MOST_SOLVED: Final = 16
"""Attempts beyond are put to the bound of their own share alone, which needs no integral and is never lower."""
_FINEST: Final = 1e-13
"""Shares of probability below are no more than what the quadrature rounds; they are put to their own bound too."""
_LEAST_STEP: Final = 1e-9
"""Information that differs by less than this share is the same."""
_HIGHEST: Final = 37.0
"""The tail beyond is too small to be a floating point number."""
_MOST_ALPHA: Final = 0.999
"""P-values above are 1."""


def spending_bounds(
    information: Sequence[float], alphas: Sequence[float], *, looked: bool = False
) -> tuple[float, ...]:
    """z_k with P(Z_j < z_j at every earlier attempt, and Z_k ≥ z_k) = α_k, where nothing is to be found.

    An attempt with the information of the one before has nothing new to tell: its statistic is the same, and so is its
    bound, and it spends nothing. Where information falls the bound is infinite, as it is where nothing may be spent.

    Args:
        information: t_1, t_2, …, above 0, on any scale. Z_j and Z_k correlate by √(t_j/t_k).
        alphas: What each attempt spends, in [0, 1), together at most 1.
        looked: The first attempt could stop early, at bounds that keep α_1 over its looks. Its last bound is then
            higher than one look's, but never above the one that a motion crosses with probability α_1 if it is
            watched all the time, and that is taken for it; crossings at its earlier looks are not subtracted.

    Returns:
        As many bounds, on the scale of a standard normal: a one-sided test at attempt k on its own is to be taken at
        α = 1 − Φ(z_k), with any interval.

    Raises:
        UndefinedError: If numbers are outside their range, or there are not as many of both.

    Reference: Lan & DeMets (1983), Biometrika 70:659-663; Jennison & Turnbull (2000), section 7.2.
    """
    times, spent = tuple(float(t) for t in information), tuple(float(a) for a in alphas)
    if len(times) != len(spent) or not all(math.isfinite(t) and t > 0.0 for t in times):
        raise UndefinedError(f"information {list(times)} for {len(spent)} attempts: one number each, above 0")
    if not all(0.0 <= a < 1.0 for a in spent) or math.fsum(spent) > 1.0 + 1e-12:
        raise UndefinedError(f"attempts that spend {list(spent)} spend no error rate")
    return _spending_bounds(times, spent, looked)


@lru_cache(maxsize=4096)
def _spending_bounds(times: tuple[float, ...], spent: tuple[float, ...], looked: bool) -> tuple[float, ...]:
    bounds: list[float] = []
    left, last, solved = START, (0.0, 0.0), 0
    for k, (time, alpha) in enumerate(zip(times, spent, strict=True)):
        step = time / last[0] - 1.0 if solved else 1.0
        if step <= _LEAST_STEP or alpha == 0.0:
            bounds.append(last[1] if abs(step) <= _LEAST_STEP else math.inf)
            continue
        z = min(-float(special.ndtri(alpha)), _HIGHEST)
        if solved < MOST_SOLVED:
            if solved:
                left = left.after(last[1], last[0], following=time)
            if looked and k == 0:
                # The reflection principle.
                z = min(-float(special.ndtri(alpha / 2.0)), _HIGHEST)
            elif solved and alpha >= _FINEST:
                z = _solved(left, alpha, time, highest=z)
            last, solved = (time, z), solved + 1
        bounds.append(z)
    return tuple(bounds)


def _solved(left: Survivors, alpha: float, time: float, *, highest: float) -> float:
    """The z that as many leave at as alpha says; where too few are left for that, the lowest there is."""
    lowest = highest - 1.0
    while left.leave(lowest, time) < alpha:
        if lowest < -_HIGHEST:
            return lowest
        lowest -= 2.0
    return float(optimize.brentq(lambda z: left.leave(z, time) - alpha, lowest, highest, xtol=1e-10))


def repeated_alpha(information: Sequence[float], shares: Sequence[float], *, p: float, looked: bool = False) -> float:
    """A p-value that holds over all attempts: the smallest alpha at whose bounds the last attempt would have rejected.

    Where nothing is to be found it falls below any alpha, at any of the attempts, with a probability of alpha at most:
    z_k falls as alpha rises, so that the attempt rejects at alpha exactly if its p-value is not above alpha. The least
    of the p-values of all attempts is a valid p-value too, and Holm's procedure never rejects less for smaller ones.
    So p-values of several metrics, adjusted by Holm at every attempt, keep the family-wise error over all attempts.

    Args:
        information: t_1 to t_k; empty where nothing is known of how attempts depend on each other, so that each is
            put to the bound of its own share.
        shares: What attempts 1 to k take of alpha, as `attempt_shares`.
        p: One-sided p-value of the test of attempt k on its own.
        looked: As for `spending_bounds`.

    Returns:
        In [0, 1]; 1 where the attempt has nothing new to tell, or may spend nothing.

    Raises:
        UndefinedError: As `spending_bounds`, or if p is no probability.

    Reference: Jennison & Turnbull (2000), section 9.2 (repeated p-values); Holm (1979), Scandinavian Journal of
    Statistics 6:65-70.
    """
    if not 0.0 <= p <= 1.0 or not shares:
        raise UndefinedError(f"{p} is no p-value of an attempt")
    # No credit for what earlier attempts would have ended.
    highest = min(1.0, p / shares[-1]) if shares[-1] > 0.0 else 1.0
    if not information or not 0.0 < p < 1.0 or (len(shares) == 1 and not looked):
        return highest
    z = -float(special.ndtri(p))

    def spare(alpha: float) -> float:
        return z - spending_bounds(information, [share * alpha for share in shares], looked=looked)[-1]

    top = min(highest, _MOST_ALPHA)
    # What rejects has been crossed by then, which has a probability of at most what was spent.
    bottom = min(p / math.fsum(shares), top) * (1.0 - 1e-9)
    if spare(top) <= 0.0:
        return highest if top == highest and math.isfinite(spare(top)) else 1.0
    if spare(bottom) >= 0.0:
        return bottom
    root = optimize.brentq(lambda log: spare(math.exp(log)), math.log(bottom), math.log(top), xtol=1e-7)
    return min(highest, math.exp(float(root)))
