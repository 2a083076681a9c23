"""JSON schemas, draft-07 as Ajv reads them in strict mode: what it would ignore is an error.

Reference: https://ajv.js.org/strict-mode.html. The `jsonschema` package validates; replaced are the keywords in which
Python's idea of a value, a pattern or a format differs, and nothing is ever fetched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import referencing
import referencing.exceptions
import referencing.jsonschema
from jsonschema import Draft7Validator, FormatChecker, SchemaError, ValidationError, validators
from jsonschema.protocols import Validator

from llmgate.errors import CannotRunError, SuiteError, did_you_mean
from llmgate.score.javascript.pattern import Pattern
from llmgate.score.structured.schema_formats import FORMATS
from llmgate.suite.template.javascript import is_number, json_text

__all__ = ["JsonSchema"]

_DIALECTS: Final = frozenset(
    {
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-07/schema#",
        "http://json-schema.org/schema",
    }
)
_ONE: Final = frozenset({
    "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "not", "propertyNames",
    "then",
})  # fmt: skip
_MANY: Final = frozenset({"allOf", "anyOf", "oneOf"})
_NAMED: Final = frozenset({"properties", "patternProperties", "definitions", "$defs", "dependencies"})
_PLAIN: Final = frozenset({
    "$comment", "$id", "$ref", "$schema", "$vocabulary", "const", "contentEncoding", "contentMediaType", "default",
    "deprecated", "description", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "items",
    "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum",
    "multipleOf", "nullable", "pattern", "readOnly", "required", "title", "type", "uniqueItems", "writeOnly",
})  # fmt: skip
_KEYWORDS: Final = _ONE | _MANY | _NAMED | _PLAIN
_MAX_REFERENCES: Final = 20_000
"""References followed in one validation: ten schemas that each name the next one twice stand for a thousand."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """A schema that has been checked.

    Attributes:
        patterns: Every pattern in it, compiled.
        validator: Validates against it.
    """

    patterns: Mapping[str, Pattern]
    validator: Validator

    @classmethod
    def compile(cls, schema: Mapping[str, Any], *, name: str, where: str | None) -> JsonSchema:
        """Checks a schema in every part, whether or not an output will need that part.

        Args:
            schema: As written.
            name: The assert, for messages.
            where: `file:line`, for messages.

        Raises:
            SuiteError: If the schema is invalid or uses what draft-07 does not have.
        """
        patterns: dict[str, Pattern] = {}
        try:
            Draft7Validator.check_schema(dict(schema), format_checker=FormatChecker(formats=()))
            resource = referencing.jsonschema.DRAFT7.create_resource(dict(schema))
            registry = referencing.Registry().with_resources([(_META, _META_RESOURCE), ("", resource)]).crawl()
            _check(schema, "", patterns, registry.resolver_with_root(resource))
            validator = _StrictValidator(dict(schema), registry=registry, format_checker=_Work(patterns))
            # A reference that leads only back to itself never ends, whatever the value.
            next(validator.iter_errors(None), None)
        except SchemaError as error:
            path = "/".join(map(str, error.path))
            raise SuiteError(f"{name}: invalid schema at /{path}: {error.message[:200]}", where=where) from error
        except SuiteError as error:
            raise SuiteError(f"{name}: {error.what}", where=where, fix=error.fix) from error
        except (RecursionError, CannotRunError) as error:
            raise SuiteError(f"{name}: the schema refers to itself without end, or is too deep", where=where) from error
        return cls(patterns, validator)

    def problem(self, value: Any) -> str | None:
        """The first reason why a value does not fit, or None if it fits.

        Raises:
            CannotRunError: If a pattern runs into its time limit or the schema stands for too much work.
        """
        validator = self.validator.evolve(format_checker=_Work(self.patterns))
        error = next(validator.iter_errors(value), None)
        if error is None:
            return None
        path = "/".join(map(str, error.absolute_path))
        return f"/{path}: {error.message}"[:200]


def _check(schema: object, path: str, patterns: dict[str, Pattern], resolver: Any) -> None:
    """Walks through all subschemas."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise SuiteError(f"the schema at {path or '/'} is neither a mapping nor true nor false")
    for keyword in schema:
        if keyword not in _KEYWORDS:
            raise SuiteError(
                f"unknown keyword {keyword!r} in the schema at {path or '/'}", fix=did_you_mean(str(keyword), _KEYWORDS)
            )
    _check_keywords(schema, path or "/")
    inner = resolver.in_subresource(referencing.jsonschema.DRAFT7.create_resource(schema))
    _check_reference(schema, path, inner)
    _check_patterns(schema, path, patterns)
    for step, child in _children(schema):
        _check(child, f"{path}/{step}", patterns, inner)


def _check_keywords(schema: Mapping[str, Any], path: str) -> None:
    problems = {
        f"unknown $schema {schema.get('$schema')!r}; only draft-07 is known": "$schema" in schema
        and schema["$schema"] not in _DIALECTS,
        '"nullable" without "type"': "nullable" in schema and "type" not in schema,
        '"additionalItems" where "items" is not a list': "additionalItems" in schema
        and not isinstance(schema.get("items"), list),
        '"then" or "else" without "if"': "if" not in schema and ("then" in schema or "else" in schema),
        '"if" without "then" and "else"': "if" in schema and "then" not in schema and "else" not in schema,
        "an empty enum": schema.get("enum") == [],
        "an enum that names a value twice": "enum" in schema and not _unique(schema["enum"]),
        '"nullable: false" beside the type null': schema.get("nullable") is False and "null" in _types(schema),
        '"nullable" that is neither true nor false': not isinstance(schema.get("nullable", False), bool),
    }
    for problem, present in problems.items():
        if present:
            raise SuiteError(f"the schema at {path} has {problem}")
    name = schema.get("format")
    if name is not None and name not in FORMATS:
        raise SuiteError(f"unknown format {name!r} in the schema at {path}", fix=did_you_mean(str(name), FORMATS))


