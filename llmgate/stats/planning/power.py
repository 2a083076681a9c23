"""How often a gate passes what should pass, and what should not: before the run, and beside every verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.interval import check_alpha
from llmgate.stats.proportion import score_z
from llmgate.stats.unseen import unseen_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Chances",
    "required_pairs",
    "t_chances",
    "t_pass_chance",
    "tango_chances",
    "tango_required_pairs",
]

_TAIL_SDS = 9.0
"""Counts further than this from their mean are left out of exact sums; what they weigh is below 1e-15."""
_NODES = 1_601
"""Of the trapezoid sum over a standard error; 8 times as many move no chance by 1e-6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """Probabilities of the outcomes of one gate, given the truth."""

    passed: float
    failed: float

    @property
    def inconclusive(self) -> float:
        """What is left."""
        return max(0.0, 1.0 - self.passed - self.failed)


def tango_chances(
    *, delta: float, discordance: float, pairs: int, margin: float, alpha: float, fail_alpha: float | None = None
) -> Chances:
    """P(PASS) and P(FAIL) of the Tango rule, by summing over all results that can happen.

    b and c are multinomial with p_b = (ψ + δ)/2 and p_c = (ψ − δ)/2. PASS is z(−margin) > z_α; FAIL is not PASS and
    z(0) < −z_α. z falls as c grows, so for every b both are thresholds on c and the inner sum is a binomial tail.

    Args:
        delta: True difference, candidate − champion.
        discordance: ψ, the share of pairs in which the two differ; at least |delta|.
        pairs: n.
        margin: Non-inferiority margin, in (0, 1).
        alpha: One-sided error rate.
        fail_alpha: What a FAIL needs where p-values are adjusted for several tests: alpha over their number, the
            first step of Holm. None for alpha.

    Raises:
        UndefinedError: If an argument is outside its range or |delta| exceeds the discordance.

    Reference: Tango (1998), Statistics in Medicine 17:891-908, for the rule. Exact but for tails below 1e-15.
    """
    _check_rule(margin, alpha)
    if pairs < 1 or not (0.0 <= discordance <= 1.0 and abs(delta) <= discordance):
        raise UndefinedError(f"no {pairs} pairs can have a difference of {delta} at a discordance of {discordance}")
    p_b = (discordance + delta) / 2.0
    p_c = min(1.0, (discordance - delta) / 2.0 / (1.0 - p_b)) if p_b < 1.0 else 0.0
    z_alpha = float(special.ndtri(1.0 - alpha))
    z_fail = float(special.ndtri(1.0 - _fail_alpha(alpha, fail_alpha)))
    counts = _likely(pairs, p_b)
    most_pass = _thresholds(counts, pairs, delta0=-margin, z=z_alpha)
    most_not_worse = _thresholds(counts, pairs, delta0=0.0, z=-z_fail, inclusive=True)
    passed, failed = [], []
    up_to_pass = _binomial_cdfs(most_pass, counts, pairs, p_c)
    up_to_not_worse = _binomial_cdfs(most_not_worse, counts, pairs, p_c)
    for b, passing, not_worse in zip(counts, up_to_pass, up_to_not_worse, strict=True):
        weight = _binomial_pmf(b, pairs, p_b)
        passed.append(weight * passing)
        failed.append(weight * (1.0 - max(passing, not_worse)))
    return Chances(passed=min(1.0, math.fsum(passed)), failed=min(1.0, math.fsum(failed)))


