"""How much clusters tell: how many there are, how unequal, and what kind of them may have stayed unseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats.clusters.grouped import Clusters, cluster_codes
from llmgate.stats.unseen import unseen_share

__all__ = ["FEW_EFFECTIVE", "ClusterFacts", "facts_of"]

FEW_EFFECTIVE: Final = 8.0
"""An effective number below which a single cluster may turn a decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """What is known of clusters before any value is.

    Attributes:
        groups: G.
        effective: n²/Σz²: the number of equal clusters that would weigh as much.
        largest_share: Share of the cases that the largest cluster holds.
        unseen: The share of all clusters that a kind of cluster may have and still be absent from these with
            probability alpha: 1 − α^(1/G).
    """

    groups: int
    effective: float
    largest_share: float
    unseen: float

    @property
    def few(self) -> bool:
        """Whether a single cluster may turn the decision."""
        return self.effective < FEW_EFFECTIVE


def facts_of(clusters: Clusters, *, alpha: float) -> ClusterFacts:
    """Facts about clusters.

    Args:
        clusters: The cluster key of each case, at least one.
        alpha: One-sided error rate.

    Raises:
        UndefinedError: If there is no case, or alpha is none.

    Reference: Kish (1965), Survey Sampling, section 5.4, for the effective number; Clopper & Pearson (1934) at zero
    successes for what stayed unseen.
    """
    if not len(clusters):
        raise UndefinedError("no cases have no clusters")
    codes, groups = cluster_codes(clusters)
    sizes = np.bincount(codes, minlength=groups).astype(np.float64)
    n = float(sizes.sum())
    return ClusterFacts(
        groups=groups,
        effective=n * n / float(sizes @ sizes),
        largest_share=float(sizes.max()) / n,
        unseen=unseen_share(groups, alpha=alpha),
    )
