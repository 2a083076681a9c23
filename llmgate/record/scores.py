"""Scores of one metric, one per case: what is left of a record when it comes to deciding."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["ItemScore", "ScoreTable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemScore:
    """The score of one case, or the reason why there is none.

    Attributes:
        item_id: Case id, unique within its table.
        score: Finite, in [0, 1], higher is better; None exactly when there is an error.
        cluster: Items that share a document, conversation or task carry the same key.
        error: Why the case could not be evaluated.

    Raises:
        ValueError: If score and error contradict each other or the score is no number in [0, 1].
    """

    item_id: str
    score: float | None
    cluster: str | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if (self.score is None) == (self.error is None):
            raise ValueError(f"item {self.item_id!r} needs either a score or an error")
        if self.score is not None and not (math.isfinite(self.score) and 0.0 <= self.score <= 1.0):
            raise ValueError(f"score {self.score} of item {self.item_id!r} is not a finite number in [0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """All cases of one suite on one metric, those without a score included.

    Attributes:
        suite: Suite name.
        metric: Metric name.
        items: One per case.

    Raises:
        ValueError: If an item id occurs twice.
    """

    suite: str
    metric: str
    items: tuple[ItemScore, ...]

    def __post_init__(self) -> None:
        if len({item.item_id for item in self.items}) != len(self.items):
            raise ValueError(f"an item id occurs twice in {self.suite}::{self.metric}")
