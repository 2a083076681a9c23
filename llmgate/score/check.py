"""What a check is given and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmgate.suite import jsvalues

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["CheckContext", "CheckKind", "Evaluate", "Finding", "Prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """One output and what belongs to it.

    Attributes:
        output: The model's answer: text, or structured data where a provider returns an object or a list.
        variables: The dataset row.
        prompt: The rendered prompt.
    """

    output: object
    variables: Mapping[str, object] = field(default_factory=dict)
    prompt: str = ""

    @property
    def text(self) -> str:
        """The output as text: structured data becomes compact JSON."""
        return self.output if isinstance(self.output, str) else jsvalues.json_text(self.output)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, before `not-` turns it round. The score lies in [0, 1]."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckKind:
    """One entry of the vocabulary.

    Attributes:
        prepare: Reads the rule once; whatever can be compiled is compiled here and not per case.
        judged: Whether a judge model has to be asked, so that `prepare` only reads the rule.
    """

    prepare: Prepare
    judged: bool = False
