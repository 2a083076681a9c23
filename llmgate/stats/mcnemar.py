"""McNemar's test: did as many pairs turn one way as the other? Exact, and with the mid-p correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.errors import UndefinedError
from llmgate.stats import special

if TYPE_CHECKING:
    from typing import Literal

    Alternative = Literal["two-sided", "less", "greater"]

__all__ = ["mcnemar_exact", "mcnemar_mid_p"]


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
    less, greater = _at_most(better, better + worse), _at_most(worse, better + worse)
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
    less = (_at_most(better, turned) + _at_most(better - 1, turned)) / 2.0
    greater = (_at_most(worse, turned) + _at_most(worse - 1, turned)) / 2.0
    return _p(less, greater, alternative)


def _check(better: int, worse: int) -> None:
    if min(better, worse) < 0:
        raise UndefinedError(f"{better} better and {worse} worse pairs are no counts")


def _at_most(count: int, turned: int) -> float:
    return float(special.bdtr(count, turned, 0.5)) if count >= 0 else 0.0


def _p(less: float, greater: float, alternative: Alternative) -> float:
    if alternative == "less":
        return less
    if alternative == "greater":
        return greater
    return min(1.0, 2.0 * min(less, greater))
