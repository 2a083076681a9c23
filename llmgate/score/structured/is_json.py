"""Checks of structured output: equals, is-json, contains-json."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import yaml

from llmgate.record.output_features import OutputFeature
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.structured.extract import find_json_objects
from llmgate.score.structured.parse import output_json, parse_json, same_json
from llmgate.suite.form.document import PlainLoader
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.score.structured.schema import JsonSchema
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES"]


def _equals(spec: AssertSpec) -> Evaluate:
    rule = AssertRule.compile(spec, _Expected)

    def evaluate(context: CheckContext) -> Finding:
        same = rule.on(context).equals(context)
        return Finding.of(same, "equal" if same else f"expected {javascript.text(rule.on(context).shown)[:120]!r}")

    return evaluate


class _Expected:
    """What an output is compared with: as text, or as data where the suite holds a list, a mapping or null."""

    __slots__ = ("shown", "structured", "value")

    def __init__(self, value: object) -> None:
        self.structured = value is None or isinstance(value, list | Mapping)
        self.value = value if self.structured else javascript.text(value)
        self.shown = javascript.json_text(value) if self.structured else self.value

    def equals(self, context: CheckContext) -> bool:
        if not self.structured:
            return context.text == self.value
        if not isinstance(context.output, str):
            return same_json(context.output, self.value)
        try:
            return same_json(parse_json(context.output), self.value)
        except ValueError:
            return False


def _schema_rule(spec: AssertSpec) -> AssertRule[JsonSchema] | None:
    # An empty text is how promptfoo's CSV files say that there is no schema; a template that renders to it is not.
    if not spec.has_value or spec.value == "":
        return None
    return AssertRule.compile(spec, lambda value: _schema(spec, value))


def _is_json(spec: AssertSpec) -> Evaluate:
    rule = _schema_rule(spec)

    def evaluate(context: CheckContext) -> Finding:
        schema = rule.on(context) if rule else None
        try:
            value = output_json(context)
        except ValueError as error:
            return Finding.of(False, f"not JSON: {error}"[:200])
        problem = schema.problem(value) if schema else None
        return Finding.of(problem is None, problem or f"valid JSON{' that fits the schema' if schema else ''}")

    return evaluate


def _contains_json(spec: AssertSpec) -> Evaluate:
    rule = _schema_rule(spec)

    def evaluate(context: CheckContext) -> Finding:
        schema = rule.on(context) if rule else None
        problem: str | None = "no JSON object was found"
        for value in find_json_objects(context.text):
            problem = schema.problem(value) if schema else None
            if problem is None:
                break
        return Finding.of(problem is None, problem or f"found a JSON object{' that fits the schema' if schema else ''}")

    return evaluate


def _schema(spec: AssertSpec, value: object) -> JsonSchema:
    if isinstance(value, str):
        value = _schema_from_text(spec, value)
    if not isinstance(value, Mapping):
        raise invalid_value(spec, f"a schema is a mapping, not {shown(value)}")
    # It brings jsonschema: a tenth of a second, which `equals` and `is-json` without a schema need not pay.
    from llmgate.score.structured.schema import JsonSchema  # noqa: PLC0415

    return JsonSchema.compile(value, name=spec.name, where=spec.where or None)


def _schema_from_text(spec: AssertSpec, value: str) -> object:
    try:
        return parse_json(value)
    except ValueError:
        pass
    try:
        return yaml.load(value, Loader=_SchemaLoader)  # noqa: S506 - a safe loader that knows less than SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise invalid_value(spec, f"the schema is neither JSON nor YAML ({first_line})") from error


class _SchemaLoader(PlainLoader):
    """No aliases, which can stand for billions of nodes, and only YAML 1.2's words: `yes` and dates are texts."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class is not annotated either
        first: [
            (tag, re.compile("true|True|TRUE|false|False|FALSE") if tag.endswith(":bool") else pattern)
            for tag, pattern in resolvers
            if not tag.endswith(":timestamp")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a schema has no aliases")
        return super().compose_node(parent, index)


TYPES: Final = (
    CheckKind(
        id="equals",
        passes="the answer is the text; for data, the same JSON",
        value="text, number, list or mapping",
        example={"value": {"a": [1]}},
        prepare=_equals,
    ),
    CheckKind(
        id="is-json",
        passes="the answer is JSON",
        value="JSON schema (optional)",
        example={"value": {"type": "object", "required": ["a"], "properties": {"a": {"type": "array"}}}},
        feature=OutputFeature.SCHEMA,
        prepare=_is_json,
    ),
    CheckKind(
        id="contains-json",
        passes="it has JSON in it",
        value="JSON schema (optional)",
        example={"value": {"type": "object", "required": ["a"]}},
        feature=OutputFeature.SCHEMA,
        prepare=_contains_json,
    ),
)
