"""Score bounds for a mean of few bounded values: Tango's and Wilson's idea for values of any kind.

A t interval takes its error from the values that were seen. With few values, and most of them 0, these say too little:
on 45 pairs of real systems its lower 95 % bounds held in 92.9 % of draws with 30 labels, of the worst pair in 85 %. A
score test asks instead what variance the values would have *if the hypothesis were true*: the likeliest distribution on
the values seen and the two ends of the range whose mean is the null. For differences of right-or-wrong scores that is
Tango's interval, for rates Wilson's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.interval import Interval, check_alpha

__all__ = ["Residuals", "score_bounds", "score_statistics"]

_TILTS: Final = 60
"""Steps of the search for the likeliest distribution, most of which take eight."""
_STEPS: Final = 100
"""Of the search for a bound; most take ten."""
_FINE: Final = 1e-12
"""How far a bound may lie outside the null at which z is z_α."""
_NOTHING: Final = 1e-13
"""Distances of a mean and a null that are rounding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Residuals:
    """Values whose mean, plus what is known besides, is the estimate.

    Attributes:
        values: Shape (n,): what was seen.
        lowest: The least that a value could have been.
        highest: The most.
        shift: Is added to their mean: the part that the other cases give.
        variance: Of that part.
    """

    values: NDArray[np.float64]
    lowest: float
    highest: float
    shift: float = 0.0
    variance: float = 0.0

    def mirrored(self) -> Residuals:
        """The same with all signs turned."""
        return Residuals(
            values=-self.values,
            lowest=-self.highest,
            highest=-self.lowest,
            shift=-self.shift,
            variance=self.variance,
        )


