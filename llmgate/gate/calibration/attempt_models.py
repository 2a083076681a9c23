"""Models that answer anew at each run, for trying again: what stays the same, what does not, and what was lost.

A case of right-or-wrong scores is flaky with the share f of cases: both models are right on it every other time, anew
at each run. All others each model answers the same way at each run. Two unchanged models then differ on f/2 of the
cases, and half of the variance of a case's difference stays when the candidate alone is asked again (r = 0.5). A loss
is lost for good, on cases that the champion always gets right.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["AttemptDesign", "AttemptModels", "Scores", "draw_models"]

RIGHT: Final = 0.75
"""Share of the stable cases that the champion gets right."""
CHECKS: Final = 4
CLUSTER: Final = 17
CLUSTER_SD: Final = 0.1
"""By how much clusters differ in what the candidate gained or lost there."""


class Scores(StrEnum):
    """What is scored."""

    BINARY = "right or wrong"
    GRADED = "mean of four checks"
    CLUSTERED = "right or wrong, clusters of 17"
    TWO = "right or wrong, two metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDesign:
    """What is tried again.

    Attributes:
        scores: What is scored.
        pairs: Cases.
        discordance: Share of right-or-wrong scores that differ between two unchanged models; 0 for graded ones.
        champion_again: Whether each attempt is compared with a new run of the champion; else all with the same.
        looks: Whether the first attempt may stop early, at five looks.
    """

    scores: Scores
    pairs: int
    discordance: float = 0.0
    champion_again: bool = False
    looks: bool = False

    @property
    def metrics(self) -> int:
        """How many metrics gate."""
        return 2 if self.scores is Scores.TWO else 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttemptModels:
    """Many candidates and their champions, each on cases of its own.

    Attributes:
        candidate: The chance to be right, or the expected score, shape (R, n).
        champion: The same.
        clusters: Cluster codes, shape (n,), None where cases are independent.
        checks: A score is the mean of so many right-or-wrong checks.
    """

    candidate: NDArray[np.float64]
    champion: NDArray[np.float64]
    clusters: NDArray[np.int64] | None = None
    checks: int = 1

    def asked(self, chances: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Scores of one run of a model with these chances, shape (R, n)."""
        if self.checks == 1:
            return (rng.random(chances.shape) < chances).astype(np.float64)
        return np.asarray(rng.binomial(self.checks, chances) / self.checks)


def draw_models(design: AttemptDesign, loss: float, rng: np.random.Generator, size: int) -> AttemptModels:
    """Draw models and their cases.

    Args:
        design: What is tried.
        loss: What the candidate has lost on average, as a fraction.
        rng: Source of the draws.
        size: R.
    """
    shape = (size, design.pairs)
    if design.scores is Scores.GRADED:
        champion = rng.beta(2.0, 2.0, size=shape)
        return AttemptModels(candidate=champion * (1.0 - 2.0 * loss), champion=champion, checks=CHECKS)
    flaky = rng.random(shape) < 2.0 * design.discordance
    right = rng.random(shape) < RIGHT
    champion = np.where(flaky, 0.5, right.astype(np.float64))
    stable = 1.0 - 2.0 * design.discordance
    if design.scores is not Scores.CLUSTERED:
        gone = ~flaky & right & (rng.random(shape) < loss / (stable * RIGHT))
        return AttemptModels(candidate=np.where(gone, 0.0, champion), champion=champion)
    clusters = np.arange(design.pairs, dtype=np.int64) // CLUSTER
    shift = rng.normal(-loss, CLUSTER_SD, size=(size, int(clusters[-1]) + 1))[:, clusters] / stable
    # Where a cluster gained, the champion is wrong on what the candidate then gets right, and the other way round.
    moved = ~flaky & (rng.random(shape) < np.abs(shift))
    return AttemptModels(
        candidate=np.where(moved, (shift > 0.0).astype(np.float64), champion),
        champion=np.where(moved, (shift < 0.0).astype(np.float64), champion),
        clusters=clusters,
    )