def _types(schema: Mapping[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def _check_reference(schema: Mapping[str, Any], path: str, resolver: Any) -> None:
    if "$ref" in schema:
        try:
            resolver.lookup(schema["$ref"])
        except (referencing.exceptions.Unresolvable, ValueError) as error:
            raise SuiteError(
                f"the schema at {path or '/'} refers to {schema['$ref']!r}, which it does not hold",
                fix="Put the definition into the schema; nothing is fetched",
            ) from error


def _check_patterns(schema: Mapping[str, Any], path: str, patterns: dict[str, Pattern]) -> None:
    written = [schema["pattern"]] if "pattern" in schema else []
    own = schema.get("patternProperties", {})
    for source in (*written, *own):
        if source not in patterns:
            patterns[source] = Pattern.compile(source)
    for name in schema.get("properties", ()):
        for source in own:
            if own[source] not in ({}, True) and patterns[source].found_in(name):
                raise SuiteError(f"the property {name!r} of the schema at {path or '/'} also matches {source!r}")


def _children(schema: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for keyword, value in schema.items():
        if keyword in _ONE or (keyword == "items" and not isinstance(value, list)):
            yield keyword, value
        elif keyword in _MANY or keyword == "items":
            yield from ((f"{keyword}/{index}", child) for index, child in enumerate(value))
        elif keyword in _NAMED:
            # A dependency may also be a list of property names.
            yield from ((f"{keyword}/{key}", child) for key, child in value.items() if not isinstance(child, list))


class _Work(FormatChecker):
    """Travels with a validator through all subschemas: compiled patterns, and how many references were followed."""

    def __init__(self, patterns: Mapping[str, Pattern]) -> None:
        super().__init__(formats=())
        self.patterns = patterns
        self.references = 0

    def follow(self) -> None:
        self.references += 1
        if self.references > _MAX_REFERENCES:
            raise CannotRunError(f"the schema follows more than {_MAX_REFERENCES} references for one value")


def _work(validator: Any) -> _Work:
    return cast("_Work", validator.format_checker)


def _reference(validator: Validator, reference: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    _work(validator).follow()
    yield from Draft7Validator.VALIDATORS["$ref"](validator, reference, value, schema)


def _pattern(validator: Validator, source: str, value: Any, _: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _work(validator).patterns[source].found_in(value):
        yield ValidationError(f"{value!r} does not match {source!r}")


def _pattern_properties(validator: Any, schemas: Mapping[str, Any], value: Any, _: Any) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    for source, schema in schemas.items():
        pattern = _work(validator).patterns[source]
        for name, member in value.items():
            if pattern.found_in(name):
                yield from validator.descend(member, schema, path=name, schema_path=source)


def _additional_properties(validator: Any, additional: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    known = schema.get("properties", {})
    patterns = [_work(validator).patterns[source] for source in schema.get("patternProperties", ())]
    for name, member in value.items():
        if name in known or any(pattern.found_in(name) for pattern in patterns):
            continue
        if additional is False:
            yield ValidationError(f"unexpected property {name!r}")
        else:
            yield from validator.descend(member, additional, path=name)


def _format(_: Validator, name: str, value: Any, __: Any) -> Iterator[ValidationError]:
    if not FORMATS[name](value):
        yield ValidationError(f"{value!r} is no {name}")


def _type(validator: Any, types: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    names = _types({"type": types})
    allowed = value is None and schema.get("nullable") is True
    if not allowed and not any(validator.is_type(value, name) for name in names):
        yield ValidationError(f"expected {' or '.join(names)}")


def _unique_items(_: Validator, unique: bool, value: Any, __: Any) -> Iterator[ValidationError]:
    # By a canonical text: comparing every item with every other takes quadratic time, and the model writes the items.
    if unique and isinstance(value, list) and not _unique(value):
        yield ValidationError("two items are equal")


def _unique(items: list[Any]) -> bool:
    return len({_canonical(item) for item in items}) == len(items)


def _canonical(value: object) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_canonical, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(sorted(json_text(key) + ':' + _canonical(member) for key, member in value.items()))}}}"
    return json_text(value)


def _is_finite(_: object, value: object) -> bool:
    return is_number(value) and (isinstance(value, int) or math.isfinite(value))


_META: Final = "http://json-schema.org/draft-07/schema"
_META_RESOURCE: Final = referencing.jsonschema.DRAFT7.create_resource(Draft7Validator.META_SCHEMA)
_StrictValidator: Final = validators.create(
    meta_schema=Draft7Validator.META_SCHEMA,
    validators={
        **Draft7Validator.VALIDATORS,
        "$ref": _reference,
        "additionalProperties": _additional_properties,
        "format": _format,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "type": _type,
        "uniqueItems": _unique_items,
    },
    type_checker=Draft7Validator.TYPE_CHECKER.redefine("number", _is_finite),
    # Ajv looks at the keywords beside a $ref, which draft-07 says to ignore.
    applicable_validators=lambda schema: schema.items() if isinstance(schema, Mapping) else (),
)
