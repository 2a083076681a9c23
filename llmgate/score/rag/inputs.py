"""What an assert about retrieval looks at: question, passages, reference. And when its score passes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from llmgate.errors import UndefinedError
from llmgate.score.assertion.check import CheckContext, Finding
from llmgate.score.assertion.rule import RuleValue, invalid_value
from llmgate.suite.asserts import AssertSpec
from llmgate.suite.template import javascript

__all__ = ["DEFAULT_THRESHOLD", "PASSAGES", "QUERY", "Inputs", "judged", "unit_score"]

DEFAULT_THRESHOLD: Final = 0.5
PASSAGES: Final = "template of the passages"
QUERY: Final = "template of the question"
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "context": ("context", "contexts"),
    "query": ("query", "question"),
    "reference": ("reference",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Where an assert finds what it looks at: its `config` and `value` come first, the columns of the row second."""

    spec: AssertSpec
    given: Mapping[str, RuleValue]

    @classmethod
    def compile(cls, spec: AssertSpec, *, reference: bool = False) -> Inputs:
        """Reads `config: {context, query}`, and `value` as the reference.

        Raises:
            SuiteError: If a template does not parse, or a value is given to a type that uses none.
        """
        given = {
            name: RuleValue.compile(replace(spec, value=spec.config[name]))
            for name in ("context", "query")
            if name in spec.config
        }
        if spec.has_value and not reference:
            raise invalid_value(spec, "this type takes no value", "Remove `value:`")
        if spec.has_value:
            given["reference"] = RuleValue.compile(spec)
        return cls(spec=spec, given=given)

    def passages(self, context: CheckContext) -> tuple[str, ...]:
        """What was retrieved, in order.

        Raises:
            SuiteError: If there is nothing, or something else than texts.
        """
        written = self._find(context, "context")
        passages = tuple(written) if isinstance(written, list | tuple) else (written,)
        if not all(isinstance(passage, str) for passage in passages):
            raise invalid_value(self.spec, "the context is neither a text nor a list of texts")
        if not any(javascript.trim(passage) for passage in passages):
            raise invalid_value(self.spec, "the context is empty")
        return passages

    def has(self, context: CheckContext, name: str) -> bool:
        """Whether there is a `context`, `query` or `reference` at all."""
        return name in self.given or any(column in context.variables for column in _COLUMNS[name])

    def query(self, context: CheckContext) -> str:
        """The user's question.

        Raises:
            SuiteError: If there is none.
        """
        return self._text(context, "query")

    def reference(self, context: CheckContext) -> str:
        """The right answer.

        Raises:
            SuiteError: If there is none.
        """
        return self._text(context, "reference")

    def answer(self, context: CheckContext) -> str:
        """The model's answer.

        Raises:
            UndefinedError: If it is empty, so that there is nothing to judge.
        """
        if not javascript.trim(context.text):
            raise UndefinedError(f"{self.spec.name}: the answer is empty, so there is nothing to judge")
        return context.text

    def _text(self, context: CheckContext, name: str) -> str:
        text = self._find(context, name)
        if not isinstance(text, str) or not javascript.trim(text):
            raise invalid_value(self.spec, f"the {name} is {'empty' if isinstance(text, str) else 'no text'}")
        return text

    def _find(self, context: CheckContext, name: str) -> object:
        columns = _COLUMNS[name]
        if name in self.given:
            return self.given[name].render(context.variables)
        for column in columns:
            if column in context.variables:
                return context.variables[column]
        where = "`value:`" if name == "reference" else f"`config: {{{name}: …}}`"
        raise invalid_value(
            self.spec, f"there is no {name}", f"Give the row a column {' or '.join(columns)}, or the assert {where}"
        )


def judged(score: float, threshold: float, what: str) -> Finding:
    """A finding from a score; one that lies below the threshold only by rounding passes, as in promptfoo.

    Args:
        score: Of the output.
        threshold: The least score that passes.
        what: Says what was found.

    Raises:
        UndefinedError: If the score is not finite.
    """
    if not abs(score) < float("inf"):
        raise UndefinedError(f"the score is {score}")
    passed = score >= threshold - sys.float_info.epsilon
    return Finding(passed, score, f"{what}: {score:.2f}, wanted {threshold:g}")


def unit_score(name: str, value: object) -> float:
    """A score that another library gave.

    Raises:
        UndefinedError: If it is no number from 0 to 1.
    """
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return float(value)
    # Also a number of a kind of its own, such as numpy's.
    try:
        score = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        score = float("nan")
    if isinstance(value, str) or not 0 <= score <= 1:
        raise UndefinedError(f"{name} gave {value!r:.40}, which is no score from 0 to 1")
    return score
