"""Checks whether calls fit the tools that were offered: is-valid-openai-tools-call, is-valid-function-call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.record.output_features import OutputFeature
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind, Prepare
from llmgate.score.assertion.rule import invalid_value
from llmgate.score.assertion.settings import refuse_value
from llmgate.score.structured.parse import parse_json
from llmgate.score.structured.schema import JsonSchema
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES"]

Offered = Mapping[str, JsonSchema | None]
"""Function name to the schema of its parameters; None for a function that has no parameters."""


def _valid(read: Callable[[CheckContext], tuple[Offered, Sequence[object]]]) -> Prepare:
    """A check that needs at least one call, and all calls to fit.

    Args:
        read: The functions on offer and the calls of the output.
    """

    def prepare(spec: AssertSpec) -> Evaluate:
        refuse_value(spec, "Calls are compared with the tools that were offered")

        def evaluate(context: CheckContext) -> Finding:
            try:
                # First of all: a broken list of tools is an error whatever the output.
                offered, calls = read(context)
            except SuiteError as error:
                raise invalid_value(spec, error.what, error.fix) from error
            if not calls:
                return Finding.of(False, "the output holds no call")
            problem = next(filter(None, (_problem(call, offered) for call in calls)), None)
            return Finding.of(problem is None, problem or f"{len(calls)} valid calls")

        return evaluate

    return prepare


def _tools_and_calls(context: CheckContext) -> tuple[Offered, Sequence[object]]:
    offered = _offered(context.tools, "tools")
    calls = context.output
    if isinstance(calls, Mapping) and "tool_calls" in calls:
        calls = calls["tool_calls"]
    if not isinstance(calls, list | tuple):
        return offered, ()
    return offered, [call.get("function") if isinstance(call, Mapping) else None for call in calls]


def _functions_and_call(context: CheckContext) -> tuple[Offered, Sequence[object]]:
    offered = _offered(context.functions, "functions")
    call = context.output
    return offered, [call["function_call"] if isinstance(call, Mapping) and "function_call" in call else call]


def _problem(call: object, offered: Offered) -> str | None:
    """Why a call does not fit, None if it does."""
    name = call.get("name") if isinstance(call, Mapping) else None
    written = call.get("arguments") if isinstance(call, Mapping) else None
    if not isinstance(name, str) or not isinstance(written, str):
        return "a call needs a name and arguments, both texts"
    try:
        arguments: Any = parse_json(written)
    except ValueError as error:
        return f"the arguments of {name[:80]!r} are not JSON: {error}"
    if name not in offered:
        return f"no function named {name[:80]!r} was offered"
    schema = offered[name]
    if schema is None:
        return None if arguments == {} else f"{name!r} has no parameters, but was given arguments"
    problem = schema.problem(arguments)
    return f"the call of {name!r} does not fit: {problem}" if problem else None


def _offered(listed: object, what: str) -> Offered:
    if listed is None:
        raise SuiteError(f"there is no list of {what} to check calls against", fix=f"Give the request its `{what}`")
    return _compiled(javascript.json_text(listed), what)


@lru_cache(maxsize=64)
def _compiled(listed: str, what: str) -> Offered:
    """Compiles all schemas, also of functions that are not called, once for all cases that offer the same."""
    tools = parse_json(listed)
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise SuiteError(f"the {what} are no list of mappings")
    offered: dict[str, JsonSchema | None] = {}
    for tool in tools:
        assert isinstance(tool, dict)  # noqa: S101 - checked above
        if what == "tools" and (tool.get("type") != "function" or "function" not in tool):
            continue
        function = tool["function"] if what == "tools" else tool
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str):
            raise SuiteError(f"one of the {what} has no name")
        schema = _parameters(name, function.get("parameters"))
        # Of two functions with one name, the first is the one that is found.
        offered.setdefault(name, schema)
    return offered


def _parameters(name: str, schema: object) -> JsonSchema | None:
    if schema is None:
        return None
    if not isinstance(schema, Mapping):
        raise SuiteError(f"the parameters of the function {name!r} are no schema")
    return JsonSchema.compile(schema, name=f"the parameters of the function {name!r}", where=None)


_FUNCTION_CALL: Final = CheckKind(
    id="is-valid-openai-function-call",
    passes="the call fits the `functions` that were offered",
    feature=OutputFeature.SCHEMA,
    prepare=_valid(_functions_and_call),
)

TYPES: Final = (
    CheckKind(
        id="is-valid-openai-tools-call",
        passes="all calls fit the tools that were offered",
        feature=OutputFeature.SCHEMA,
        prepare=_valid(_tools_and_calls),
    ),
    _FUNCTION_CALL,
    replace(_FUNCTION_CALL, id="is-valid-function-call"),
)
