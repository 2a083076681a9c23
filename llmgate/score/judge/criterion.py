"""What judged asserts read from the suite: a criterion and further texts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["text_rule", "text_setting"]


def text_rule(spec: AssertSpec, what: str) -> AssertRule[str]:
    """The value of an assert as a text that is not blank.

    Args:
        spec: The assert.
        what: What the text is, for messages.

    Raises:
        SuiteError: If the value is missing, no text, or blank.
    """

    def build(value: object) -> str:
        if not isinstance(value, str):
            raise invalid_value(spec, f"the {what} must be a text, not {shown(value)}")
        if not javascript.trim(value):
            raise invalid_value(spec, f"the {what} is empty, so there is nothing to judge")
        return value

    return AssertRule.compile(spec, build)


def text_setting(spec: AssertSpec, name: str) -> AssertRule[str] | None:
    """The same for a setting of `config`, None if it is not there.

    Raises:
        SuiteError: If it is no text, blank, or does not parse.
    """
    return text_rule(replace(spec, value=spec.config[name], has_value=True), name) if name in spec.config else None
