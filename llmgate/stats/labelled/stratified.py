"""The mean of a population in parts, of each of which some cases were labelled: bounds that hold with few of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.interval import Interval, check_alpha
from llmgate.stats.labelled.residual import Residuals, score_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LabelledPart", "stratified_bounds"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledPart:
    """Cases of one kind.

    Attributes:
        values: Shape (n,): of the labelled ones, a random part of them.
        size: How many there are, labelled or not.
    """

    values: NDArray[np.float64]
    size: int


def stratified_bounds(parts: Sequence[LabelledPart], *, alpha: float, floor: float, ceiling: float) -> Interval:
    """Bounds of the mean over what the parts were drawn from.

    With W = size/Σ size, m and (l, u) the mean and the score bounds of a part: θ = Σ W·m,
    L = θ − √(Σ W²(m − l)² + z²·Σ W(m − θ)²/Σ size), U alike: each part is as uncertain as its own bound says, and the
    shares of the parts are those of a sample.

    Args:
        parts: At least one with cases.
        alpha: One-sided error rate.
        floor: Lowest possible value.
        ceiling: Highest possible value.

    Raises:
        UndefinedError: If a part with cases has no label, a value lies outside its range, or alpha is none.

    Reference: Zou & Donner (2008), Statistics in Medicine 27:1693-1702, for bounds of sums from bounds of their parts;
        Cochran (1977), Sampling Techniques, chapter 5.
    """
    check_alpha(alpha)
    used = [part for part in parts if part.size]
    total = sum(part.size for part in used)
    if not total:
        raise UndefinedError("no cases have no mean")
    if any(not len(part.values) for part in used):
        raise UndefinedError("of a part of the cases none is labelled", fix="Label more cases")
    shares = [part.size / total for part in used]
    found = [
        score_bounds(Residuals(values=part.values, lowest=floor, highest=ceiling), alpha=alpha, method="score")
        for part in used
    ]
    mean = math.fsum(share * one.estimate for share, one in zip(shares, found, strict=True))
    between = math.fsum(s * (one.estimate - mean) ** 2 for s, one in zip(shares, found, strict=True)) / total
    z = float(special.ndtri(1.0 - alpha))

    def reach(steps: Sequence[float]) -> float:
        return math.sqrt(math.fsum((s * step) ** 2 for s, step in zip(shares, steps, strict=True)) + z * z * between)

    below, above = (
        reach([one.estimate - one.lower for one in found]),
        reach([one.upper - one.estimate for one in found]),
    )
    # The error rate at which the upper bound would be 0, by the upper bound's own step.
    p = float(special.ndtr(mean * z / above)) if above > 0.0 else float(mean >= 0.0)
    error = math.sqrt(
        math.fsum((s * (one.standard_error or 0.0)) ** 2 for s, one in zip(shares, found, strict=True)) + between
    )
    return Interval(
        estimate=mean,
        lower=max(floor, mean - below),
        upper=min(ceiling, mean + above),
        alpha=alpha,
        method="stratified labels, score bounds",
        p_negative=p,
        standard_error=error,
        df=max(1, sum(len(part.values) for part in used) - len(used)),
    )
