"""Checks of markup: is-html, contains-html, is-xml, contains-xml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from llmgate.errors import did_you_mean
from llmgate.record.output_features import OutputFeature
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind, Prepare
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.assertion.settings import refuse_value
from llmgate.score.markup.contains_html import count_html_signs
from llmgate.score.markup.contains_xml import Content, XmlScan, holds
from llmgate.score.markup.is_xml import xml_problem
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES"]

_ENOUGH_SIGNS = 2


def _is_html(spec: AssertSpec) -> Evaluate:
    from llmgate.score.markup.is_html import html_problem  # noqa: PLC0415 - html5lib is slow to import

    refuse_value(spec)

    def evaluate(context: CheckContext) -> Finding:
        problem = html_problem(context.text)
        return Finding.of(problem is None, problem or "the output is HTML")

    return evaluate


def _contains_html(spec: AssertSpec) -> Evaluate:
    refuse_value(spec, "Use contains for a text to look for")

    def evaluate(context: CheckContext) -> Finding:
        signs = count_html_signs(context.text)
        return Finding.of(signs >= _ENOUGH_SIGNS, f"{signs} signs of HTML, wanted {_ENOUGH_SIGNS} or more")

    return evaluate


def _xml(problem_of: Callable[[str, list[str]], str | None]) -> Prepare:
    def prepare(spec: AssertSpec) -> Evaluate:
        rule = AssertRule.compile(spec, lambda value: _required(spec, value)) if spec.has_value else None

        def evaluate(context: CheckContext) -> Finding:
            problem = problem_of(context.text, rule.on(context) if rule else [])
            return Finding.of(problem is None, problem or "found XML with all that is required")

        return evaluate

    return prepare


def _is_xml(text: str, required: list[str]) -> str | None:
    problem = xml_problem(text)
    if problem is not None:
        return f"not XML: {problem}"
    if not required:
        return None
    scan = XmlScan(text, trusted=True)
    return _missing([scan.prolog | group for group in scan.groups], required)


def _contains_xml(text: str, required: list[str]) -> str | None:
    groups = XmlScan(text).groups
    return _missing(groups, required) if groups else "no well-formed XML was found"


def _missing(groups: list[dict[str, Content]], required: list[str]) -> str | None:
    """The elements that are missing where the fewest are, None if some group has all."""
    missing = min(
        ([path for path in required if not holds(group, path)] for group in groups), key=len, default=required
    )
    return f"missing elements: {', '.join(missing)}"[:200] if missing else None


def _required(spec: AssertSpec, value: object) -> list[str]:
    """The paths that a value asks for; none for an empty list or mapping."""
    if isinstance(value, Mapping) and value:
        for key in value:
            if key != "requiredElements":
                raise invalid_value(spec, f"unknown key {key!r}", did_you_mean(str(key), ["requiredElements"]))
        value = value["requiredElements"]
        if not isinstance(value, list):
            raise invalid_value(spec, "requiredElements must be a list")
    if isinstance(value, str):
        paths = [javascript.trim(path) for path in value.split(",")]
    elif isinstance(value, list) and all(isinstance(item, str) or javascript.is_number(item) for item in value):
        paths = [javascript.text(item) for item in value]
    elif isinstance(value, Mapping):
        paths = []
    else:
        fix = "Write paths such as order.customer.name, as a list or with commas"
        raise invalid_value(spec, f"the required elements must be texts, not {shown(value)}", fix)
    for path in paths:
        if not all(map(javascript.trim, path.split("."))):
            raise invalid_value(spec, f"the required element {path!r} has an empty name, which no document can have")
    return paths


_PATHS: Final = "paths that must be there: `root.a`, a list (optional)"

TYPES: Final = (
    CheckKind(
        id="is-xml",
        passes="the answer is well-formed XML",
        value=_PATHS,
        example={"value": "root.a"},
        feature=OutputFeature.SCHEMA,
        prepare=_xml(_is_xml),
    ),
    CheckKind(
        id="contains-xml",
        passes="it has well-formed XML in it",
        value=_PATHS,
        example={"value": "a"},
        feature=OutputFeature.SCHEMA,
        prepare=_xml(_contains_xml),
    ),
    CheckKind(id="is-html", passes="the answer is HTML", version="2", prepare=_is_html),
    CheckKind(id="contains-html", passes="it has HTML in it", prepare=_contains_html),
)
