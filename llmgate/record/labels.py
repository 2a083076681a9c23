"""What people say of single answers: which cases were drawn for them, and their word on each answer. Types and drawing.

Labels correct a judge only if which cases have them does not depend on the answers. So the cases are drawn: the order
of all cases follows from a seed, and the first so many are labelled. The file of labels names seed and number, and
whoever reads it draws again: a case that was drawn and has no label, or has one and was not drawn, is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmgate.record.schema import Generation

__all__ = [
    "ALIKE",
    "LABELS_MAJOR",
    "LEAST_DRAWN",
    "AnswerKey",
    "AnswerLabels",
    "answer_digest",
    "draw_cases",
    "draw_strata",
    "own_seed",
    "share_out",
]

LABELS_MAJOR = 1
"""Readers refuse a file with another major version."""
ALIKE = "alike"
"""The part of the cases on which a judge scores both sides alike; the others are `better` and `worse`."""
LEAST_DRAWN = 15
"""Cases of every part, or all that it has: a part of which nearly nothing was seen tells nearly nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class AnswerKey:
    """Names an answer to a case by what it says, whoever gave it: people must not see whose it is."""

    case: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLabels:
    """A file of labels for one metric of one suite.

    Attributes:
        source: Where it was read from.
        digest: SHA-256 over its bytes.
        suite: Suite name.
        metric: The metric whose score people give.
        cases: How many cases were drawn.
        seed: Of the drawing.
        candidate: Journal digest of the candidate's record.
        champion: Journal digest of the champion's record, None without one.
        labels: What people say, in [0, 1]; of every answer in the file.
        strata: Where cases were drawn by what the judge says of them: of each part how many there are, and how many
            were drawn. Empty where all cases had the same chance.
    """

    source: str
    digest: str
    suite: str
    metric: str
    cases: int
    seed: int
    candidate: str
    champion: str | None
    labels: Mapping[AnswerKey, float]
    strata: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def drawn_by_choice(self) -> bool:
        """Whether somebody chose the seed."""
        return self.seed != own_seed(self.suite, self.metric, self.champion or self.candidate)


def draw_cases(cases: Iterable[str], number: int, *, seed: int) -> tuple[str, ...]:
    """The first so many of all cases in an order that only the seed and their ids decide.

    A larger number draws the same cases and more, so that labels can be added to.

    Args:
        cases: The ids of all cases that feed the metric.
        number: How many; all if there are fewer.
        seed: Any integer.
    """
    return tuple(sorted(cases, key=lambda case: hashlib.sha256(f"{seed}\x00{case}".encode()).digest())[:number])


def share_out(sizes: Mapping[str, int], number: int) -> dict[str, int]:
    """How many cases of each part are drawn: twice as many of those on which the sides differ, `LEAST_DRAWN` at least.

    Args:
        sizes: Cases of each part.
        number: How many in all; all if there are fewer.
    """
    number = min(number, sum(sizes.values()))
    drawn = {part: min(size, LEAST_DRAWN) for part, size in sizes.items()}
    weight = {part: size * (1 if part == ALIKE else 2) for part, size in sizes.items()}
    while sum(drawn.values()) < number:
        open_ = [part for part in sorted(sizes) if drawn[part] < sizes[part]]
        # The one that is furthest below its share takes the next.
        part = max(open_, key=lambda one: (weight[one] / (drawn[one] + 1), one))
        drawn[part] += 1
    return drawn


def draw_strata(parts: Mapping[str, Iterable[str]], number: int, *, seed: int) -> dict[str, tuple[str, ...]]:
    """Of each part so many of its cases, by the same order as `draw_cases`.

    Args:
        parts: The ids of the cases of each part.
        number: How many in all.
        seed: Any integer.
    """
    whole = {part: tuple(cases) for part, cases in parts.items()}
    drawn = share_out({part: len(cases) for part, cases in whole.items()}, number)
    return {part: draw_cases(cases, drawn[part], seed=seed) for part, cases in whole.items()}


def own_seed(suite: str, metric: str, journal: str) -> int:
    """A seed that nobody chose: it follows from the champion's answers (the candidate's, without a champion)."""
    return int.from_bytes(hashlib.sha256(f"{suite}\x00{metric}\x00{journal}".encode()).digest()[:6], "big")


def answer_digest(answer: Generation) -> str:
    """SHA-256 over what an answer says: its text and its calls of tools."""
    calls = None if answer.tool_calls is None else [dict(call) for call in answer.tool_calls]
    return hashlib.sha256(json.dumps([answer.text, calls], sort_keys=True, ensure_ascii=True).encode()).hexdigest()
