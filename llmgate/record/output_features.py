"""Output features, compared between two models whatever the asserts say: how answers look, not how good they are.

They are read while the answers come in, one at a time, so that deciding needs neither the model nor these rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "DEFAULT_LENGTH_MARGIN",
    "FEATURE_RULES_VERSION",
    "FORMAT_TYPES",
    "REFUSAL_TYPES",
    "AnswerFeatures",
    "FeatureWatch",
    "OutputFeature",
]

FEATURE_RULES_VERSION: Final = 1
"""Raised when the same answer comes to have other features; answers read by two versions are not compared."""

DEFAULT_LENGTH_MARGIN: Final = 0.2
"""Answers may become a fifth longer, or shorter by the same factor."""

FORMAT_TYPES: Final = frozenset(
    {"is-json", "contains-json", "is-xml", "contains-xml", "is-valid-openai-tools-call", "is-valid-function-call"}
    | {"is-valid-openai-function-call"}
)
"""Assert types that ask for a format; a case has the feature `schema` if it has one of them."""

REFUSAL_TYPES: Final = frozenset({"is-refusal", "refusal"})
"""Assert types that ask for a refusal; such a case does not have the feature `refusals`: there a refusal is right."""


class OutputFeature(StrEnum):
    """What is compared."""

    REFUSALS = "refusals"
    SCHEMA = "schema"
    LENGTH = "length"
    EMBEDDINGS = "embeddings"

    @property
    def metric(self) -> str:
        """The name that it has among the metrics of a suite."""
        return f"drift-{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFeatures:
    """One answer's features. Whether it has the format asked for stands with its checks.

    Attributes:
        refusal: Whether it declines to answer; an empty answer does.
        characters: Its length in Unicode code points; calls of tools count as their JSON.
        vector: Its embedding of length 1, packed; None where no embedding was asked for, or there is none.
        reading: The version of the rules by which these were read.

    Raises:
        ValueError: If the length is negative.
    """

    refusal: bool
    characters: int
    vector: str | None = None
    reading: int = FEATURE_RULES_VERSION

    def __post_init__(self) -> None:
        if self.characters < 0:
            raise ValueError(f"an answer of {self.characters} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureWatch:
    """An output feature of a suite that is shown and does not gate; one that gates is a metric."""

    suite: str
    trait: OutputFeature