def score_statistics(
    counts: NDArray[np.float64],
    values: NDArray[np.float64],
    nulls: NDArray[np.float64],
    *,
    lowest: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Z of "the mean is the null" against "it is larger", for many samples at once.

    z = (x̄ − μ₀)/√(V(μ₀)/n + variance), V(μ₀) = Σ p_k (x_k − μ₀)² + p₀ (lowest − μ₀)², where p maximises Σ c_k·log p_k
    over all distributions on the values seen and `lowest` with the mean μ₀:
    p_k = c_k/n / (1 + η(x_k − μ₀)), and p₀ = 1 − Σ p_k is positive only where 1 + η(lowest − μ₀) = 0.

    Args:
        counts: Shape (…, K): how often each value was seen; zeros are allowed.
        values: Shape (…, K).
        nulls: Shape (…): μ₀, at least `lowest`.
        lowest: Shape (…): the least possible value.
        variance: Shape (…): of what is added to the mean and known from elsewhere.

    Returns:
        Shape (…). Where the mean is at most the null it is 0 at most, by the variance of what was seen: such a value
        says only that the null is not rejected.

    Reference: Owen (1990), Empirical likelihood ratio confidence regions, Annals of Statistics 18:90-120, for the
        weights; for values −1, 0, 1 they are those of Tango (1998), Statistics in Medicine 17:891-908.
    """
    n = counts.sum(axis=-1)
    share = counts / n[..., None]
    mean = (share * values).sum(axis=-1)
    away = values - nulls[..., None]
    lowest_away = lowest - nulls
    tilted = mean - nulls > _NOTHING
    # No weight may turn negative, that of the end of the range included.
    least = np.minimum(np.where(counts > 0, away, 0.0).min(axis=-1), 0.0)
    ends = np.maximum(-least, -lowest_away)
    high = np.where(tilted & (ends > 0.0), 1.0 / np.where(ends > 0.0, ends, 1.0), 0.0)
    tilt = _tilts(share, away, high)
    weights = share / np.maximum(1.0 + tilt[..., None] * away, 1e-300)
    left = np.clip(1.0 - weights.sum(axis=-1), 0.0, 1.0)
    spread = (weights * away**2).sum(axis=-1) + left * lowest_away**2
    error = np.sqrt(spread / n + variance)
    distance = np.where(np.abs(mean - nulls) <= _NOTHING, 0.0, mean - nulls)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = distance / error
    return np.where(distance == 0.0, 0.0, np.where(error > 0.0, z, np.copysign(np.inf, distance)))


def _tilts(share: NDArray[np.float64], away: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """η in [0, high] at which Σ share·away/(1 + η·away), which falls in η, is 0, or high. Newton's steps, halved."""
    low, high = np.zeros_like(high), high.copy()
    tilt = low.copy()
    for _ in range(_TILTS):
        pulled = away / np.maximum(1.0 + tilt[..., None] * away, 1e-300)
        excess = (share * pulled).sum(axis=-1)
        more = excess > 0.0
        low, high = np.where(more, tilt, low), np.where(more, high, tilt)
        slope = (share * pulled * pulled).sum(axis=-1)
        step = tilt + excess / np.maximum(slope, 1e-300)
        inside = (step > low) & (step < high)
        moved = np.where(inside, step, (low + high) / 2.0)
        done = np.abs(moved - tilt) <= 1e-12 * (1.0 + high)
        tilt = moved
        if done.all():
            break
    return tilt


def score_bounds(residuals: Residuals, *, alpha: float, method: str) -> Interval:
    """Both one-sided bounds of the shifted mean.

    Args:
        residuals: At least one value, all within their range.
        alpha: One-sided error rate.
        method: In words, for the report.

    Returns:
        The bounds are the nulls at which z of `score_statistics` is z_α, at the end of the search that is outside; the
        p-value is that of "0 or more". `standard_error` and `df` are those of a t interval, for planning.

    Raises:
        UndefinedError: If there are no values, one lies outside its range, or alpha is none.
    """
    check_alpha(alpha)
    values = residuals.values
    if not len(values):
        raise UndefinedError("no values have no mean")
    slack = 1e-9 * max(1.0, abs(residuals.lowest), abs(residuals.highest))
    if values.min() < residuals.lowest - slack or values.max() > residuals.highest + slack:
        raise UndefinedError(f"a value lies outside [{residuals.lowest}, {residuals.highest}]")
    n = len(values)
    mean = math.fsum(values) / n
    within = float(values.var(ddof=1)) / n if n > 1 else 0.0
    mirrored = residuals.mirrored()
    below = mean + residuals.shift < 0.0
    turned = mirrored if below else residuals
    against = _statistic(turned, _seen(turned), -turned.shift)
    estimate = mean + residuals.shift
    return Interval(
        estimate=estimate,
        lower=min(estimate, _lower(residuals, alpha)),
        upper=max(estimate, -_lower(mirrored, alpha)),
        alpha=alpha,
        method=method,
        p_negative=float(special.ndtr(-against if below else against)),
        standard_error=math.sqrt(within + residuals.variance),
        df=max(1, n - 1),
    )


def _lower(residuals: Residuals, alpha: float) -> float:
    """The null at which z is z_α, or one that is `_FINE` below: the illinois method, and a step to the outside."""
    z = float(special.ndtri(1.0 - alpha))
    seen = _seen(residuals)
    low, high = residuals.lowest, math.fsum(residuals.values) / len(residuals.values)
    if not low < high:
        return high + residuals.shift
    # Next to the end of the range z grows without bound.
    above, below = 8.0 * z, -z
    root, side = low, 0
    for _ in range(_STEPS):
        root = (low * below - high * above) / (below - above)
        if not low < root < high:
            root = (low + high) / 2.0
        excess = _statistic(residuals, seen, root) - z
        if excess > 0.0:
            low, above = root, excess
            # An end that stays twice loses half of its weight.
            below, side = below / 2.0 if side > 0 else below, 1
        else:
            high, below = root, excess
            above, side = above / 2.0 if side < 0 else above, -1
        if high - low <= _FINE or abs(excess) <= _FINE:
            break
    step = _FINE
    while root > residuals.lowest and _statistic(residuals, seen, root) <= z:
        root, step = max(residuals.lowest, root - step), 2.0 * step
    return root + residuals.shift


def _seen(residuals: Residuals) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, counts = np.unique(residuals.values, return_counts=True)
    return values, counts.astype(np.float64)


def _statistic(residuals: Residuals, seen: tuple[NDArray[np.float64], NDArray[np.float64]], null: float) -> float:
    """Z against a null of the mean without its shift."""
    values, counts = seen
    if null <= residuals.lowest:
        # No distribution but one has such a mean.
        return math.inf if values[-1] > residuals.lowest else 0.0
    found = score_statistics(
        counts,
        values,
        np.asarray(null),
        lowest=np.asarray(residuals.lowest),
        variance=np.asarray(residuals.variance),
    )
    return float(found)
