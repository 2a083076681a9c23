"""The rule for clusters: the outermost of three bounds, each of which errs where another does not.

- *Random subsets* (Hartigan 1969, see `subsets`) are exact for clusters of any sizes whose errors are symmetric.
- *Cluster-robust t* with G − 1 degrees of freedom and the factor G/(G − 1) (Cameron & Miller 2015, Journal of Human
  Resources 50:317-372) is good for many clusters of like sizes. Alone, it let a lost margin pass in 19 % where one of
  41 clusters held half of the cases.
- *Hall's t* (Hall 1992, see `skewed`) follows the skewness of cluster sums, which is what real losses have.

The lower bound is the least of the three, the upper bound the largest, and so are p-values. Kinds of clusters that are
absent from the data no method can know of; `facts` says how frequent they may be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import UndefinedError
from llmgate.stats import special
from llmgate.stats.clusters.grouped import ROUNDING, Clusters, ClusterSums, grouped
from llmgate.stats.clusters.skewed import reach, skewness, transformed
from llmgate.stats.clusters.subsets import EXACT_UP_TO, SubsetMeans, least_groups, subset_means
from llmgate.stats.interval import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["METHOD", "ClusterTest", "check_groups", "cluster_interval", "cluster_test"]

METHOD: Final = "clusters: widest of random subsets, robust t and Hall's t"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClusterTest:
    """A mean over clusters, to be held against any limit.

    Attributes:
        clusters: Values by cluster.
        alpha: One-sided error rate of the bounds.
        mean: μ̂.
        standard_error: Cluster-robust.
        kappa: Of the clusters' residuals, see `skewed`.
        subsets: Means over subsets of clusters.
        seed: Of the subsets.
    """

    clusters: ClusterSums
    alpha: float
    mean: float
    standard_error: float
    kappa: float
    subsets: SubsetMeans
    seed: int = 0

    @property
    def df(self) -> int:
        """G − 1."""
        return self.clusters.groups - 1

    @property
    def lower(self) -> float:
        """One-sided lower bound; −∞ where subsets are too few for alpha."""
        t = self._t
        most = max(t, reach(t, self.kappa)) * self.standard_error
        return min(self.subsets.lower(self.alpha), self.mean - most) - ROUNDING

    @property
    def upper(self) -> float:
        """One-sided upper bound; ∞ where subsets are too few for alpha."""
        t = self._t
        most = max(t, reach(t, -self.kappa)) * self.standard_error
        return max(self.subsets.upper(self.alpha), self.mean + most) + ROUNDING

    def p_at_most(self, limit: float) -> float:
        """P-value against "the mean is `limit` or less"; at most alpha exactly where `lower` is above the limit."""
        statistic = (self.mean - limit) / self.standard_error
        rest = max(self._tail(-statistic), self._tail(-transformed(statistic, self.kappa)))
        coarse = self.subsets.p_at_most(limit)
        if self._told(coarse, rest):
            return max(rest, coarse)
        return max(rest, min(coarse, self._finer().p_at_most(limit)))

    def p_at_least(self, limit: float) -> float:
        """P-value against "the mean is `limit` or more"; at most alpha exactly where `upper` is below the limit."""
        statistic = (self.mean - limit) / self.standard_error
        rest = max(self._tail(statistic), self._tail(transformed(statistic, self.kappa)))
        coarse = self.subsets.p_at_least(limit)
        if self._told(coarse, rest):
            return max(rest, coarse)
        return max(rest, min(coarse, self._finer().p_at_least(limit)))

    def interval(self, *, floor: float, ceiling: float) -> Interval:
        """The bounds, with `p_negative` against "0 or more".

        Args:
            floor: Lowest possible value of the mean; the bound where there is no other.
            ceiling: Highest possible value, likewise.

        Raises:
            UndefinedError: If the mean lies outside of its range, or there are bounds of neither kind.
        """
        return Interval(
            estimate=self.mean,
            lower=max(self.lower, floor),
            upper=min(self.upper, ceiling),
            alpha=self.alpha,
            method=METHOD,
            p_negative=self.p_at_least(0.0),
            standard_error=self.standard_error,
            df=self.df,
        )

    @property
    def _t(self) -> float:
        return float(special.stdtrit(self.df, 1.0 - self.alpha))

    def _tail(self, statistic: float) -> float:
        return float(special.stdtr(self.df, statistic))

    def _told(self, coarse: float, rest: float) -> bool:
        """Whether more subsets could not make the p-value smaller."""
        exact = self.clusters.groups <= EXACT_UP_TO
        return exact or coarse > self.subsets.finest or rest >= coarse

    def _finer(self) -> SubsetMeans:
        # A new draw, taken only where the first is as far from the limit as it can be, keeps every error rate.
        return subset_means(self.clusters, alpha=self.alpha, seed=self.seed, finer=True)


def cluster_test(values: NDArray[np.float64], clusters: Clusters, *, alpha: float, seed: int = 0) -> ClusterTest:
    """The mean of all values, Σs/n with the clusters' sums s and n values, as a test.

    Args:
        values: Shape (n,), in any unit.
        clusters: The cluster key of each value.
        alpha: One-sided error rate.
        seed: Another seed, other subsets of more than 12 clusters.

    Raises:
        UndefinedError: For clusters that are too few to decide at alpha (fewer than five at 0.05) or show no spread,
            and for values that are not finite.
    """
    sums = grouped(values, clusters, alpha=alpha)
    check_groups(sums.groups, alpha=alpha)
    return ClusterTest(
        clusters=sums,
        alpha=alpha,
        mean=sums.mean,
        standard_error=sums.standard_error,
        kappa=skewness(sums.residuals),
        subsets=subset_means(sums, alpha=alpha, seed=seed),
        seed=seed,
    )


def cluster_interval(
    values: NDArray[np.float64],
    clusters: Clusters,
    *,
    alpha: float,
    seed: int = 0,
    floor: float = -1.0,
    ceiling: float = 1.0,
) -> Interval:
    """Bounds of the mean of all values, by the outermost of three methods.

    Args:
        values: Shape (n,), all in [floor, ceiling].
        clusters: The cluster key of each value.
        alpha: One-sided error rate.
        seed: Another seed, other subsets of more than 12 clusters.
        floor: Lowest possible value; the bound where there is no other.
        ceiling: Highest possible value, likewise.

    Raises:
        UndefinedError: As `cluster_test`, and for a mean that lies outside its range.
    """
    return cluster_test(values, clusters, alpha=alpha, seed=seed).interval(floor=floor, ceiling=ceiling)


def check_groups(groups: int, *, alpha: float) -> None:
    """Refuse clusters that are too few to decide anything.

    Raises:
        UndefinedError: If 2^G < 1/α: then even the most extreme of all subsets proves nothing at alpha.
    """
    least = least_groups(alpha)
    if groups < least:
        have = "one cluster" if groups == 1 else f"{groups} clusters"
        raise UndefinedError(
            f"the cases belong to {have}, which are too few to decide: at an error rate of {100.0 * alpha:.3g} % it"
            f" takes {least}",
            fix="Add cases of more clusters",
        )
