"""Which tools an output calls, in any of the forms that promptfoo knows; the check `tool-call-f1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.assertion.settings import least
from llmgate.score.structured.extract import find_json_blocks
from llmgate.score.structured.parse import parse_json
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "called_names", "tool_f1"]

_DEFAULT_THRESHOLD: Final = 1.0


def called_names(output: object) -> frozenset[str]:
    """The names of all tools that an output calls.

    OpenAI's `tool_calls` and its items, `function_call` items of OpenAI's Responses API, Anthropic's `tool_use` blocks,
    Google's `functionCall` and `toolCall`, lists of these, plain `{name: …}` items, and the same as JSON in a text.

    Raises:
        CannotRunError: If the text is too tangled to be searched.
    """
    while isinstance(output, str):
        text = output
        try:
            output = parse_json(text)
        except ValueError:
            return frozenset[str]().union(*map(_names, find_json_blocks(text)))
    return _names(output)


def _names(value: object) -> frozenset[str]:
    if isinstance(value, Mapping):
        return _names_in_object(value)
    if isinstance(value, list | tuple):
        return frozenset[str]().union(*(_item_name(item) for item in value if isinstance(item, Mapping)))
    return frozenset()


def _names_in_object(value: Mapping[str, object]) -> frozenset[str]:
    calls = value.get("tool_calls")
    if isinstance(calls, list | tuple):
        items = [item for item in calls if isinstance(item, Mapping)]
        return frozenset[str]().union(*(_name(item.get("function")) | _name(item) for item in items))
    if value.get("type") in {"tool_use", "function_call"} and isinstance(value.get("name"), str):
        return _name(value)
    if _is_object(value.get("functionCall")):
        return _name(value["functionCall"])
    live = value.get("toolCall")
    live_calls = live.get("functionCalls") if isinstance(live, Mapping) else None
    return frozenset[str]().union(*map(_name, live_calls)) if isinstance(live_calls, list | tuple) else frozenset()


def _item_name(item: Mapping[str, object]) -> frozenset[str]:
    if item.get("type") == "tool_use" and isinstance(item.get("name"), str):
        return _name(item)
    for key in ("functionCall", "function"):
        if _is_object(item.get(key)):
            return _name(item[key])
    return _name(item)


def _is_object(value: object) -> bool:
    # A list is an object in JavaScript: it has no name, but it keeps the item's own name from being looked at.
    return isinstance(value, Mapping | list | tuple)


def _name(value: object) -> frozenset[str]:
    name = value.get("name") if isinstance(value, Mapping) else None
    return frozenset({name}) if isinstance(name, str) else frozenset()


def tool_f1(matched: int, called: int, expected: int) -> float:
    """F1 of calls, the harmonic mean of precision and recall.

    2·p·r / (p + r) with p = matched / called and r = matched / expected; 0 where nothing matches.

    Reference: van Rijsbergen (1979), Information Retrieval, chapter 7.
    """
    if not matched:
        return 0.0
    precision, recall = matched / called, matched / expected
    return 2 * precision * recall / (precision + recall)


def _tool_call_f1(spec: AssertSpec) -> Evaluate:
    rule = AssertRule.compile(spec, lambda value: _expected(spec, value))
    threshold = least(spec, _DEFAULT_THRESHOLD, unreachable=True)

    def evaluate(context: CheckContext) -> Finding:
        expected, called = rule.on(context), called_names(context.output)
        score = tool_f1(len(expected & called), len(called), len(expected))
        return Finding(score >= threshold, score, f"F1 {score:.3f}: wanted {_shown(expected)}, called {_shown(called)}")

    return evaluate


def _expected(spec: AssertSpec, value: object) -> frozenset[str]:
    if isinstance(value, str):
        names: Sequence[str] = value.split(",")
    elif isinstance(value, list) and not any(isinstance(item, Mapping) for item in value):
        names = [javascript.text(item) for item in value]
    else:
        raise invalid_value(spec, "the value must be a list of tool names, or a text with commas between them")
    expected = frozenset(filter(None, map(javascript.trim, names)))
    if not expected:
        raise invalid_value(spec, "the value names no tool")
    return expected


def _shown(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))[:100] or "nothing"


TYPES: Final = (
    CheckKind(
        id="tool-call-f1",
        passes="these tools were called",
        score="F1 of names",
        value="list, or `a, b`",
        threshold="1",
        example={"value": "{{ x }}, b"},
        prepare=_tool_call_f1,
    ),
)
