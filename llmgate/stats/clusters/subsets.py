"""Means over random subsets of clusters: bounds that ask for nothing but symmetry, however unequal clusters are.

If the errors Σ_{i∈g}(x_i − μ) of clusters are independent and each symmetric about 0, then every subset mean is as
likely to lie above μ as below, and among the means of all 2^G − 1 subsets that are not empty μ has each rank with the
same probability; so it has among those of subsets that are drawn at random, and the empty one beside them.

Which subsets are drawn depends on the number of clusters alone, never on their values: nobody can draw again by
changing a score, and a bound never falls where a value rises. They come from a digest, not from a random generator,
whose numbers may change from one version to the next.

Reference: Hartigan (1969), "Using subsample values as typical values", JASA 64:1303-1317, theorems 1 and 4.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from llmgate.errors import UndefinedError
from llmgate.stats.clusters.grouped import ROUNDING, ClusterSums
from llmgate.stats.interval import check_alpha

__all__ = ["EXACT_UP_TO", "MOST_UNITS", "SubsetMeans", "least_groups", "subset_means", "subsets_of", "units_of"]

EXACT_UP_TO: Final = 12
"""So many clusters have few enough subsets to take them all."""
MOST_UNITS: Final = 512
"""Of more clusters some are tied together: errors of unions are symmetric too, and next to no power is lost."""
_DRAWN: Final = 1_999
_RANKS: Final = 2
"""Subset means beyond a bound that are wanted at least: at the tails of first looks, 4e-5, more subsets are drawn."""
_MOST_DRAWN: Final = 99_999
_FINER: Final = 19_999
"""Drawn anew where a p-value is as small as can be told, as many tests may be adjusted together."""


def least_groups(alpha: float) -> int:
    """The fewest clusters that can decide anything at alpha: 2^G ≥ 1/α, for 5 at 0.05 and 7 at 0.01.

    Raises:
        UndefinedError: If alpha is none.
    """
    check_alpha(alpha)
    return math.ceil(-math.log2(alpha) - 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubsetMeans:
    """The means of many subsets of clusters.

    Attributes:
        means: Ascending, of those that are not empty, shape (N − E,).
        empty: E.
        subsets: N.
    """

    means: NDArray[np.float64]
    empty: int
    subsets: int

    def lower(self, alpha: float) -> float:
        """The lower bound; −∞ where so few subsets have none."""
        rank = self._rank(alpha)
        return -math.inf if rank < 0 else float(self.means[rank])

    def upper(self, alpha: float) -> float:
        """The upper bound; ∞ where so few subsets have none."""
        rank = self._rank(alpha)
        return math.inf if rank < 0 else float(self.means[-1 - rank])

    def p_at_most(self, limit: float) -> float:
        """P-value against "the mean is `limit` or less": (#{m ≤ limit} + E)/N."""
        below = int(np.searchsorted(self.means, limit + ROUNDING, side="right"))
        return (below + self.empty) / self.subsets

    def p_at_least(self, limit: float) -> float:
        """P-value against "the mean is `limit` or more": (#{m ≥ limit} + E)/N."""
        below = int(np.searchsorted(self.means, limit - ROUNDING, side="left"))
        return (len(self.means) - below + self.empty) / self.subsets

    @property
    def finest(self) -> float:
        """The smallest p-value that these subsets can give."""
        return self.empty / self.subsets

    def _rank(self, alpha: float) -> int:
        # A product such as 0.05 · 2000 must not be rounded below the whole number that it is.
        return min(math.floor(alpha * self.subsets * (1.0 + 1e-12)) - self.empty, len(self.means) - 1)


def subset_means(clusters: ClusterSums, *, alpha: float, seed: int = 0, finer: bool = False) -> SubsetMeans:
    """The means of all subsets of up to 12 clusters, or of the empty one and 1,999 random ones.

    Args:
        clusters: Values by cluster.
        alpha: The smallest error rate that is asked of them.
        seed: Another seed, other subsets.
        finer: Whether to draw ten times as many, and others; all subsets are not drawn.
    """
    units = units_of(clusters.groups)
    count = int(units[-1]) + 1 if clusters.groups <= MOST_UNITS else MOST_UNITS
    sums, sizes = (
        np.bincount(units, weights=x, minlength=count).astype(np.float64) for x in (clusters.sums, clusters.sizes)
    )
    chosen = subsets_of(count, alpha=alpha, seed=seed, finer=finer)
    inside = _over(chosen, sizes)
    some = inside > 0.0
    means = np.sort(_over(chosen, sums)[some] / inside[some])
    return SubsetMeans(means=means, empty=len(chosen) - len(means), subsets=len(chosen))


def units_of(groups: int) -> NDArray[np.int64]:
    """Which unit each cluster belongs to: itself, or one of 512 where there are more clusters."""
    return np.arange(groups) % MOST_UNITS


def subsets_of(groups: int, *, alpha: float, seed: int = 0, finer: bool = False) -> NDArray[np.uint8]:
    """Which clusters are in each subset.

    Args:
        groups: How many clusters, at most 512.
        alpha: The smallest error rate that is asked of them.
        seed: Another seed, other subsets.
        finer: As for `subset_means`.

    Returns:
        Shape (N, ⌈G/8⌉): a bit per cluster, the lowest bit first; the empty subset first of all.

    Raises:
        UndefinedError: If there is no cluster, or alpha is none.
    """
    check_alpha(alpha)
    if groups < 1:
        raise UndefinedError("no clusters have no subsets")
    if groups <= EXACT_UP_TO:
        return _all_subsets(groups)
    wanted = math.ceil(_RANKS / alpha) - 1
    drawn = min(max(_FINER if finer else _DRAWN, wanted), _MOST_DRAWN)
    return _drawn_subsets(groups, drawn, f"{seed}{' finer' if finer else ''}")


@lru_cache(maxsize=EXACT_UP_TO)
def _all_subsets(groups: int) -> NDArray[np.uint8]:
    numbers = np.arange(2**groups, dtype="<u2").view(np.uint8).reshape(-1, 2)
    return np.ascontiguousarray(numbers[:, : -(-groups // 8)])


@lru_cache(maxsize=8)
def _drawn_subsets(groups: int, drawn: int, name: str) -> NDArray[np.uint8]:
    width = -(-groups // 8)
    stream = hashlib.shake_256(f"llmgate, subsets of {groups} clusters, {name}".encode()).digest(drawn * width)
    chosen = np.zeros((drawn + 1, width), dtype=np.uint8)
    chosen[1:] = np.frombuffer(stream, dtype=np.uint8).reshape(drawn, width)
    if groups % 8:
        chosen[:, -1] &= (1 << groups % 8) - 1
    chosen.setflags(write=False)
    return chosen


def _over(chosen: NDArray[np.uint8], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of weights in each subset, by tables of the sums of all subsets of eight clusters: shape (N,)."""
    width = chosen.shape[1]
    padded = np.zeros(8 * width)
    padded[: len(weights)] = weights
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.float64)
    tables = padded.reshape(width, 8) @ bits.T
    sums = np.zeros(len(chosen))
    for column in range(width):
        sums += tables[column][chosen[:, column]]
    return sums
