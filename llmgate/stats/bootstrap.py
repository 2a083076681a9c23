"""What bootstrap methods share: resampling, the BCa correction and its inverse."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats import special

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = ["bootstrap_means", "corrected_level", "corrected_p", "order_statistic"]

_FEW_VALUES = 64
"""Up to here, drawing how often each distinct value occurs is cheaper than drawing cases."""
_CHUNK = 1 << 20
"""Draws held in memory at a time."""


def bootstrap_means(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], *, rng: Generator, resamples: int
) -> NDArray[np.float64]:
    """Sorted means over resampled units, Σ sums / Σ sizes.

    Args:
        sums: Shape (G,): the sum of each unit's values.
        sizes: Shape (G,): the number of each unit's values.
        rng: Source of the resamples.
        resamples: How many.

    Returns:
        Shape (resamples,), ascending.

    Raises:
        UndefinedError: If there are no units or no resamples.
    """
    units = len(sums)
    if units < 1 or resamples < 1:
        raise UndefinedError(f"{resamples} resamples of {units} units give no distribution")
    kinds, counts = np.unique(np.column_stack((sums, sizes)), axis=0, return_counts=True)
    if len(kinds) <= _FEW_VALUES:
        drawn = rng.multinomial(units, counts / units, size=resamples)
        return np.sort((drawn @ kinds[:, 0]) / (drawn @ kinds[:, 1]))
    means = np.empty(resamples)
    step = max(1, _CHUNK // units)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        picked = rng.integers(0, units, size=(stop - start, units))
        means[start:stop] = sums[picked].sum(axis=1) / sizes[picked].sum(axis=1)
    return np.sort(means)


def corrected_level(z: float, z0: float, acceleration: float) -> float:
    """The percentile that BCa takes in place of Φ(z): Φ(z0 + w / (1 − a·w)), w = z0 + z.

    Raises:
        UndefinedError: If the resampled means lie on one side of the mean, or the correction has no solution.
    """
    if not math.isfinite(z0):
        raise UndefinedError("all resampled means lie on one side of the mean")
    w = z0 + z
    if 1.0 - acceleration * w <= 0.0:
        raise UndefinedError("the scores are too skewed and too few for a bootstrap interval")
    return float(special.ndtr(z0 + w / (1.0 - acceleration * w)))


def corrected_p(replicates: NDArray[np.float64], z0: float, acceleration: float, df: int) -> float:
    """The alpha at which the upper expanded BCa bound is 0: a one-sided p-value against "0 or more".

    It inverts `corrected_level`: with v = Φ⁻¹(share of resampled means below 0, ties half) − z0, z = v/(1 + a·v) − z0,
    and p = P(T_df > z·√(df/(df + 1))). A p-value below 1/(resamples + 1) cannot be told from it.
    """
    below, ties = np.searchsorted(replicates, [-1e-12, 1e-12])
    share = (below + ties) / (2.0 * len(replicates))
    floor = 1.0 / (len(replicates) + 1.0)
    v = float(special.ndtri(min(max(share, floor), 1.0 - floor))) - z0
    z = v / (1.0 + acceleration * v) - z0 if 1.0 + acceleration * v > 0.0 else math.copysign(math.inf, v)
    p = float(special.stdtr(df, -z * math.sqrt(df / (df + 1.0))))
    return max(p, floor)


def order_statistic(replicates: NDArray[np.float64], level: float, *, up: bool) -> float:
    """The resampled mean at a level, rounded outwards to the next one (`up` for upper bounds)."""
    rank = (len(replicates) + 1) * level
    index = math.ceil(rank) - 1 if up else math.floor(rank) - 1
    return float(replicates[min(max(index, 0), len(replicates) - 1)])
