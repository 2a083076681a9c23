"""The tools that a request offers to the model, as the chat completion API has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import DatasetError, SuiteError

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json

__all__ = ["read_tools"]

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
FORM: Final = "Write {type: function, function: {name: …, description: …, parameters: {type: object, …}}}"
KEYS: Final = frozenset({"name", "description", "parameters", "strict"})


def read_tools(value: Json, *, where: str, error: type[DatasetError | SuiteError] = SuiteError) -> list[Json]:
    """Check the definitions of tools.

    Args:
        value: A list of definitions.
        where: Where they stand.
        error: Whose mistake it is, the suite's or the dataset's.

    Raises:
        SuiteError, DatasetError: If a server would not take them, or two have one name.
    """
    if not isinstance(value, list) or not value:
        raise error("tools is a list of at least one tool", where=where, fix=FORM)
    names: set[str] = set()
    for index, tool in enumerate(value, start=1):
        problem = _problem(tool)
        if problem:
            raise error(f"tool {index} {problem}", where=where, fix=FORM)
        name = str(tool["function"]["name"])  # type: ignore[index, call-overload]
        if name in names:
            raise error(f"two tools are called {name!r}", where=where, fix="Give each its own name")
        names.add(name)
    return value


def _problem(tool: Json) -> str | None:
    if not isinstance(tool, dict) or tool.keys() != {"type", "function"} or tool["type"] != "function":
        return "is not a function"
    function = tool["function"]
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return "has no name"
    if not NAME.fullmatch(str(function["name"])):
        return "has a name that is not 1 to 64 letters, digits, _ and -"
    unknown = sorted(function.keys() - KEYS)
    if unknown:
        return f"has an unknown key {unknown[0]!r}"
    if not isinstance(function.get("description", ""), str):
        return "has a description that is not text"
    return _schema_problem(function.get("parameters", {}))


def _schema_problem(schema: Any) -> str | None:
    import jsonschema  # noqa: PLC0415 - slow to import, and few suites have tools

    if not isinstance(schema, dict):
        return "has parameters that are not a JSON schema"
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except (jsonschema.SchemaError, RecursionError) as error:
        first = getattr(error, "message", "nested too deeply")
        return f"has parameters that are not a JSON schema: {first[:200]}"
    return None
