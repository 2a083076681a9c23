"""json-field: single values of a JSON output, found by path and compared.

The value is a mapping with `path` and one or more comparisons, or a list of such mappings. Comparisons of one field
must all hold. A path with `[*]` stands for several values, which must all match, or one of them with `any: true`; where
there are none, nothing matches but `exists: false`. The score is the share of fields that match.

A text directly under `equals`, `contains`, `regex`, `min` or `max` may be a template. What it renders to is compared as
text, so that `equals: "{{ total }}"` finds the number 3 as well as the text "3".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError, did_you_mean
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.assertion.settings import bound, least
from llmgate.score.javascript.pattern import Pattern
from llmgate.score.structured.parse import check_json, check_keys, not_json, output_json, same_json
from llmgate.score.structured.path import MISSING, JsonPath
from llmgate.suite.template import javascript
from llmgate.suite.template.nunjucks import Template

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec, Json

__all__ = ["TYPES"]

_Test = Callable[[object], bool]
"""Says whether a value, or `MISSING`, is as wanted."""
_Build = Callable[["AssertSpec", object], _Test]

_TYPES: Final[Mapping[str, _Test]] = {
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: javascript.is_number(value) and math.isfinite(value) and value == math.floor(value),
    "null": lambda value: value is None,
    "number": lambda value: javascript.is_number(value) and math.isfinite(value),
    "object": lambda value: isinstance(value, Mapping),
    "string": lambda value: isinstance(value, str),
}


def _equals(spec: AssertSpec, wanted: object) -> _Test:
    expected = check_json(spec, wanted)
    return lambda value: same_json(value, expected)


def _equals_text(_: AssertSpec, wanted: object) -> _Test:
    """For a rendered template, whose kind is lost."""
    return lambda value: (
        not isinstance(value, Mapping | list) and value is not MISSING and javascript.text(value) == wanted
    )


def _contains(spec: AssertSpec, wanted: object) -> _Test:
    expected = check_json(spec, wanted)
    if expected == "":
        raise invalid_value(spec, "contains is empty, so there is nothing to look for")

    def test(value: object) -> bool:
        if isinstance(value, list):
            return any(same_json(item, expected) for item in value)
        return isinstance(value, str) and isinstance(expected, str) and expected in value

    return test


def _regex(spec: AssertSpec, wanted: object) -> _Test:
    if not isinstance(wanted, str):
        raise invalid_value(spec, "regex must be a text")
    try:
        pattern = Pattern.compile(wanted)
    except SuiteError as error:
        raise invalid_value(spec, error.what, error.fix) from error
    return lambda value: isinstance(value, str) and pattern.found_in(value)


def _min(spec: AssertSpec, wanted: object) -> _Test:
    least = bound(spec, wanted)
    return lambda value: javascript.is_number(value) and value >= least


def _max(spec: AssertSpec, wanted: object) -> _Test:
    most = bound(spec, wanted)
    return lambda value: javascript.is_number(value) and value <= most


def _exists(spec: AssertSpec, wanted: object) -> _Test:
    if not isinstance(wanted, bool):
        raise invalid_value(spec, "exists must be true or false")
    return lambda value: (value is not MISSING) is wanted


def _type(spec: AssertSpec, wanted: object) -> _Test:
    names = [str(name) for name in (wanted if isinstance(wanted, list) else [wanted])]
    for name in names:
        if name not in _TYPES:
            raise invalid_value(spec, f"unknown type {name[:80]!r}", did_you_mean(name, _TYPES))
    if not names:
        raise invalid_value(spec, "type names no type")
    return lambda value: any(_TYPES[name](value) for name in names)


def _one_of(spec: AssertSpec, wanted: object) -> _Test:
    if not isinstance(wanted, list) or not wanted:
        raise invalid_value(spec, "one-of must be a list with values")
    expected = [check_json(spec, item) for item in wanted]
    return lambda value: any(same_json(value, item) for item in expected)


_COMPARISONS: Final[Mapping[str, _Build]] = {
    "contains": _contains,
    "equals": _equals,
    "exists": _exists,
    "max": _max,
    "min": _min,
    "one-of": _one_of,
    "regex": _regex,
    "type": _type,
}
_TEMPLATED: Final[Mapping[str, _Build]] = {
    "contains": _contains,
    "equals": _equals_text,
    "max": _max,
    "min": _min,
    "regex": _regex,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    path: JsonPath
    some: bool
    wants_nothing: bool
    tests: tuple[_Test, ...]
    templates: tuple[tuple[_Build, Template], ...]

    def ready(self, spec: AssertSpec, variables: Mapping[str, object]) -> list[_Test]:
        return [*self.tests, *(build(spec, _render(spec, template, variables)) for build, template in self.templates)]

    def matches(self, tests: list[_Test], document: Json) -> bool:
        values = self.path.find(document)
        if not values:
            return self.wants_nothing
        matching = (all(test(value) for test in tests) for value in values)
        return any(matching) if self.some else all(matching)


def _render(spec: AssertSpec, template: Template, variables: Mapping[str, object]) -> str:
    for name in sorted(template.names - variables.keys()):
        raise invalid_value(spec, f"the template uses {name!r}, which is no column", did_you_mean(name, variables))
    return template.render(variables)


def _json_field(spec: AssertSpec) -> Evaluate:
    threshold = least(spec, 1.0)
    rule = AssertRule.compile(spec, lambda value: _fields(spec, value))

    def evaluate(context: CheckContext) -> Finding:
        fields = rule.on(context)
        # First, so that a rule which its templates break is an error whatever the output.
        tests = [field.ready(spec, context.variables) for field in fields]
        try:
            document = output_json(context)
        except ValueError as error:
            return not_json(spec, error)
        ready = zip(fields, tests, strict=True)
        wrong = [field.path.source for field, own in ready if not field.matches(own, document)]
        matching = len(fields) - len(wrong)
        share = matching / len(fields)
        reason = f"{matching} of {len(fields)} fields match"
        return Finding(share >= threshold, share, f"{reason}; not {', '.join(wrong)}"[:200] if wrong else reason)

    return evaluate


def _fields(spec: AssertSpec, value: object) -> list[_Field]:
    written = value if isinstance(value, list) else [value]
    if not written:
        raise invalid_value(spec, "the list of fields is empty, so there is nothing to check")
    return [_field(spec, entry) for entry in written]


def _field(spec: AssertSpec, written: object) -> _Field:
    if not isinstance(written, Mapping):
        raise invalid_value(spec, "a field must be a mapping", "Write value: {path: $.total, equals: 3}")
    check_keys(spec, written, {"path", "any", *_COMPARISONS})
    if "path" not in written:
        raise invalid_value(spec, "a field has no path")
    try:
        path = JsonPath.compile(written["path"])
    except SuiteError as error:
        raise invalid_value(spec, error.what, error.fix) from error
    some = written.get("any", False)
    if not isinstance(some, bool):
        raise invalid_value(spec, "any must be true or false")
    comparisons = {key: wanted for key, wanted in written.items() if key in _COMPARISONS}
    if not comparisons:
        raise invalid_value(spec, f"{path.source} is compared with nothing", did_you_mean("", _COMPARISONS))
    if comparisons.get("exists") is False and len(comparisons) > 1:
        raise invalid_value(spec, f"{path.source} cannot be absent and compared")
    tests, templates = [], []
    for key, wanted in comparisons.items():
        template = Template.compile(wanted, where=spec.where or None) if isinstance(wanted, str) else None
        if template is None or template.constant:
            tests.append(_COMPARISONS[key](spec, wanted))
        elif key in _TEMPLATED:
            templates.append((_TEMPLATED[key], template))
        else:
            raise invalid_value(spec, f"{key} takes no template")
    return _Field(
        path=path,
        some=some,
        wants_nothing=comparisons.get("exists") is False,
        tests=tuple(tests),
        templates=tuple(templates),
    )


TYPES: Final = (
    CheckKind(
        id="json-field",
        passes="single values are right",
        score="share of fields",
        value="`{path: $.total, equals: 3}` or a list; `contains`, `regex`, `min`, `max`, `one-of`, `type`, `exists`, "
        "`any`",
        threshold="1",
        example={"value": [{"path": "$.a[*]", "min": 1}, {"path": "$.b", "exists": True}]},
        version="3",
        prepare=_json_field,
    ),
)
