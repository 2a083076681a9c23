"""What a sample cannot exclude because it never saw it: no interval of a bounded score may be narrower."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats.interval import Interval, check_alpha
from llmgate.stats.sums import mean_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["unseen_share", "widen_for_unseen"]


def unseen_share(n: int, *, alpha: float) -> float:
    """The largest share of the population that n draws may all have missed: 1 − alpha^(1/n), about 3/n at 5 %.

    Raises:
        UndefinedError: If n is below 1 or alpha is none.

    Reference: Clopper & Pearson (1934) at zero successes; the "rule of three".
    """
    check_alpha(alpha)
    if n < 1:
        raise UndefinedError("nothing was drawn, so all may have stayed unseen")
    return -math.expm1(math.log(alpha) / n)


def widen_for_unseen(
    values: NDArray[np.float64], interval: Interval | None, *, alpha: float, floor: float, ceiling: float
) -> Interval:
    """Bounds that are never narrower than what `unseen_share` of the cases, at the worst score, would allow.

    With u = `unseen_share(n)`: lower ≤ (1 − u)·x̄ + u·floor, upper ≥ (1 − u)·x̄ + u·ceiling. Spread that was never
    seen is not spread that does not exist: n equal values say no more than this, and few changed ones little more.

    Args:
        values: Shape (n,), n ≥ 1, all in [floor, ceiling].
        interval: What a method gave; None where it is undefined because all values are equal.
        alpha: One-sided error rate.
        floor: Lowest possible value: −1 for differences, 0 for scores.
        ceiling: Highest possible value, 1; not negative.

    Raises:
        UndefinedError: If there are no values or one lies outside its range.
    """
    u = unseen_share(len(values), alpha=alpha)
    if not (np.all(values >= floor) and np.all(values <= ceiling)):
        raise UndefinedError(f"a value lies outside [{floor}, {ceiling}]")
    mean = mean_of(values)
    # The alpha at which the upper bound below would be 0.
    p_unseen = 1.0 if mean >= 0.0 else float(ceiling / (ceiling - mean)) ** len(values)
    if interval is None:
        interval = Interval(
            estimate=mean, lower=mean, upper=mean, alpha=alpha, method="bound for what stayed unseen", p_negative=0.0
        )
    return interval.widened(
        lower=(1.0 - u) * mean + u * floor, upper=(1.0 - u) * mean + u * ceiling, p_negative=p_unseen
    )
