"""What judged asserts read from the suite: a criterion and further texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.suite.asserts import AssertSpec
from llmgate.suite.template import javascript
from llmgate.suite.template.template import Template

if TYPE_CHECKING:
    from llmgate.score.assertion.check import CheckContext

__all__ = ["Setting", "text_rule"]


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


@dataclass(frozen=True, slots=True)
class Setting:
    """A text in an assert's `config`, with templates."""

    spec: AssertSpec
    name: str
    template: Template

    @classmethod
    def compile(cls, spec: AssertSpec, name: str) -> Setting | None:
        """Reads the setting, None if it is not there.

        Raises:
            SuiteError: If it is no text, blank, or does not parse.
        """
        if name not in spec.config:
            return None
        value = spec.config[name]
        if not isinstance(value, str) or not javascript.trim(value):
            raise invalid_value(spec, f"{name!r} must be a text, not {shown(value)}")
        return cls(spec, name, Template.compile(value, where=spec.where or None))

    def on(self, context: CheckContext) -> str:
        """The text for one case.

        Raises:
            SuiteError: If it renders to nothing.
        """
        text = self.template.render(context.variables)
        if not javascript.trim(text):
            raise invalid_value(self.spec, f"{self.name!r} is empty for this case")
        return text
