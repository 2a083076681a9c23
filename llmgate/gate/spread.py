"""How far the differences of pairs scatter: the standard errors that other tools print, whatever interval decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.stats.standard_error import clustered_standard_error, standard_error

if TYPE_CHECKING:
    from llmgate.gate.pairing import Pairs

__all__ = ["Spread", "spread_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Standard errors of the mean difference, as fractions; None where there is no such thing.

    Attributes:
        se: Over independent pairs.
        se_clustered: With whole clusters as the unit.
        clusters: How many there are.
    """

    se: float | None = None
    se_clustered: float | None = None
    clusters: int | None = None


def spread_of(pairs: Pairs | None) -> Spread:
    """Of the differences of pairs; nothing without a champion, for fewer than two pairs or fewer than two clusters."""
    if pairs is None or pairs.champion is None or len(pairs.candidate) < 2:
        return Spread()
    differences = pairs.candidate - pairs.champion
    se = standard_error(differences)
    if pairs.clusters is None:
        return Spread(se=se)
    clusters = int(pairs.clusters.max()) + 1
    clustered = clustered_standard_error(differences, pairs.clusters) if clusters > 1 else None
    return Spread(se=se, se_clustered=clustered, clusters=clusters)
