"""Rates and differences of paired rates: Clopper–Pearson and Tango. All bounds are one-sided."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.interval import Interval, check_alpha

__all__ = ["PairedCounts", "clopper_pearson", "p_below", "score_z", "tango", "tango_z"]

_HALVINGS = 60
"""Bisection steps on [−1, 1]: enough to reach neighbouring floats everywhere but next to 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCounts:
    """Two systems, right or wrong, on the same cases.

    Attributes:
        better: Pairs that only the candidate got right (b).
        worse: Pairs that only the champion got right (c).
        pairs: All pairs (n).

    Raises:
        UndefinedError: If there are no pairs or the counts do not fit into them.
    """

    better: int
    worse: int
    pairs: int

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise UndefinedError("a difference of paired rates needs at least one pair")
        if min(self.better, self.worse) < 0 or self.better + self.worse > self.pairs:
            raise UndefinedError(f"{self.better} better and {self.worse} worse do not fit into {self.pairs} pairs")


def clopper_pearson(successes: int, trials: int, *, alpha: float) -> Interval:
    """Exact bounds for a proportion: the one-sided error never exceeds alpha.

    lower = Beta⁻¹(alpha; x, n − x + 1), upper = Beta⁻¹(1 − alpha; x + 1, n − x), with 0 and 1 at the ends.

    Raises:
        UndefinedError: If trials is below 1, successes do not fit, or alpha is none.

    Reference: Clopper & Pearson (1934), Biometrika 26:404-413.
    """
    _check_rate(successes, trials, alpha)
    x, n = successes, trials
    lower = 0.0 if x == 0 else float(special.special_function("betaincinv")(x, n - x + 1, alpha))
    upper = 1.0 if x == n else float(special.special_function("betainccinv")(x + 1, n - x, alpha))
    return Interval(estimate=x / n, lower=lower, upper=upper, alpha=alpha, method="Clopper–Pearson exact")


def p_below(successes: int, trials: int, *, rate: float) -> float:
    """Exact one-sided p-value against "the true rate is `rate` or more": P(X ≤ successes | rate).

    It is at most alpha exactly when the upper `clopper_pearson` bound is at most `rate`.

    Raises:
        UndefinedError: If trials is below 1, successes do not fit, or rate is not in [0, 1].
    """
    _check_rate(successes, trials, 0.05)
    if not 0.0 <= rate <= 1.0:
        raise UndefinedError(f"rate is {rate}, but must lie in [0, 1]")
    return float(special.bdtr(successes, trials, rate))


def tango_z(counts: PairedCounts, *, delta0: float) -> float:
    """Score statistic for "rate of the candidate − rate of the champion = delta0"; falls as delta0 grows.

    z = (b − c − n·δ0) / √(n·(2q + δ0(1 − δ0))), q = (√(B² − 8nC) − B) / 4n,
    B = −b − c + (2n − b + c)·δ0, C = −c·δ0(1 − δ0); q estimates P(only the champion is right) under δ0.

    Where nothing differs and δ0 = 0 the quotient is 0/0 and its limit, 0, is returned.

    Raises:
        UndefinedError: If delta0 is not strictly between −1 and 1.

    Reference: Tango (1998), Statistics in Medicine 17:891-908. At δ0 = 0 it is McNemar's (b − c)/√(b + c).
    """
    if not -1.0 < delta0 < 1.0:
        raise UndefinedError(f"delta0 is {delta0}, but must lie between −1 and 1, both excluded")
    return score_z(counts.better, counts.worse, counts.pairs, delta0)


def tango(counts: PairedCounts, *, alpha: float) -> Interval:
    """Score bounds for the difference of two paired rates (candidate − champion).

    The bounds are the δ0 at which `tango_z` is z_α and −z_α; bisection ends on the outer, conservative, side.
    With no discordant pair they are ±z²/(n + z²).

    Raises:
        UndefinedError: If alpha is none.

    Reference: Tango (1998), Statistics in Medicine 17:891-908.
    """
    check_alpha(alpha)
    z = float(special.ndtri(1.0 - alpha))
    mirrored = PairedCounts(better=counts.worse, worse=counts.better, pairs=counts.pairs)
    estimate = (counts.better - counts.worse) / counts.pairs
    return Interval(
        estimate=estimate,
        lower=_tango_lower(counts, estimate, z),
        upper=-_tango_lower(mirrored, -estimate, z),
        alpha=alpha,
        method="Tango score interval for paired proportions",
        p_negative=float(special.ndtr(tango_z(counts, delta0=0.0))),
    )


def _tango_lower(counts: PairedCounts, estimate: float, z: float) -> float:
    if counts.worse == counts.pairs:
        return -1.0
    low, high = -1.0, estimate
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        if not low < middle < high:
            break
        if tango_z(counts, delta0=middle) > z:
            low = middle
        else:
            high = middle
    return low


def score_z(b: int, c: int, n: int, delta0: float) -> float:
    """`tango_z` of numbers that are known to fit."""
    if delta0 < 0.0:
        # Swapping the roles keeps the square root's argument free of cancellation.
        return -score_z(c, b, n, -delta0)
    numerator = b - c - n * delta0
    if delta0 == 0.0:
        return numerator / math.sqrt(b + c) if b + c else 0.0
    spread = delta0 * (1.0 - delta0)
    big_b = -b - c + (2 * n - b + c) * delta0
    root = math.sqrt(big_b * big_b + 8.0 * n * c * spread)
    # The same root of the quadratic, written so that a positive B does not cancel.
    q = 2.0 * c * spread / (root + big_b) if big_b > 0.0 else (root - big_b) / (4.0 * n)
    return numerator / math.sqrt(n * (2.0 * q + spread))


def _check_rate(successes: int, trials: int, alpha: float) -> None:
    check_alpha(alpha)
    if trials < 1:
        raise UndefinedError("a rate needs at least one case")
    if not 0 <= successes <= trials:
        raise UndefinedError(f"{successes} successes do not fit into {trials} trials")
