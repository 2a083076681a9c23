"""Tools as other tools' providers are given them: every provider's form becomes that of chat completion requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json

__all__ = ["plain_schema", "tool_choice", "tools_of"]

_TYPES: Final = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
"""How Google writes the types of JSON Schema."""
_CHOICES: Final = {"any": "required", "auto": "auto", "none": "none", "required": "required"}


def tools_of(written: Any) -> tuple[list[Json], list[str]]:
    """Tools in the form of chat completions.

    Args:
        written: A list in the form of OpenAI's chat or responses, Anthropic's, Google's or Bedrock's.

    Returns:
        The functions, and what is left out: names of tools that only the provider itself can run.
    """
    kept: list[Json] = []
    left: list[str] = []
    for tool in written if isinstance(written, list) else [written]:
        found = _functions(tool)
        kept += found
        if not found:
            kind = tool.get("type") or next(iter(tool), "") if isinstance(tool, Mapping) else tool
            left.append(str(kind)[:60])
    return kept, left


def _functions(tool: Any) -> list[Json]:
    if not isinstance(tool, Mapping):
        return []
    declared = tool.get("functionDeclarations") or tool.get("function_declarations")
    if isinstance(declared, list):
        return [made for each in declared for made in _function(each, "parameters")]
    if isinstance(tool.get("function"), Mapping):
        return [dict(tool)]
    if isinstance(tool.get("toolSpec"), Mapping):
        spec = tool["toolSpec"]
        schema = spec.get("inputSchema")
        inner = schema.get("json") if isinstance(schema, Mapping) else None
        return _function({**spec, "parameters": inner}, "parameters")
    if "input_schema" in tool:
        return _function(tool, "input_schema")
    return _function(tool, "parameters") if tool.get("type") in {None, "function"} else []


def _function(written: Any, schema: str) -> list[Json]:
    if not isinstance(written, Mapping) or not isinstance(written.get("name"), str):
        return []
    made: dict[str, Json] = {"name": written["name"]}
    if isinstance(written.get("description"), str):
        made["description"] = written["description"]
    if isinstance(written.get(schema), Mapping):
        made["parameters"] = plain_schema(written[schema])
    if isinstance(written.get("strict"), bool):
        made["strict"] = written["strict"]
    return [{"type": "function", "function": made}]


def tool_choice(written: Any) -> Json:
    """Which tool has to be called, in the form of chat completions; None if it is not known."""
    if isinstance(written, str):
        return _CHOICES.get(written.lower())
    if not isinstance(written, Mapping):
        return None
    if isinstance(written.get("function"), Mapping):
        return dict(written)
    if isinstance(written.get("functionCallingConfig"), Mapping):
        return tool_choice(str(written["functionCallingConfig"].get("mode", "")))
    name = written.get("name")
    if written.get("type") in {"tool", "function"} and isinstance(name, str):
        return {"type": "function", "function": {"name": name}}
    return tool_choice(written.get("type")) if isinstance(written.get("type"), str) else None


def plain_schema(schema: Any) -> Any:
    """A schema with the types as JSON Schema writes them, which is in small letters."""
    if isinstance(schema, list):
        return [plain_schema(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) and value in _TYPES else plain_schema(value)
        for key, value in schema.items()
    }
