"""One definition for each assert type: its rule, what it asks, and what people read about it.

The cookbook's tables and the editors' schema are made from definitions, and tests of all types run their examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from llmgate.record.output_features import OutputFeature
from llmgate.score.assertion.check import Consult, Evaluate
from llmgate.suite.asserts import AssertSpec, Json

__all__ = ["AssertType", "CheckKind", "Kind", "ModelGradedKind", "Need", "Prepare"]

Prepare = Callable[[AssertSpec], Evaluate]
"""Reads a rule once; whatever can be compiled is compiled here and not per case. Raises a `SuiteError` if the rule is
of no use."""


def never(_: AssertSpec) -> bool:
    """Of no assert of a type."""
    return False


def no_folder(_: AssertSpec) -> str | None:
    """Of an assert that asks no model on this machine."""
    return None


class Need(StrEnum):
    """What is asked for beside the answer, and so what an assert costs: nothing else does cost anything."""

    LOGPROBS = "logprobs"
    EMBEDDINGS = "embeddings"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertType:
    """What an assert type says of itself.

    Attributes:
        id: The type in suites, without `not-`, which may stand before each.
        passes: When an answer passes; of a type in a table of scores, what is measured. Markdown, as what follows.
        score: What lies between 0 and 1; empty where a score is one or the other.
        value: What `value:` is, with examples; empty where there is none.
        threshold: `threshold:` where it is absent, and what it bounds if not the score from below.
        settings: Keys that `config:` may have, with what they mean, and are if absent.
        use: What it is for, where several types compete.
        example: The rest of a sound assert.
        extra: The extra of our distribution that holds what it needs.
        deep: Whether every text in its value is a template, wherever it stands.
        forgeable: Whether an answer could bring about a pass of this assert without being right.
        feature: What an answer shows that passes, where that is a feature of outputs by which models are compared.
        asks: What is asked for.
        version: Raised when the same output comes to mean something else; part of the suite's digest.
    """

    id: str
    passes: str = ""
    score: str = ""
    value: str = ""
    threshold: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    use: str = ""
    example: Mapping[str, Json] = field(default_factory=dict)
    extra: str = ""
    deep: bool = False
    forgeable: Callable[[AssertSpec], bool] = never
    feature: OutputFeature | None = None
    asks: frozenset[Need] = frozenset()
    version: str = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckKind(AssertType):
    """A type that asks no model."""

    prepare: Prepare


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGradedKind(AssertType):
    """A type that asks models.

    Attributes:
        prepare: Reads the rule once.
        asks_of: What one assert asks for, where its settings decide.
        prompts: The prompts' fixed parts and reply schemas; their digest is part of the judge's identity.
        folder: The model on this machine that an assert asks, as the suite names it; None if it asks none.
    """

    prepare: Callable[[AssertSpec], Consult]
    asks: frozenset[Need] = frozenset({Need.JUDGE})
    asks_of: Callable[[AssertSpec], frozenset[Need]] | None = None
    prompts: tuple[str, ...] = ()
    folder: Callable[[AssertSpec], str | None] = no_folder


Kind = CheckKind | ModelGradedKind
