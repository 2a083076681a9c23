"""The check `regex`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.javascript.pattern import Pattern

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES"]


def _regex(spec: AssertSpec) -> Evaluate:
    def build(value: object) -> Pattern:
        if not isinstance(value, str) or not value:
            raise invalid_value(spec, "the value must be a pattern, written as a text that is not empty")
        try:
            return Pattern.compile(value)
        except SuiteError as error:
            raise invalid_value(spec, error.what, "Check brackets and quantifiers") from error

    rule = AssertRule.compile(spec, build)

    def evaluate(context: CheckContext) -> Finding:
        pattern = rule.on(context)
        matches = pattern.found_in(context.text)
        return Finding.of(matches, f"the pattern {pattern.source[:80]!r} {'matches' if matches else 'does not match'}")

    return evaluate


TYPES: Final = (
    CheckKind(
        id="regex",
        passes="the pattern is found",
        value="JavaScript's pattern; `(?i)` in front for any case",
        example={"value": r"^(\w+)\s\1$"},
        version="2",
        prepare=_regex,
    ),
)
