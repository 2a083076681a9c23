"""What is known of the champion's run that a decision compares with: how it came about, and how old it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BaselineFacts", "How"]

How = Literal["fresh", "stored", "selected", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineFacts:
    """The champion's run.

    All chances are of the gate that an unchanged model fails most often; None where nothing was compared.

    Attributes:
        how: `fresh` if the champion was asked beside the candidate; `stored` if the run was recorded to be compared
            with, or passed by thresholds alone; `selected` if it was itself a candidate, and is the champion's because
            it passed; `unknown` where a newer version says what this one does not know.
        answered_at: When it began to answer, UTC, ISO 8601.
        age_days: How many days before the candidate that was; None if a time cannot be read.
        fail_if_unchanged: P(FAIL | δ = 0) with this baseline; against a stored run, on average over such runs.
        fail_if_fresh: P(FAIL | δ = 0) had the champion been asked beside the candidate.
        unlucky: What P(FAIL | δ = 0) exceeds for one stored run in ten, as they differ in luck; None for others.
    """

    how: How
    answered_at: str
    age_days: int | None = None
    fail_if_unchanged: float | None = None
    fail_if_fresh: float | None = None
    unlucky: float | None = None
