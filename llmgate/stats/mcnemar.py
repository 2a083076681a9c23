"""McNemar's test: did as many pairs turn one way as the other? Exact, and with the mid-p correction."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.errors import UndefinedError
from llmgate.stats import special

if TYPE_CHECKING:
    from typing import Literal

    Alternative = Literal["two-sided", "less", "greater"]

__all__ = ["mcnemar_exact", "mcnemar_mid_p", "mcnemar_power"]

_TAIL_SDS = 9.0
"""Numbers of turns further than this from their mean are left out; what they weigh is below 1e-15."""


def mcnemar_exact(better: int, worse: int, *, alternative: Alternative = "two-sided") -> float:
    """Exact p-value: the error never exceeds alpha, and mostly stays well below it.

    X ~ Binomial(b + c, ½): P(X ≤ b) for "less", P(X ≥ b) for "greater", min(1, 2·smaller) for "two-sided".

    Args:
        better: b, pairs that turned to the better.
        worse: c, pairs that turned to the worse.
        alternative: "less" asks whether there are fewer turns to the better.

    Returns:
        A p-value; 1 where no pair turned, as nothing then speaks against "nothing changed".

    Raises:
        UndefinedError: If a count is negative.

    Reference: McNemar (1947), Psychometrika 12:153-157, with the binomial in place of χ².
    """
    _check(better, worse)
    less, greater = (_few(count, better + worse, mid_p=False) for count in (better, worse))
    return _p(less, greater, alternative)


def mcnemar_mid_p(better: int, worse: int, *, alternative: Alternative = "two-sided") -> float:
    """Mid-p value: half the probability of what was seen is left out; closer to alpha, seldom and little above it.

    X ~ Binomial(b + c, ½): P(X < b) + P(X = b)/2 for "less", P(X > b) + P(X = b)/2 for "greater", twice the smaller
    for "two-sided". Where b = c that is 1; the reference then prints 1 − P(X = b)/2, on which nothing ever hangs but
    that no turn at all would come out as ½.

    Args:
        better: b, pairs that turned to the better.
        worse: c, pairs that turned to the worse.
        alternative: "less" asks whether there are fewer turns to the better.

    Raises:
        UndefinedError: If a count is negative.

    Reference: Fagerland, Lydersen & Laake (2013), BMC Medical Research Methodology 13:91.
    """
    _check(better, worse)
    turned = better + worse
    less, greater = _few(better, turned, mid_p=True), _few(worse, turned, mid_p=True)
    return _p(less, greater, alternative)


def mcnemar_power(
    *,
    delta: float,
    discordance: float,
    pairs: int,
    alpha: float,
    alternative: Alternative = "two-sided",
    mid_p: bool = True,
) -> float:
    """How often the test is significant: an exact sum over all results that can happen.

    b + c ~ Binomial(n, ψ), and of those b ~ Binomial(b + c, (ψ + δ)/2ψ).

    Args:
        delta: True difference, to the better minus to the worse.
        discordance: ψ, the share of pairs that turn; at least |delta|.
        pairs: n.
        alpha: Significance level, of both sides together for "two-sided".
        alternative: As for the tests.
        mid_p: Of `mcnemar_mid_p`, else of `mcnemar_exact`.

    Raises:
        UndefinedError: If an argument is outside its range.

    Reference: Fagerland, Lydersen & Laake (2013), BMC Medical Research Methodology 13:91, for the tests.
    """
    if pairs < 1 or not (0.0 <= discordance <= 1.0 and abs(delta) <= discordance and 0.0 < alpha < 1.0):
        raise UndefinedError(f"no {pairs} pairs can have a difference of {delta} at a discordance of {discordance}")
    if discordance == 0.0:
        return 0.0
    to_better = min(1.0, max(0.0, (discordance + delta) / (2.0 * discordance)))
    level = alpha / 2.0 if alternative == "two-sided" else alpha
    reach = _TAIL_SDS * math.sqrt(pairs * discordance * (1.0 - discordance)) + _TAIL_SDS**2
    critical, parts = -1, []
    for turned in range(
        max(0, math.floor(pairs * discordance - reach)), min(pairs, math.ceil(pairs * discordance + reach)) + 1
    ):
        # The largest number of turns to one side that is significantly few; it never falls as there are more turns.
        while critical < turned and _few(critical + 1, turned, mid_p=mid_p) <= level:
            critical += 1
        significant = 0.0
        if alternative != "greater":
            significant += _at_most(critical, turned, to_better)
        if alternative != "less":
            significant += _at_most(critical, turned, 1.0 - to_better)
        weight = _at_most(turned, pairs, discordance) - _at_most(turned - 1, pairs, discordance)
        parts.append(weight * significant)
    return min(1.0, math.fsum(parts))


def _check(better: int, worse: int) -> None:
    if min(better, worse) < 0:
        raise UndefinedError(f"{better} better and {worse} worse pairs are no counts")


def _few(count: int, turned: int, *, mid_p: bool) -> float:
    """P(X ≤ count), or for the mid-p P(X < count) + P(X = count)/2."""
    at_most = _at_most(count, turned, 0.5)
    return (at_most + _at_most(count - 1, turned, 0.5)) / 2.0 if mid_p else at_most


def _at_most(count: int, turned: int, p: float) -> float:
    if count < 0:
        return 0.0
    return 1.0 if count >= turned else float(special.bdtr(count, turned, p))


def _p(less: float, greater: float, alternative: Alternative) -> float:
    if alternative == "less":
        return less
    if alternative == "greater":
        return greater
    return min(1.0, 2.0 * min(less, greater))
