"""What a check is given and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from llmgate.score.assertion.models import Consult
from llmgate.suite.asserts import AssertSpec
from llmgate.suite.template import javascript

__all__ = ["CheckContext", "CheckKind", "ConsultKind", "Evaluate", "Finding", "Kind", "Need", "Prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """One output and what belongs to it.

    What a provider reported is typed `object`: it may be absent (None) or garbage, and it is up to the check that
    needs it to say so.

    Attributes:
        output: The model's answer: text, or structured data where a provider returns an object or a list.
        variables: The dataset row.
        prompt: The rendered prompt.
        latency_ms: How long the answer took, in milliseconds.
        cost: What the answer cost, in the provider's currency.
        logprobs: Log probabilities of the answer's tokens, a list of numbers.
        finish_reason: Why the answer ended.
        tokens: Counts by name: `prompt`, `completion`, `total`.
        tools: The tools that the model was offered, as in the request.
        functions: The same in OpenAI's older form.
        options: Settings of the whole test, such as the scores of factuality's categories.
    """

    output: object
    variables: Mapping[str, object] = field(default_factory=dict)
    prompt: str = ""
    latency_ms: object = None
    cost: object = None
    logprobs: object = None
    finish_reason: object = None
    tokens: Mapping[str, object] = field(default_factory=dict)
    tools: object = None
    functions: object = None
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The output as text: structured data becomes compact JSON."""
        return self.output if isinstance(self.output, str) else javascript.json_text(self.output)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, before `not-` turns it round.

    The score is finite. It lies in [0, 1], except for similarities, which may be negative; records keep it within.
    """

    passed: bool
    score: float
    reason: str

    @classmethod
    def of(cls, passed: bool, reason: str) -> Finding:
        """A finding that is either fully right or fully wrong."""
        return cls(passed, float(passed), reason)


Evaluate = Callable[[CheckContext], Finding]
"""Raises an `LlmgateError` if the output cannot be evaluated."""
Prepare = Callable[["AssertSpec"], Evaluate]
"""Raises a `SuiteError` if the rule is broken."""


class Need(StrEnum):
    """What a check has to ask."""

    JUDGE = "judge"
    EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckKind:
    """One entry of the vocabulary that needs nothing but the output.

    Attributes:
        prepare: Reads the rule once; whatever can be compiled is compiled here and not per case.
        version: Raised when the same output comes to mean something else; part of the suite's digest.
        settings: Keys that the assert's `config` may have.
    """

    prepare: Prepare
    version: str = "1"
    settings: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsultKind:
    """One entry of the vocabulary that asks a model.

    Attributes:
        prepare: Reads the rule once.
        needs: What has to be asked.
        needs_of: What one assert has to ask, where its settings decide; None where all ask the same.
        prompts: The prompts' fixed parts and reply schemas; their digest is part of the judge's identity.
        version: Raised when the same reply comes to mean something else; part of the suite's digest.
        settings: Keys that the assert's `config` may have.
    """

    prepare: Callable[[AssertSpec], Consult]
    needs: frozenset[Need]
    needs_of: Callable[[AssertSpec], frozenset[Need]] | None = None
    prompts: tuple[str, ...] = ()
    version: str = "1"
    settings: frozenset[str] = frozenset()


Kind = CheckKind | ConsultKind
