"""JSON Schemas of suite and policy files, for editors that complete and check YAML while it is written.

They come from the very classes that read the files. What only reading can tell (whether a column exists, whether a
rule makes sense) is not in them, so a file that fits its schema may still be refused.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.form.asserts import ASSERT_SET
from llmgate.suite.form.field_docs import DocumentedSchema
from llmgate.suite.form.policy import POLICY_MAJOR, PolicyPart
from llmgate.suite.form.suite_file import SUITE_MAJOR, SuitePart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["policy_schema", "suite_schema"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def suite_schema(types: Mapping[str, Mapping[str, str]], prefixes: Iterable[str] = ()) -> dict[str, Any]:
    """The schema of a suite file.

    Args:
        types: Base assert type to the keys that its `config` may have, with what they mean.
        prefixes: What further types may begin with, such as `ragas:`.

    Returns:
        A JSON Schema, draft 2020-12.
    """
    schema = SuitePart.model_json_schema(by_alias=True, schema_generator=DocumentedSchema)
    _fix_major(schema, "llmgate", SUITE_MAJOR)
    _allow_short_gate(schema)
    _allow_listed_slices(schema)
    _allow_short_drift(schema)
    _allow_words_of_serving(schema)
    _name_types(schema["$defs"]["AssertPart"], types, prefixes)
    return _published(schema, f"urn:llmgate:suite:{SUITE_MAJOR}", "llmgate suite")


def policy_schema() -> dict[str, Any]:
    """The schema of a policy file.

    Returns:
        A JSON Schema, draft 2020-12.
    """
    schema = PolicyPart.model_json_schema(by_alias=True, schema_generator=DocumentedSchema)
    _fix_major(schema, "llmgate-policy", POLICY_MAJOR)
    _allow_listed_slices(schema)
    _allow_short_drift(schema)
    return _published(schema, f"urn:llmgate:policy:{POLICY_MAJOR}", "llmgate policy")


def _fix_major(schema: dict[str, Any], key: str, major: int) -> None:
    """Other majors have schemas of their own."""
    schema["properties"][key] = {"const": major, "description": schema["properties"][key]["description"]}


def _published(schema: dict[str, Any], identifier: str, title: str) -> dict[str, Any]:
    return {"$schema": DIALECT, "$id": identifier, **_plain(schema), "title": title}


def _plain(schema: Any) -> Any:
    """Without the titles that only repeat a key."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    # A property may itself be called `title`; then its value is a schema and not a text.
    return {key: _plain(value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))}


def _allow_short_gate(schema: dict[str, Any]) -> None:
    """`gate:` may map metrics to their entries, without a `metrics:` in between."""
    gate, long = schema["properties"]["gate"], schema["$defs"]["GateBlock"]
    metrics = long["properties"]["metrics"]
    metrics["additionalProperties"] = False
    short = {key: value for key, value in metrics.items() if key not in {"title", "description"}}
    # Told apart by their keys, as the reader does it, so that an editor complains about the right one.
    names = sorted(long["properties"])
    description = gate.pop("description")
    schema["properties"]["gate"] = {
        "description": description,
        "type": "object",
        "if": {"anyOf": [{"required": [name]} for name in names]},
        "then": {"$ref": "#/$defs/GateBlock"},
        "else": short,
    }


def _allow_listed_slices(schema: dict[str, Any]) -> None:
    """`slices:` may be a list of fields."""
    _allow(schema, "SlicesPart", {"type": "array", "items": {"type": "string"}})


def _allow_short_drift(schema: dict[str, Any]) -> None:
    """An entry of `drift:` may be a role alone, and all of it `off`, which YAML may read as false."""
    roles = schema["$defs"]["TraitRole"]["enum"]
    _allow(schema, "TraitPart", {"enum": [*roles, False]})
    _allow(schema, "DriftBlock", {"enum": ["off", False]})


def _allow_words_of_serving(schema: dict[str, Any]) -> None:
    """`workload:` and `arrivals:` may be a word, and hold no more than one part."""
    for name, word in (("WorkloadPart", "prompts"), ("ArrivalsPart", "closed")):
        schema["$defs"][name]["maxProperties"] = 1
        _allow(schema, name, {"const": word})


def _allow(schema: dict[str, Any], name: str, short: dict[str, Any]) -> None:
    full = schema["$defs"][name]
    schema["$defs"][name] = {"description": full.pop("description"), "anyOf": [short, full]}


def _name_types(part: dict[str, Any], types: Mapping[str, Mapping[str, str]], prefixes: Iterable[str]) -> None:
    """Complete the names of assert types, and tie the keys of `config` to the type."""
    names = sorted(types)
    choices: list[dict[str, Any]] = [
        {"enum": [ASSERT_SET, *names, *(f"not-{name}" for name in names)]},
        *({"pattern": f"^(not-)?{re.escape(prefix)}."} for prefix in sorted(prefixes)),
    ]
    part["properties"]["type"] = {
        "type": "string",
        "description": part["properties"]["type"]["description"],
        "anyOf": choices,
    }
    alike: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    for name in names:
        alike[tuple(sorted(types[name].items()))] += [name, f"not-{name}"]
    part["allOf"] = [
        {
            "if": {"properties": {"type": {"enum": alike_types}}, "required": ["type"]},
            "then": {"properties": {"config": {"properties": _explained(settings), "additionalProperties": False}}},
        }
        for settings, alike_types in sorted(alike.items())
    ]


def _explained(settings: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {key: {"description": meaning} if meaning else {} for key, meaning in settings}