def t_chances(
    *,
    delta: float,
    standard_error: float,
    df: int,
    margin: float,
    alpha: float,
    pairs: int | None,
    fail_alpha: float | None = None,
) -> Chances:
    """P(PASS) and P(FAIL) of a t rule, whose bounds may be widened for what stayed unseen.

    x̄ ~ N(δ, SE²) and, independent of it, s² ~ SE²·χ²_df/df. With u = `unseen_share(pairs)`, PASS is
    x̄ − t·s > −margin and (1 − u)·x̄ − u > −margin; FAIL is not PASS and x̄ + t·s < 0 and (1 − u)·x̄ + u < 0. Given s
    both are limits on x̄, so each chance is one integral over s, a trapezoid sum over log s.

    Args:
        delta: True difference.
        standard_error: True standard error of the mean difference; 0 where no spread was seen.
        df: n − 1, or G − 1 with clusters.
        margin: Non-inferiority margin, above 0.
        alpha: One-sided error rate.
        pairs: n, for the unseen share; None for a rule that is not widened, such as one on log ratios of throughput.
        fail_alpha: As for `tango_chances`.

    Raises:
        UndefinedError: If an argument is outside its range.

    Reference: Julious (2004), Statistics in Medicine 23:1921-1986, section 4, where P(PASS) is a noncentral t.
    """
    check_alpha(alpha)
    if not (math.isfinite(margin) and margin > 0.0 and (pairs is None or margin < 1.0)):
        raise UndefinedError(f"margin is {margin}, which is none")
    if not (math.isfinite(delta) and math.isfinite(standard_error) and standard_error >= 0.0 and df >= 1):
        raise UndefinedError(f"no t rule has a standard error of {standard_error} on {df} degrees of freedom")
    failing = _fail_alpha(alpha, fail_alpha)
    least, most = -math.inf, math.inf
    if pairs is not None:
        u, u_fail = unseen_share(pairs, alpha=alpha), unseen_share(pairs, alpha=failing)
        least, most = (u - margin) / (1.0 - u), -u_fail / (1.0 - u_fail)
    if standard_error == 0.0:
        passes = delta > max(least, -margin)
        return Chances(passed=float(passes), failed=float(not passes and delta < min(most, 0.0)))
    spread, weights = _chi_nodes(df)
    s = standard_error * spread
    passing = np.maximum(float(special.stdtrit(df, 1.0 - alpha)) * s - margin, least)
    losing = np.minimum(-float(special.stdtrit(df, 1.0 - failing)) * s, most)
    passed = float(np.sum(weights * special.ndtr_each((delta - passing) / standard_error)))
    failed = float(np.sum(weights * special.ndtr_each((np.minimum(losing, passing) - delta) / standard_error)))
    return Chances(passed=min(1.0, passed), failed=min(1.0, failed))


def t_pass_chance(*, delta: float, standard_error: float, df: int, pairs: int, margin: float, alpha: float) -> float:
    """P(PASS) of a t rule whose bounds are widened for what stayed unseen: see `t_chances`."""
    return t_chances(delta=delta, standard_error=standard_error, df=df, margin=margin, alpha=alpha, pairs=pairs).passed


def required_pairs(*, variance: float, margin: float, alpha: float, power: float = 0.8) -> int:
    """Pairs needed so that an unchanged candidate passes with probability `power`: (z_α + z_β)²·variance/margin².

    Args:
        variance: Of one pair's difference; for right-or-wrong scores that is the discordance.
        margin: Non-inferiority margin, in (0, 1).
        alpha: One-sided error rate.
        power: In (0, 1).

    Raises:
        UndefinedError: If an argument is outside its range or no difference varies.

    Reference: Miller (2024), arXiv 2411.00640, section 5. Normal approximation; `tango_chances` gives the exact power.
    """
    _check_rule(margin, alpha)
    if not (math.isfinite(variance) and variance > 0.0 and 0.0 < power < 1.0):
        raise UndefinedError(f"no sample size exists for a variance of {variance} and a power of {power}")
    z = float(special.ndtri(1.0 - alpha)) + float(special.ndtri(power))
    return max(1, math.ceil(z * z * variance / (margin * margin)))


