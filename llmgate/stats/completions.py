"""What holds however scores that are missing may turn out: bounds over all their completions.

A missing score lies anywhere between 0 and 1, so a missing difference lies in an interval. The completion with the
worst mean is not always the worst for a lower bound: of the differences 0, 0, 0 and a missing one, all 0 leave no
spread, and a gain makes the bound wider. So mean and spread are each taken at their worst, which is never above the
bound of any completion.

Right or wrong scores need none of this. Tango's lower bound does not fall where a pair is better instead of the same,
nor where it is the same instead of worse: with λ, the multiplier of the constraint p_b − p_c = δ0 in the likelihood's
maximum, b = p_b(n + λ(1 − δ0)), c = p_c(n − λ(1 + δ0)), a = p_0(n − λδ0), and z = λ√(V/n). The derivative of z by b has
the sign of 1 − λ·(1/p_b + 2/p_0) / (b/p_b² + c/p_c² + 4a/p_0²), which is not negative: for λ > 0, as b/p_b − λ = a/p_0
and, from c ≥ 0, a/p_0 ≥ λ. That by c follows from z(b, c, δ0) = −z(c, b, −δ0). Clopper and Pearson's bound rises with
the number of successes. Their worst completion is therefore the one that has all missing scores wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from llmgate.stats import special
from llmgate.stats.clusters.grouped import ROUNDING, ClusterSums, cluster_codes
from llmgate.stats.clusters.skewed import most_reach
from llmgate.stats.clusters.subsets import least_groups, subset_means
from llmgate.stats.sums import total
from llmgate.stats.unseen import unseen_share

__all__ = ["Completions"]

_ROUNDING: Final = 2.0 * ROUNDING
"""Bounds of sums that are taken in another order than the interval's own, which moves its bounds by as much itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Completions:
    """Values of which some are only known to lie between two ends.

    Attributes:
        lowest: Shape (n,), n ≥ 2.
        highest: Shape (n,), equal to `lowest` where the value is known.
        clusters: Cluster codes, shape (n,), None where every value is its own cluster.
    """

    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    clusters: NDArray[np.int64] | None = None

    @property
    def least_mean(self) -> float:
        """Of any completion, the smallest."""
        return total(self.lowest) / len(self.lowest)

    @property
    def most_mean(self) -> float:
        """Of any completion, the largest."""
        return total(self.highest) / len(self.highest)

    def least_lower(self, *, alpha: float, floor: float) -> float:
        """Never above the lower bound of any completion by `t_interval` or the clusters' rule, widened for the unseen.

        The mean is at its least and Σ_g (S_g − x̄·z_g)², with the sums S and sizes z of clusters, at its most: of known
        clusters it is a parabola in x̄, largest at an end of where x̄ can lie; of others each square is. A mean of a
        subset of clusters is least where all values are. Hall's bound lies the more standard errors below the mean the
        smaller κ is, and κ is not below its least numerator over its least denominator, nor below −1.

        Args:
            alpha: One-sided error rate.
            floor: Lowest possible value.
        """
        ends = self._grouped()
        n, groups, mean = len(self.lowest), ends.groups, self.least_mean
        unseen = unseen_share(n, alpha=alpha)
        t = float(special.stdtrit(groups - 1, 1.0 - alpha))
        se = math.sqrt(groups / (groups - 1) * self._most_squares(ends)) / n
        least = mean - t * se
        if self.clusters is not None:
            skewed = mean - most_reach(t, self._least_kappa(ends)) * se
            least = max(min(least, skewed, subset_means(ends.lowest_sums, alpha=alpha).lower(alpha)), floor)
        return min(least, (1.0 - unseen) * mean + unseen * floor) - _ROUNDING

    def least_p(self, *, ceiling: float, student: bool) -> float:
        """Never above the p-value of any completion against "0 or more".

        What stayed unseen bounds it for every method, see `widen_for_unseen`.

        Args:
            ceiling: Highest possible value.
            student: Whether each completion's interval is one of t, or that of clusters, which bound it more closely.
        """
        mean = self.least_mean
        if mean >= 0.0:
            return 1.0
        p = float(ceiling / (ceiling - mean)) ** len(self.lowest)
        ends = self._grouped()
        left = self._least_squares(ends)
        if student and left > _ROUNDING:
            se = math.sqrt(ends.groups / (ends.groups - 1) * left) / len(self.lowest)
            p = max(p, float(special.stdtr(ends.groups - 1, mean / se)))
        return p * (1.0 - _ROUNDING)

    def most_skew_error(self, *, alpha: float) -> float:
        """Never below `skew_error` of any completion; infinite where the known values are all equal.

        Σ(x − x̄)³ falls in x̄ and rises in each x; Σ(x − x̄)² is at least that of the known values alone.

        Args:
            alpha: As for `skew_error`.
        """
        n, known = len(self.lowest), self.lowest == self.highest
        values = self.lowest[known]
        if len(values) < 2 or np.all(values == values[0]):
            return math.inf
        variance = total((values - total(values) / len(values)) ** 2) / n
        cubes = max(abs(total((self.highest - self.least_mean) ** 3)), abs(total((self.lowest - self.most_mean) ** 3)))
        z = float(special.ndtri(1.0 - alpha))
        density = math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)
        spread = math.pow(variance, 1.5)
        if not spread > 0.0:  # smaller than a float can hold
            return math.inf
        gamma = cubes / n / spread
        return gamma / math.sqrt(n) * (2.0 * z * z + 1.0) * density / 6.0 * (1.0 + _ROUNDING)

    def decidable(self, *, alpha: float) -> bool:
        """Whether the clusters' rule has bounds in every completion.

        There are enough clusters, and two of them differ in their means whatever is missing.

        Args:
            alpha: One-sided error rate.
        """
        return self.groups >= least_groups(alpha) and self.clusters_differ

    @property
    def clusters_differ(self) -> bool:
        """Whether two clusters differ in their means in every completion, so that they have a spread."""
        ends = self._grouped()
        means = (ends.low / ends.sizes)[ends.known]
        return len(means) > 1 and float(means.max() - means.min()) > 1e-6

    @property
    def groups(self) -> int:
        """How many clusters there are."""
        return self._grouped().groups

    def _most_squares(self, ends: _Ends) -> float:
        """Never below Σe² of any completion."""
        mean, most = self.least_mean, self.most_mean
        known = max(total((ends.low - at * ends.sizes)[ends.known] ** 2) for at in (mean, most))
        low, high = ends.low - most * ends.sizes, ends.high - mean * ends.sizes
        return known + total(np.maximum(low * low, high * high)[~ends.known])

    def _least_squares(self, ends: _Ends) -> float:
        """Never above Σe² of any completion: of known clusters alone, around the mean that leaves least."""
        sums, sizes = ends.low[ends.known], ends.sizes[ends.known]
        if not len(sums):
            return 0.0
        at = min(max(total(sums * sizes) / total(sizes * sizes), self.least_mean), self.most_mean)
        return total((sums - at * sizes) ** 2)

    def _least_kappa(self, ends: _Ends) -> float:
        """Never above κ of any completion, see `stats.clusters.skewed`."""
        # A cube rises with its base, and each residual is least where its own sum is and the mean is not.
        cubes = total((ends.low - self.most_mean * ends.sizes) ** 3)
        if not math.isfinite(cubes):
            return -1.0
        squares = self._most_squares(ends) if cubes > 0.0 else self._least_squares(ends)
        spread = math.pow(max(squares, 0.0), 1.5)
        return max(-1.0, cubes / spread - _ROUNDING) if spread > 0.0 else -1.0

    def _grouped(self) -> _Ends:
        """Sums of the lowest and of the highest values, sizes, and whether all is known, by cluster."""
        n = len(self.lowest)
        codes = np.arange(n) if self.clusters is None else cluster_codes(self.clusters)[0]
        low, high, unknown = (
            np.bincount(codes, weights=values).astype(np.float64)
            for values in (self.lowest, self.highest, self.lowest != self.highest)
        )
        return _Ends(low=low, high=high, sizes=np.bincount(codes).astype(np.float64), known=unknown == 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ends:
    """Clusters of values of which some are unknown, in the order in which they first occur: shape (G,) each."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sizes: NDArray[np.float64]
    known: NDArray[np.bool_]

    @property
    def groups(self) -> int:
        return len(self.sizes)

    @property
    def lowest_sums(self) -> ClusterSums:
        return ClusterSums(sums=self.low, sizes=self.sizes)
