"""The rule for clusters on thousands of data sets at once.

The two t bounds are sums by data set; which data sets they leave undecided, subsets need not be drawn for. Subsets
depend on the number of clusters alone, so that data sets with as many clusters share them, and how many subset means
lie beyond a limit is one matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from llmgate.stats.clusters.grouped import ROUNDING
from llmgate.stats.clusters.subsets import MOST_UNITS, least_groups, subsets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ClusterTable", "cluster_table", "most_fit"]

_SUMS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClusterTable:
    """Clusters of many data sets, those of one data set together and in the order in which they first occur.

    Attributes:
        owner: The data set of each cluster, shape (C,), ascending.
        sums: Sum of its values.
        sizes: Number of its values.
        groups: Clusters of each data set, shape (R,).
    """

    owner: NDArray[np.int64]
    sums: NDArray[np.float64]
    sizes: NDArray[np.float64]
    groups: NDArray[np.int64]

    def over(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of each data set's values, shape (R,)."""
        return np.bincount(self.owner, weights=values, minlength=len(self.groups)).astype(np.float64)

    @classmethod
    def of_rows(cls, sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> ClusterTable:
        """Data sets with equally many clusters.

        Args:
            sums: Shape (R, G).
            sizes: Shape (R, G), or (G,) where they are the same everywhere.
        """
        runs, groups = sums.shape
        return cls(
            owner=np.repeat(np.arange(runs), groups),
            sums=sums.ravel(),
            sizes=np.broadcast_to(sizes, sums.shape).ravel().astype(np.float64),
            groups=np.full(runs, groups),
        )

    @property
    def means(self) -> NDArray[np.float64]:
        """Shape (R,)."""
        return self.over(self.sums) / self.over(self.sizes)

    @property
    def alike(self) -> NDArray[np.bool_]:
        """Whether there is no spread between clusters that could be told from rounding: the gate itself has to see."""
        starts = np.searchsorted(self.owner, np.arange(len(self.groups)))
        residuals = np.abs(self.sums - self.means[self.owner] * self.sizes)
        return np.asarray(
            np.maximum.reduceat(residuals, starts) <= 1e-9 * np.maximum.reduceat(self.sizes, starts), dtype=np.bool_
        )

    def student_bounds(self, alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The outer ones of the robust and of Hall's t, shape (R,) each; NaN where clusters are alike.

        Args:
            alpha: One-sided error rate.
        """
        mean = self.means
        residuals = self.sums - mean[self.owner] * self.sizes
        squares = residuals * residuals
        second, third = self.over(squares), self.over(squares * residuals)
        df = np.maximum(self.groups - 1.0, 1.0)
        t = special.stdtrit(df, 1.0 - alpha)
        with np.errstate(divide="ignore", invalid="ignore"):
            kappa = np.clip(third / second**1.5, -1.0, 1.0)
        se = np.sqrt(self.groups / df * second) / self.over(self.sizes)
        lower = mean - np.maximum(t, _reaches(t, kappa)) * se - ROUNDING
        return lower, mean + np.maximum(t, _reaches(t, -kappa)) * se + ROUNDING

    def subsets_allow(self, chosen: NDArray[np.bool_], *, limit: float, above: bool, alpha: float) -> NDArray[np.bool_]:
        """Whether the bound by subsets lies beyond a limit.

        Args:
            chosen: Data sets that are asked, shape (R,); of the others the answer is no.
            limit: What the mean is held against.
            above: Whether the lower bound has to lie above it; else the upper one below.
            alpha: One-sided error rate.
        """
        allowed = np.zeros(len(self.groups), dtype=bool)
        enough = chosen & (self.groups >= least_groups(alpha))
        turned = 1.0 if above else -1.0
        for groups in np.unique(self.groups[enough]).tolist():
            alike = np.flatnonzero(enough & (self.groups == groups))
            starts = np.searchsorted(self.owner, alike)
            at = starts[:, None] + np.arange(groups)
            # Of the other side the values are turned round; what lies on the limit counts against it.
            weights = turned * (self.sums[at] - limit * self.sizes[at]) - ROUNDING * self.sizes[at]
            allowed[alike] = most_fit(weights, alpha=alpha)
        return allowed


def most_fit(weights: NDArray[np.float64], *, alpha: float) -> NDArray[np.bool_]:
    """Whether the sums of so many random subsets are above 0 that the mean is proven to be, at alpha.

    Args:
        weights: Of each cluster, its sum less the limit times its size, shape (R, G) with at least `least_groups`.
        alpha: One-sided error rate.
    """
    units = _united(weights)
    chosen = subsets_of(units.shape[1], alpha=alpha)
    inside = np.unpackbits(chosen, axis=1, count=units.shape[1], bitorder="little").astype(np.float64)
    most = math.floor(alpha * len(inside) * (1.0 + 1e-12))
    found = np.empty(len(units), dtype=bool)
    for part in _parts(len(units), len(inside)):
        found[part] = np.count_nonzero(inside @ units[part].T <= 0.0, axis=0) <= most
    return found


def cluster_table(
    draw: NDArray[np.int64], clusters: NDArray[np.int64], values: NDArray[np.float64], *, count: int
) -> ClusterTable:
    """The clusters of many data sets.

    Args:
        draw: Which data set a case belongs to, shape (T,), ascending from 0.
        clusters: Cluster codes, shape (T,), not negative.
        values: Of the cases.
        count: R.
    """
    keys = draw * (int(clusters.max()) + 1) + clusters
    if np.all(np.diff(keys) >= 0):
        first = np.concatenate(([0], np.flatnonzero(np.diff(keys)) + 1))
        code = np.repeat(np.arange(len(first)), np.diff([*first.tolist(), len(keys)]))
    else:
        _, found, inverse = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(found, kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        first, code = found[order], rank[inverse]
    owner = draw[first]
    return ClusterTable(
        owner=owner,
        sums=np.bincount(code, weights=values, minlength=len(first)).astype(np.float64),
        sizes=np.bincount(code, minlength=len(first)).astype(np.float64),
        groups=np.bincount(owner, minlength=count),
    )


def _reaches(t: NDArray[np.float64], kappa: NDArray[np.float64]) -> NDArray[np.float64]:
    """`stats.clusters.skewed.reach` of many."""
    inner = t - kappa / 6.0
    u = np.cbrt(1.0 + kappa * inner)
    return np.asarray(3.0 * inner / (1.0 + u + u * u), dtype=np.float64)


def _united(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of units, where there are more clusters than are drawn from; see `units_of`."""
    runs, groups = weights.shape
    if groups <= MOST_UNITS:
        return weights
    rounds = -(-groups // MOST_UNITS)
    padded = np.zeros((runs, rounds * MOST_UNITS))
    padded[:, :groups] = weights
    return np.asarray(padded.reshape(runs, rounds, MOST_UNITS).sum(axis=1))


def _parts(runs: int, subsets: int) -> Iterator[slice]:
    step = max(1, _SUMS_AT_ONCE // subsets)
    for start in range(0, runs, step):
        yield slice(start, min(start + step, runs))
