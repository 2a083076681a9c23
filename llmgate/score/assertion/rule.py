"""The value of an assert: rendered per case where it holds templates, turned into a rule once where it holds none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from llmgate.errors import SuiteError
from llmgate.suite.template import javascript
from llmgate.suite.template.nunjucks import Template

if TYPE_CHECKING:
    from llmgate.score.assertion.check import CheckContext
    from llmgate.suite.asserts import AssertSpec

__all__ = ["AssertRule", "RuleValue", "invalid_value", "refuse_hidden_templates", "shown"]

T = TypeVar("T")


def invalid_value(spec: AssertSpec, what: str, fix: str | None = None) -> SuiteError:
    """The error for a rule that cannot be used."""
    return SuiteError(f"{spec.name}: {what}", where=spec.where or None, fix=fix)


def shown(value: object) -> str:
    """A value as messages show it: its JSON, or the beginning of it."""
    return javascript.json_text(value)[:80]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleValue:
    """A value with its templates. A text is one, and so is each text directly inside a list; nothing deeper down.

    Attributes:
        parts: A template, a list whose texts are templates, or a value that is taken as it is.
        names: Columns that the templates need.
        constant: Whether the value is the same for every case.
    """

    parts: object
    names: frozenset[str]
    constant: bool

    @classmethod
    def compile(cls, spec: AssertSpec, *, deep: bool = False) -> RuleValue:
        """Reads the value of an assert.

        Args:
            spec: The assert.
            deep: Whether every text is a template, wherever it stands in lists and mappings.

        Raises:
            SuiteError: If a template does not parse, or the value names a file.
        """
        templates: list[Template] = []

        def read(value: object, level: int) -> object:
            if isinstance(value, str):
                if level == 0 or deep:
                    _refuse_file(spec, value)
                templates.append(Template.compile(value, where=spec.where or None))
                return templates[-1]
            if isinstance(value, list) and (level == 0 or deep):
                return [read(item, level + 1) if deep or isinstance(item, str) else item for item in value]
            if isinstance(value, Mapping) and deep:
                return {key: read(item, level + 1) for key, item in value.items()}
            return value

        return cls(
            parts=read(spec.value, 0),
            names=frozenset().union(*(template.names for template in templates)),
            constant=all(template.constant for template in templates),
        )

    def render(self, variables: Mapping[str, object]) -> object:
        """The value for one case.

        Raises:
            TemplateError: If a template cannot be rendered.
        """
        return _rendered(self.parts, variables)


def _rendered(parts: object, variables: Mapping[str, object]) -> object:
    if isinstance(parts, Template):
        return parts.render(variables)
    if isinstance(parts, list):
        return [_rendered(part, variables) for part in parts]
    if isinstance(parts, dict):
        return {key: _rendered(part, variables) for key, part in parts.items()}
    return parts


def refuse_hidden_templates(spec: AssertSpec) -> None:
    """Refuses templates deeper inside a value than they are rendered: they would be compared as they stand.

    For types of our own; promptfoo's compare such braces.

    Raises:
        SuiteError: If there is one.
    """
    deeper = spec.value if isinstance(spec.value, list) else [spec.value]
    waiting: list[object] = [item for item in deeper if not isinstance(item, str)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and ("{{" in value or "{%" in value):
            raise invalid_value(
                spec, f"the template {value[:60]!r} stands too deep in the value", "Write the value as one text"
            )
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _refuse_file(spec: AssertSpec, value: str) -> None:
    # promptfoo would read the file. Searching for its name instead would make not- forms pass for ever.
    if (
        value.startswith("file://")
        and len(value) > len("file://")
        and not any(c in javascript.WHITESPACE for c in value)
    ):
        raise invalid_value(
            spec, f"values are not read from files, but this one names {value}", "Put the text into the suite"
        )


@dataclass(frozen=True, slots=True)
class AssertRule(Generic[T]):
    """What a value means to its check, for example a compiled pattern.

    Attributes:
        value: The value with its templates.
        build: Turns a rendered value into the rule; raises a `SuiteError` if it is of no use.
        built: The rule where it is the same for every case.
    """

    value: RuleValue
    build: Callable[[object], T]
    built: T | None

    @classmethod
    def compile(cls, spec: AssertSpec, build: Callable[[object], T], *, deep: bool = False) -> AssertRule[T]:
        """Reads the rule, and builds it at once if it holds no templates.

        Args:
            spec: The assert.
            build: Turns a rendered value into the rule.
            deep: Whether every text in the value is a template.

        Raises:
            SuiteError: If the assert has no value, or one that is of no use.
        """
        if not spec.has_value:
            raise invalid_value(spec, "the assert has no value", "Add `value:`")
        value = RuleValue.compile(spec, deep=deep)
        return cls(value, build, build(value.render({})) if value.constant else None)

    def on(self, context: CheckContext) -> T:
        """The rule for one case.

        Raises:
            SuiteError: If the value is of no use once it is rendered.
        """
        return self.build(self.value.render(context.variables)) if self.built is None else self.built
