"""Sums that do not depend on the order of millions of numbers, nor on the width of a machine's registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["mean_of", "total"]


def total(values: NDArray[np.float64]) -> float:
    """Their sum, accumulated in numpy's widest float and rounded once: as good as exact, at a few nanoseconds each.

    `math.fsum` is exact but boxes every number, which for a million of them takes longer than the whole decision.
    """
    return float(np.sum(values, dtype=np.longdouble))


def mean_of(values: NDArray[np.float64]) -> float:
    """Their mean, never outside of them.

    Args:
        values: Shape (n,), n ≥ 1.
    """
    mean = float(np.sum(values, dtype=np.longdouble) / len(values))
    return min(max(mean, float(values.min())), float(values.max()))
