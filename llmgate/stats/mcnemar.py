"""McNemar's test with the mid-p correction: did as many pairs turn one way as the other?"""

from __future__ import annotations

from llmgate.errors import UndefinedError
from llmgate.stats import special

__all__ = ["mcnemar_mid_p"]


def mcnemar_mid_p(better: int, worse: int) -> float:
    """Two-sided mid-p value: half the probability of what was seen is left out; close to alpha, seldom above it.

    X ~ Binomial(b + c, ½): twice the smaller of P(X < b) + P(X = b)/2 and P(X > b) + P(X = b)/2. Where b = c that is 1;
    the reference then prints 1 − P(X = b)/2, on which nothing ever hangs but that no turn at all would come out as ½.

    Args:
        better: b, pairs that turned to the better.
        worse: c, pairs that turned to the worse.

    Raises:
        UndefinedError: If a count is negative.

    Reference: Fagerland, Lydersen & Laake (2013), BMC Medical Research Methodology 13:91.
    """
    if min(better, worse) < 0:
        raise UndefinedError(f"{better} better and {worse} worse pairs are no counts")
    turned, fewer = better + worse, min(better, worse)
    return min(1.0, _at_most(fewer, turned) + _at_most(fewer - 1, turned))


def _at_most(count: int, turned: int) -> float:
    if count < 0:
        return 0.0
    return 1.0 if count >= turned else special.bdtr(count, turned, 0.5)
