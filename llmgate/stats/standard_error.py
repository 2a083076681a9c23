"""Standard errors of a mean, for description: no interval is built here, and equal values have an error of 0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats.sums import total

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["clustered_standard_error", "standard_error"]


def standard_error(values: NDArray[np.float64]) -> float:
    """Of the mean of independent values: √(Σ(x_i − x̄)² / (n(n − 1))).

    Args:
        values: Shape (n,), n ≥ 2.

    Raises:
        UndefinedError: For fewer than two values.

    Reference: Miller (2024), arXiv 2411.00640, equation 1.
    """
    n = len(values)
    if n < 2:
        raise UndefinedError(f"{n} values have no spread that could be estimated")
    residuals = values - total(values) / n
    return math.sqrt(total(residuals * residuals) / (n * (n - 1)))


def clustered_standard_error(values: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Of the mean of values in clusters: √(G/(G − 1) · Σ_g (Σ_{i∈g} (x_i − x̄))²) / n.

    Args:
        values: Shape (n,).
        codes: Shape (n,): each value's cluster, numbered from 0 without gaps.

    Raises:
        UndefinedError: For fewer than two clusters.

    Reference: Miller (2024), arXiv 2411.00640, equation 4, with the finite-sample factor of Cameron & Miller (2015),
    Journal of Human Resources 50:317-372.
    """
    groups = int(codes.max()) + 1 if len(codes) else 0
    if groups < 2:
        raise UndefinedError(f"{groups} clusters have no spread that could be estimated")
    residuals = values - total(values) / len(values)
    sums = np.bincount(codes, weights=residuals, minlength=groups).astype(np.float64)
    return math.sqrt(groups / (groups - 1) * total(sums * sums)) / len(values)
