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

import numpy as np
from numpy.typing import NDArray

from llmgate.stats import special
from llmgate.stats.sums import total
from llmgate.stats.unseen import unseen_share

__all__ = ["Completions"]

_ROUNDING = 1e-12
"""Bounds of sums that are taken in another order than the interval's own."""


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
        """Never above the lower bound of any completion by `t_interval` or `cluster_t`, widened for what stayed unseen.

        The mean is at its least and Σ_g (S_g − x̄·z_g)², with the sums S and sizes z of clusters, at its most: of known
        clusters it is a parabola in x̄, largest at an end of where x̄ can lie; of others each square is.

        Args:
            alpha: One-sided error rate.
            floor: Lowest possible value.
        """
        low, high, sizes, known = self._grouped()
        n, groups, mean, most = len(self.lowest), len(sizes), self.least_mean, self.most_mean
        squares = max(total((low - at * sizes)[known] ** 2) for at in (mean, most))
        ends = np.maximum((low - most * sizes)[~known] ** 2, (high - mean * sizes)[~known] ** 2)
        se = math.sqrt(groups / (groups - 1) * (squares + total(ends))) / n
        unseen = unseen_share(n, alpha=alpha)
        reach = float(special.stdtrit(groups - 1, 1.0 - alpha)) * se
        return min(mean - reach, (1.0 - unseen) * mean + unseen * floor) - _ROUNDING

    def least_p(self, *, ceiling: float, student: bool) -> float:
        """Never above the p-value of any completion against "0 or more".

        What stayed unseen bounds it for every method, see `widen_for_unseen`.

        Args:
            ceiling: Highest possible value.
            student: Whether each completion's interval is one of t, which bounds it more closely.
        """
        mean = self.least_mean
        if mean >= 0.0:
            return 1.0
        p = float(ceiling / (ceiling - mean)) ** len(self.lowest)
        low, _, sizes, known = self._grouped()
        groups, sums, weights = len(sizes), low[known], sizes[known]
        # Of known clusters alone, around the point that leaves least.
        left = total(sums * sums) - total(sums * weights) ** 2 / total(weights * weights) if len(sums) else 0.0
        if student and left > _ROUNDING:
            se = math.sqrt(groups / (groups - 1) * left) / len(self.lowest)
            p = max(p, float(special.stdtr(groups - 1, mean / se)))
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

    @property
    def clusters_differ(self) -> bool:
        """Whether two clusters differ in their means in every completion, so that `cluster_t` is defined."""
        low, _, sizes, known = self._grouped()
        means = (low / sizes)[known]
        return len(means) > 1 and float(means.max() - means.min()) > 1e-6

    @property
    def groups(self) -> int:
        """How many clusters there are."""
        return len(self._grouped()[2])

    def _grouped(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Sums of the lowest and of the highest values, sizes, and whether all is known, by cluster."""
        n = len(self.lowest)
        codes = np.arange(n) if self.clusters is None else np.unique(self.clusters, return_inverse=True)[1]
        low, high, unknown = (
            np.bincount(codes, weights=values).astype(np.float64)
            for values in (self.lowest, self.highest, self.lowest != self.highest)
        )
        return low, high, np.bincount(codes).astype(np.float64), unknown == 0.0
