"""Several candidates against one champion: bounds that keep one error rate over all of them, stepped down.

K statistics Z_i, each standard normal where candidate i is exactly as bad as the margin, share the champion's answers
and the cases, so that they correlate. The largest of them is put to the bound c_K with P(max Z_i ≥ c_K) = α; where it
is reached, the others are put to c_{K−1}, and so on (Dunnett & Tamhane 1991). Whichever candidates are bad, and however
many, one of them passes with probability α at most.

With a common correlation ρ ≥ 0, Z_i = √ρ·X + √(1 − ρ)·Y_i with one factor X, so that

    P(max Z_i ≤ c) = ∫ φ(x) · Φ((c − √ρ·x)/√(1 − ρ))^K dx.

At the lowest of correlations that differ the bound holds exactly (Slepian's inequality); at their mean it did in all
simulations (see `gate.calibration.rounds`). Where nothing is known of them, or they are negative, α/K is the bound
(Bonferroni), and the steps are Holm's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import optimize, special

from llmgate.errors import UndefinedError
from llmgate.stats.interval import check_alpha

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_CORRELATION", "dunnett_bound", "largest_tail", "step_alpha", "step_down"]

MOST_CORRELATION: Final = 0.96
"""The higher ρ is taken, the lower the bound; an estimate near 1 is not believed."""
_NODES: Final = 2_001
_REACH: Final = 9.0


def largest_tail(z: float, number: int, *, correlation: float) -> float:
    """P(the largest of so many standard normal numbers is at least z).

    Args:
        z: Finite.
        number: K, at least 1.
        correlation: ρ of every two of them, in [0, 1).

    Raises:
        UndefinedError: If an argument is outside its range.

    Reference: Dunnett (1955), JASA 50:1096-1121, in its normal limit. A trapezoid sum, good to 1e-12 up to ρ = 0.96.
    """
    if number < 1 or not 0.0 <= correlation < 1.0 or not math.isfinite(z):
        raise UndefinedError(f"{number} statistics with a correlation of {correlation} have no largest one at {z}")
    x = np.linspace(-_REACH, _REACH, _NODES)
    weights = np.exp(-0.5 * x * x)
    below = special.log_ndtr((z - math.sqrt(correlation) * x) / math.sqrt(1.0 - correlation))
    return float(np.sum(weights * -np.expm1(number * below)) / np.sum(weights))


def dunnett_bound(number: int, *, correlation: float, alpha: float) -> float:
    """The c with P(max of so many Z_i ≥ c) = α.

    Args:
        number: K, at least 1.
        correlation: ρ, at least 0; taken as 0.96 at most.
        alpha: One-sided error rate over all of them.

    Raises:
        UndefinedError: If an argument is outside its range.
    """
    check_alpha(alpha)
    if number < 1 or not 0.0 <= correlation <= 1.0:
        raise UndefinedError(f"{number} statistics with a correlation of {correlation} have no bound")
    return _bound(number, min(correlation, MOST_CORRELATION), alpha)


@lru_cache(maxsize=1024)
def _bound(number: int, correlation: float, alpha: float) -> float:
    single, bonferroni = (-float(special.ndtri(tail)) for tail in (alpha, alpha / number))
    if number == 1:
        return single
    # Rounding decides the sign at the ends.
    low, high = single - 1e-6, bonferroni + 1e-6
    return float(optimize.brentq(lambda z: largest_tail(z, number, correlation=correlation) - alpha, low, high))


def step_alpha(remaining: int, *, correlation: float | None, alpha: float) -> float:
    """The one-sided α at which each of the candidates that are left is to be tested on its own, with any interval.

    Args:
        remaining: How many are left, at least 1.
        correlation: ρ; None where nothing is known of it.
        alpha: Over all candidates.

    Raises:
        UndefinedError: If an argument is outside its range.
    """
    check_alpha(alpha)
    if remaining < 1:
        raise UndefinedError(f"{remaining} candidates are none")
    if correlation is None:
        return alpha / remaining
    return float(special.ndtr(-dunnett_bound(remaining, correlation=correlation, alpha=alpha)))


def step_down(p: Sequence[float], *, correlation: float | None, alpha: float) -> tuple[bool, ...]:
    """Which candidates pass, from the one-sided p-values of "worse by the margin".

    Args:
        p: One per candidate.
        correlation: ρ; None where nothing is known of it.
        alpha: Over all candidates.

    Raises:
        UndefinedError: If a p-value is none or alpha is outside its range.

    Reference: Dunnett & Tamhane (1991), Statistics in Medicine 10:939-947; Holm (1979) without a correlation.
    """
    if not all(0.0 <= value <= 1.0 for value in p):
        raise UndefinedError(f"{list(p)} are no p-values")
    passed = [False] * len(p)
    while not all(passed):
        level = step_alpha(passed.count(False), correlation=correlation, alpha=alpha)
        now = [i for i, value in enumerate(p) if not passed[i] and value <= level]
        if not now:
            break
        for i in now:
            passed[i] = True
    return tuple(passed)