def tango_required_pairs(*, discordance: float, margin: float, alpha: float, power: float = 0.8) -> int:
    """Pairs at which the Tango rule passes an unchanged candidate with probability `power`, by the exact sum.

    The exact power rises with n in small saw teeth; this is the n that bisection finds at `power`, so a few pairs less
    may also do. `required_pairs` comes out lower: at a margin of 0.03 and a discordance of 0.05 its 344 pairs give
    75.6 %, not 80 %.

    Raises:
        UndefinedError: As `required_pairs`.
    """
    low = 0
    high = required_pairs(variance=discordance, margin=margin, alpha=alpha, power=power)

    def enough(pairs: int) -> bool:
        chances = tango_chances(delta=0.0, discordance=discordance, pairs=pairs, margin=margin, alpha=alpha)
        return chances.passed >= power

    while not enough(high):
        low, high = high, high + max(1, high // 4)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _check_rule(margin: float, alpha: float) -> None:
    check_alpha(alpha)
    if not 0.0 < margin < 1.0:
        raise UndefinedError(f"margin is {margin}, but must lie between 0 and 1, both excluded")


def _likely(n: int, p: float) -> range:
    reach = _TAIL_SDS * math.sqrt(n * p * (1.0 - p)) + _TAIL_SDS**2
    return range(max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach)) + 1)


def _thresholds(counts: range, pairs: int, *, delta0: float, z: float, inclusive: bool = False) -> list[int]:
    """For each b the largest c with tango_z > z (or ≥ z), −1 if there is none; it cannot fall as b grows."""

    def holds(b: int, c: int) -> bool:
        value = score_z(b, c, pairs, delta0)
        return value >= z if inclusive else value > z

    low, high = -1, pairs - counts.start
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(counts.start, middle) else (low, middle - 1)
    thresholds = []
    for b in counts:
        while low < pairs - b and holds(b, low + 1):
            low += 1
        low = min(low, pairs - b)
        thresholds.append(low)
    return thresholds


def _binomial_pmf(k: int, n: int, p: float) -> float:
    log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    if 0.0 < p < 1.0:
        return math.exp(log_choose + k * math.log(p) + (n - k) * math.log1p(-p))
    return math.exp(log_choose + special.xlogy(k, p) + special.xlog1py(n - k, -p))


def _binomial_cdfs(limits: Sequence[int], counts: range, pairs: int, p: float) -> list[float]:
    """For each b P(C ≤ its limit), C of pairs − b trials; the limits do not fall.

    One follows from the one before: F(c; n − 1) = F(c; n) + p·f(c; n − 1) and F(c + 1; n) = F(c; n) + f(c + 1; n).
    """
    cdfs: list[float] = []
    value, c = math.nan, -1
    for b, limit in zip(counts, limits, strict=True):
        n = pairs - b
        if limit < 0 or limit >= n:
            value, c = (0.0, -1) if limit < 0 else (1.0, n)
        elif c < 0 or c > limit:
            value, c = special.bdtr(limit, n, p), limit
        else:
            value += p * _binomial_pmf(c, n, p)
            value += math.fsum(_binomial_pmf(k, n, p) for k in range(c + 1, limit + 1))
            c = limit
        cdfs.append(min(1.0, value))
    return cdfs


def _fail_alpha(alpha: float, fail_alpha: float | None) -> float:
    if fail_alpha is None:
        return alpha
    check_alpha(fail_alpha)
    if fail_alpha > alpha:
        raise UndefinedError(f"a FAIL at {fail_alpha} would be easier than alpha, {alpha}, allows")
    return fail_alpha


def _chi_nodes(df: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of √(χ²/df) and their weights, which add up to 1.

    In y = log s the density e^{df·y − df·e^{2y}/2} falls off exponentially to the left and faster to the right, where
    a trapezoid sum is as good as exact for a smooth function.
    """
    left, right = max(-45.0 / df, -45.0) - 6.0 / math.sqrt(df), min(2.5, 8.0 / math.sqrt(df))
    y = np.linspace(left, right, _NODES)
    log_density = df * (y - np.expm1(2.0 * y) / 2.0)
    weights = np.exp(log_density - log_density.max())
    return np.exp(y), weights / np.sum(weights)
