"""What a report says of single cases, in words: see `rows`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmgate.report.pieces import Text

__all__ = [
    "Answer",
    "AnswerPair",
    "CaseRow",
    "CheckRow",
    "ErrorRow",
    "Listing",
    "PromptRow",
    "Share",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One assert and how it ended."""

    type: str
    metric: str
    outcome: str
    score: str
    reason: str
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRow:
    """One message of a prompt."""

    role: str
    text: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One side's answer to one repeat of a case.

    Attributes:
        outcome: Of the metric that the card is about, of all checks where it is about none; `score` where a pass and a
            fail say too little.
        how: The outcome in words: `passed`, `67 %`.
        failure: Why there is no answer.
    """

    outcome: Literal["pass", "fail", "error", "score"]
    how: str
    text: Text
    failure: str
    checks: tuple[CheckRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPair:
    """Both sides' answers to the same repeat; None where a side was not asked."""

    repeat: int
    champion: Answer | None
    candidate: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """A case with its answers.

    Attributes:
        metric: The metric that it is about; empty where it is about none.
        change: `100 % → 0 %`, or what else is to be said in one phrase.
        note: What is not shown, empty if everything is.
        why: What a check of that metric says of the candidate's answer, or why there is none.
        parts: The failing slices that the case lies in.
        also: How its scores on other metrics changed.
    """

    suite: str
    case: str
    metric: str
    change: str
    better: bool
    required: bool
    prompt: tuple[PromptRow, ...]
    expected: Text
    pairs: tuple[AnswerPair, ...]
    note: str
    why: str = ""
    parts: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many cases of a list a metric has, and how many of them have a card; `fails`: it or a slice of it fails."""

    suite: str
    metric: str
    fails: bool
    total: int
    shown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The first rows of a list, and how long the list is.

    Attributes:
        rows: One per case.
        total: Cases that belong to the list.
        above: Those of them whose card stands in an earlier list.
        shares: The metrics that the list is about, those that fail first.
    """

    rows: tuple[CaseRow, ...]
    total: int
    above: int = 0
    shares: tuple[Share, ...] = ()

    @property
    def left_out(self) -> int:
        """Cases that have no card."""
        return self.total - self.above - len(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """Answers that could not be evaluated for the same cause."""

    side: Literal["candidate", "champion"]
    cause: str
    count: int
    cases: tuple[str, ...]
    left_out: int
