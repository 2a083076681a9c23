"""Which pairs of systems the calibration harness compares, and which it must leave out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from llmgate.gate.calibration.resampled import SystemPair
from llmgate.gate.decision.wording import count, points

if TYPE_CHECKING:
    from llmgate.record.results.paired import PairedResults

__all__ = ["FEWEST_ITEMS", "Chosen", "choose"]

FEWEST_ITEMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Pairs of systems of one data set.

    Attributes:
        pairs: In the order of the systems' names.
        notes: What was left out, and why.
    """

    pairs: tuple[SystemPair, ...]
    notes: tuple[str, ...]


def choose(results: PairedResults, *, loss: float, most: int, rng: np.random.Generator) -> Chosen:
    """All pairs that share enough items and score high enough to lose something, or some of them.

    Args:
        results: The data set.
        loss: The largest loss that will be planted.
        most: Pairs to keep; more are drawn from at random.
        rng: Source of that draw.
    """
    pairs, small, poor = [], 0, 0
    present = ~np.isnan(results.scores)
    for first, second in combinations(range(len(results.systems)), 2):
        both = np.flatnonzero(present[first] & present[second])
        clusters = None if results.clusters is None else results.clusters[both]
        if len(both) < FEWEST_ITEMS or (clusters is not None and len(np.unique(clusters)) < 2):
            small += 1
            continue
        pair = SystemPair(
            name=f"{results.systems[first]} / {results.systems[second]}",
            first=results.scores[first, both],
            second=results.scores[second, both],
            clusters=clusters,
        )
        if pair.level < loss:
            poor += 1
            continue
        pairs.append(pair)
    usable, notes = len(pairs), []
    if small:
        notes.append(f"{count(small, 'comparison')} of {results.name} on fewer than {FEWEST_ITEMS} shared items")
    if poor:
        notes.append(
            f"{count(poor, 'comparison')} of {results.name} in which less than {points(loss)} points are scored, so"
            " that they cannot be lost"
        )
    if usable > most:
        pairs = [pairs[i] for i in np.sort(rng.choice(usable, most, replace=False)).tolist()]
        notes.append(f"{count(usable - most, 'comparison')} of {results.name}, not drawn from its {usable:,}")
    return Chosen(pairs=tuple(pairs), notes=tuple(notes))
