"""Items that people have labelled: single answers, and pairs of answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["AnswerItem", "PairItem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerItem:
    """One answer and what people said about it.

    Attributes:
        id: Stable and unique.
        output: The answer.
        human: Each person's label, None where one gave none.
        prompt: What it answers.
        variables: Columns for the assert's templates.
        cluster: Items that are not independent of each other share it.
        stratum: The part of the items that it belongs to.
    """

    id: str
    output: str
    human: tuple[bool | None, ...]
    prompt: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    cluster: str | None = None
    stratum: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairItem:
    """Two answers to one question and which of them people found better.

    Attributes:
        id: Stable and unique.
        output_1: An answer.
        output_2: Another answer.
        human: Each person's vote: 1 or 2 for that answer, 0 for a tie, None where one gave none.
        prompt: What both answer.
        variables: Columns for the criterion's templates.
        cluster: Items that are not independent of each other share it.
        stratum: The part of the items that it belongs to.
    """

    id: str
    output_1: str
    output_2: str
    human: tuple[int | None, ...]
    prompt: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    cluster: str | None = None
    stratum: str | None = None
