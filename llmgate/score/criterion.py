"""What judged asserts read from the suite: a criterion, further texts, a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.score.rule import Rule, broken
from llmgate.suite import jsvalues
from llmgate.suite.asserts import AssertSpec
from llmgate.suite.template import Template

if TYPE_CHECKING:
    from llmgate.score.check import CheckContext

__all__ = ["Setting", "least_score", "text_rule", "whole_number"]


def text_rule(spec: AssertSpec, what: str) -> Rule[str]:
    """The value of an assert as a text that is not blank.

    Args:
        spec: The assert.
        what: What the text is, for messages.

    Raises:
        SuiteError: If the value is missing, no text, or blank.
    """

    def build(value: object) -> str:
        if not isinstance(value, str):
            raise broken(spec, f"the {what} must be a text, not {jsvalues.json_text(value)[:80]}")
        if not jsvalues.trim(value):
            raise broken(spec, f"the {what} is empty, so there is nothing to judge")
        return value

    return Rule.compile(spec, build)


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
        if not isinstance(value, str) or not jsvalues.trim(value):
            raise broken(spec, f"{name!r} must be a text, not {jsvalues.json_text(value)[:80]}")
        return cls(spec, name, Template.compile(value, where=spec.where or None))

    def on(self, context: CheckContext) -> str:
        """The text for one case.

        Raises:
            SuiteError: If it renders to nothing.
        """
        text = self.template.render(context.variables)
        if not jsvalues.trim(text):
            raise broken(self.spec, f"{self.name!r} is empty for this case")
        return text


def least_score(spec: AssertSpec, default: float, *, most: float | None = None) -> float:
    """The threshold on a score between 0 and 1.

    Args:
        spec: The assert.
        default: Where it has none.
        most: The largest threshold that makes sense, None to take any.

    Raises:
        SuiteError: If every output reaches it, or none can.
    """
    threshold = default if spec.threshold is None else spec.threshold
    if threshold <= 0:
        raise broken(spec, f"the threshold is {threshold:g}, so the check cannot fail", "Write a number above 0")
    if most is not None and threshold > most:
        raise broken(spec, f"the threshold is {threshold:g}, but no score is above {most:g}")
    return threshold


def whole_number(spec: AssertSpec, name: str, *, least: int, most: int) -> int | None:
    """A whole number in an assert's `config`, None if it is not there.

    Raises:
        SuiteError: If it is none, or out of range.
    """
    if name not in spec.config:
        return None
    value = spec.config[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise broken(spec, f"{name!r} must be a whole number from {least} to {most}")
    return value
