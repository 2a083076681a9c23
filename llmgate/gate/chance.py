"""What is known of how scores spread by chance alone: types only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Noise", "RepeatScores"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RepeatScores:
    """The scores of single answers on one metric. N answers to n cases, each case's answers next to each other.

    Attributes:
        suite: Suite name.
        metric: Metric name.
        ids: The n cases that have two answers or more, all of them scored.
        cases: Shape (N,): the index of each answer's case.
        scores: Shape (N,), in [0, 1].
        texts: Shape (N,): a number per answer, the same for answers to a case that are worded the same.
    """

    suite: str
    metric: str
    ids: tuple[str, ...]
    cases: NDArray[np.int64]
    scores: NDArray[np.float64]
    texts: NDArray[np.int64]

    @property
    def repeats(self) -> int:
        """The most answers that a case has."""
        return int(np.bincount(self.cases).max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How much the scores of one metric change between two runs of the same model, or of two releases.

    Attributes:
        suite: Suite name.
        metric: Metric name.
        variance: Of one case's difference. Of right-or-wrong scores it is the share of cases that flip.
        lowest: One-sided 95 % lower bound of it.
        highest: One-sided 95 % upper bound of it.
        cases: How many cases tell.
        repeats: Answers whose mean is a case's score.
        source: The `repeats` of one run, a second `run` of the same model, or the `history` of releases.
        binary: Whether a case's score is right or wrong, so that the variance is a discordance.
        flips: How often two scores of the same case differ.
    """

    suite: str
    metric: str
    variance: float
    lowest: float
    highest: float
    cases: int
    repeats: int
    source: Literal["repeats", "run", "history"]
    binary: bool
    flips: float
