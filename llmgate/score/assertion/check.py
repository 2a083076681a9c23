"""What a rule is given, and what it finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from llmgate.record.schema import Message
from llmgate.score.assertion.models import Models
from llmgate.suite.template import javascript

__all__ = ["CheckContext", "Consult", "Evaluate", "Finding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """One output and what belongs to it.

    What a provider reported is typed `object`: it may be absent (None) or garbage, and it is up to the check that
    needs it to say so.

    Attributes:
        output: The model's answer: text, or structured data where a provider returns an object or a list.
        variables: The dataset row.
        prompt: The rendered prompt.
        messages: The conversation that the prompt is, where it is one.
        latency_ms: How long the answer took, in milliseconds.
        cost: What the answer cost, in the provider's currency.
        logprobs: Log probabilities of the answer's tokens, a list of numbers.
        misspelt: The text that these tokens spell, where it is not the answer's; None where it is, or nobody knows.
        finish_reason: Why the answer ended.
        tokens: Counts by name: `prompt`, `completion`, `total`.
        tools: The tools that the model was offered, as in the request.
        functions: The same in OpenAI's older form.
        options: Settings of the whole test, such as the scores of factuality's categories.
    """

    output: object
    variables: Mapping[str, object] = field(default_factory=dict)
    prompt: str = ""
    messages: tuple[Message, ...] = ()
    latency_ms: object = None
    cost: object = None
    logprobs: object = None
    misspelt: str | None = None
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
    Forgeable is what the answer itself could have brought about, as code that ran together with its tests.
    """

    passed: bool
    score: float
    reason: str
    forgeable: bool = False

    @classmethod
    def of(cls, passed: bool, reason: str) -> Finding:
        """A finding that is either fully right or fully wrong."""
        return cls(passed, float(passed), reason)


Evaluate = Callable[[CheckContext], Finding]
"""A rule applied to one output. Raises an `LlmgateError` if the output cannot be evaluated."""
Consult = Callable[[CheckContext, Models], Awaitable[Finding]]
"""The same where models are asked."""
