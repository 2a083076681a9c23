"""Values by cluster: all that the methods for clusters look at."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from llmgate.errors import UndefinedError
from llmgate.stats.interval import check_alpha
from llmgate.stats.sums import total

Clusters = Sequence[Hashable] | NDArray[np.int64]
"""The cluster key of each value; integer arrays are the fast way."""

__all__ = ["ROUNDING", "ClusterSums", "Clusters", "cluster_codes", "grouped"]

ROUNDING: Final = 1e-12
"""Sums of right-or-wrong scores tie at the margin; what lies so close to it counts as equal."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClusterSums:
    """Values by cluster, the clusters in the order in which they first occur.

    Attributes:
        sums: s_g, shape (G,).
        sizes: z_g, shape (G,), each at least 1.
    """

    sums: NDArray[np.float64]
    sizes: NDArray[np.float64]

    @property
    def groups(self) -> int:
        """G."""
        return len(self.sums)

    @property
    def mean(self) -> float:
        """Σs/n."""
        return total(self.sums) / float(self.sizes.sum())

    @property
    def residuals(self) -> NDArray[np.float64]:
        """e_g = s_g − μ̂·z_g, shape (G,)."""
        return self.sums - self.mean * self.sizes

    @property
    def alike(self) -> bool:
        """Whether all clusters have the same mean; residues of rounding are no spread."""
        return float(np.abs(self.residuals).max()) <= ROUNDING * float(self.sizes.max())

    @property
    def standard_error(self) -> float:
        """SE with SE² = G/(G − 1)·Σe²/n².

        Raises:
            UndefinedError: For fewer than two clusters, or clusters that show no spread.
        """
        g = self.groups
        if g < 2:
            raise UndefinedError(f"{g} cluster has no spread that could be estimated")
        if self.alike:
            raise UndefinedError(f"all {g} clusters have the same mean, so their spread is unknown")
        residuals = self.residuals
        return math.sqrt(g / (g - 1) * total(residuals * residuals)) / float(self.sizes.sum())


def grouped(values: NDArray[np.float64], clusters: Clusters, *, alpha: float) -> ClusterSums:
    """Values by cluster.

    Args:
        values: Shape (n,).
        clusters: The cluster key of each value.
        alpha: One-sided error rate, which is only checked.

    Raises:
        UndefinedError: If there is no value, one is not finite, there are not as many keys, or alpha is none.
    """
    check_alpha(alpha)
    if len(values) != len(clusters):
        raise UndefinedError(f"{len(values)} values but {len(clusters)} cluster keys")
    if not len(values):
        raise UndefinedError("no values have no mean")
    if not np.all(np.isfinite(values)):
        raise UndefinedError("a value is not a finite number")
    codes, groups = cluster_codes(clusters)
    sums = np.bincount(codes, weights=values, minlength=groups).astype(np.float64)
    return ClusterSums(sums=sums, sizes=np.bincount(codes, minlength=groups).astype(np.float64))


def cluster_codes(clusters: Clusters) -> tuple[NDArray[np.int64], int]:
    """The clusters numbered from 0 by first occurrence, and how many there are."""
    if isinstance(clusters, np.ndarray) and clusters.dtype.kind == "i":
        names, first, codes = np.unique(clusters, return_index=True, return_inverse=True)
        rank = np.empty(len(names), dtype=np.int64)
        rank[np.argsort(first, kind="stable")] = np.arange(len(names))
        return rank[codes], len(names)
    index: dict[Hashable, int] = {}
    numbered = [index.setdefault(cluster, len(index)) for cluster in clusters]
    return np.array(numbered, dtype=np.int64), len(index)
