"""The check `tool-calls`: whether the expected calls were made, with these arguments and in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError, did_you_mean
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, refuse_hidden_templates
from llmgate.score.assertion.settings import choice, least
from llmgate.score.structured.parse import parse_json, same_json
from llmgate.score.tools.call_f1 import tool_f1
from llmgate.suite.form.promptfoo_csv import split_list
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "Call"]

_MOST_CALLS: Final = 256
"""Of an output or a rule: every call is compared with every other."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call, expected or made.

    Attributes:
        name: The function.
        arguments: Its arguments by name. None means any where a call is expected, and unreadable where it was made.
    """

    name: str
    arguments: Mapping[str, object] | None


def _tool_calls(spec: AssertSpec) -> Evaluate:
    refuse_hidden_templates(spec)
    rule = AssertRule.compile(spec, lambda value: _expected(spec, value))
    threshold = least(spec, 1.0)
    arguments = choice(spec, "arguments", "exact", ("exact", "subset", "names-only"))
    order = choice(spec, "order", "any", ("any", "strict"))

    def evaluate(context: CheckContext) -> Finding:
        expected, made = rule.on(context), _made(context.output)
        if not expected:
            return Finding.of(not made, f"wanted no call, found {len(made)}")
        if max(len(expected), len(made)) > _MOST_CALLS:
            raise CannotRunError(f"more than {_MOST_CALLS} tool calls cannot be compared")
        fits = [[_fits(want, call, arguments) for call in made] for want in expected]
        matched = _longest(fits) if order == "strict" else _largest(fits)
        score = tool_f1(matched, len(made), len(expected))
        return Finding(score >= threshold, score, f"F1 {score:.3f}: {matched} of {_named(expected)} in {_named(made)}")

    return evaluate


def _largest(fits: Sequence[Sequence[bool]]) -> int:
    """The most calls that can be paired, each once: a maximum matching of the bipartite graph."""
    if not any(map(any, fits)):
        return 0
    from scipy.sparse import csgraph, csr_array  # noqa: PLC0415 - heavy, and most suites have no tools

    partners = csgraph.maximum_bipartite_matching(csr_array(fits), perm_type="column")
    return sum(int(partner) >= 0 for partner in partners)


def _longest(fits: Sequence[Sequence[bool]]) -> int:
    """The most calls that can be paired without crossing: the longest common subsequence."""
    before = [0] * (len(fits[0]) + 1)
    for row in fits:
        now = [0]
        for index, fit in enumerate(row):
            now.append(max(now[-1], before[index + 1], before[index] + fit))
        before = now
    return before[-1]


def _fits(expected: Call, made: Call, mode: str) -> bool:
    if expected.name != made.name or mode == "names-only":
        return expected.name == made.name
    if made.arguments is None:
        return False
    return expected.arguments is None or same_json(expected.arguments, made.arguments, subset=mode == "subset")


def _expected(spec: AssertSpec, value: object) -> Sequence[Call]:
    if isinstance(value, str):
        value = _from_text(spec, value)
    items = value if isinstance(value, list) else [value]
    return [_expected_call(spec, item) for item in items]


def _from_text(spec: AssertSpec, value: str) -> object:
    text = javascript.trim(value)
    try:
        if text.startswith(("[", "{")):
            return parse_json(text)
        names = split_list(text)
    except ValueError as error:
        raise invalid_value(spec, f"the value is neither JSON nor a list of names: {error}") from error
    if not names:
        raise invalid_value(spec, "the value is empty", "Write `[]` if no tool may be called")
    return names


def _expected_call(spec: AssertSpec, item: object) -> Call:
    if isinstance(item, str) and item.lstrip().startswith("{"):
        item = _from_text(spec, item)
    if isinstance(item, str) and javascript.trim(item):
        return Call(javascript.trim(item), None)
    if isinstance(item, Mapping) and isinstance(item.get("function"), Mapping):
        item = item["function"]
    name = item.get("name") if isinstance(item, Mapping) else None
    if not isinstance(item, Mapping) or not isinstance(name, str) or not name:
        raise invalid_value(spec, "an expected call is a name, or a mapping with `name` and `arguments`")
    for key in item.keys() - {"name", "arguments"}:
        raise invalid_value(spec, f"an expected call has no {key!r}", did_you_mean(str(key), ["name", "arguments"]))
    if "arguments" not in item:
        return Call(name, None)
    arguments = _arguments(item["arguments"])
    if arguments is None:
        raise invalid_value(spec, f"the arguments of {name!r} are no mapping", "Leave them out if any will do")
    return Call(name, arguments)


def _made(output: object) -> Sequence[Call]:
    """The calls of an output in OpenAI's chat format; text that is no JSON holds none.

    Raises:
        CannotRunError: If there are calls, but they cannot be read.
    """
    if isinstance(output, str):
        try:
            output = parse_json(output)
        except ValueError:
            return ()
        if isinstance(output, list) and not any(_is_call(item) for item in output):
            return ()
    if isinstance(output, Mapping):
        output = _calls_of_message(output)
    if not isinstance(output, list | tuple):
        return ()
    return [_made_call(item) for item in output]


def _calls_of_message(message: Mapping[str, object]) -> object:
    if message.get("tool_calls") is not None:
        calls = message["tool_calls"]
        if not isinstance(calls, list | tuple):
            raise CannotRunError("the output's tool_calls are no list")
        return calls
    if message.get("function_call") is not None:
        return [message["function_call"]]
    return [message] if _is_call(message) else []


def _is_call(item: object) -> bool:
    return isinstance(item, Mapping) and ("function" in item or {"name", "arguments"} <= item.keys())


def _made_call(item: object) -> Call:
    function = item.get("function", item) if isinstance(item, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name, str):
        raise CannotRunError("one of the output's tool calls has no name")
    return Call(name, _arguments(function.get("arguments")))


def _arguments(written: object) -> Mapping[str, object] | None:
    """Arguments as a mapping, None if they are none. Servers write absent ones as null, an empty text or `{}`."""
    if isinstance(written, str) and javascript.trim(written):
        try:
            written = parse_json(written)
        except ValueError:
            return None
    elif written is None or isinstance(written, str):
        return {}
    return written if isinstance(written, Mapping) else None


def _named(calls: Sequence[Call]) -> str:
    return f"[{', '.join(call.name for call in calls)[:80]}]"


TYPES: Final = (
    CheckKind(
        id="tool-calls",
        passes="these calls were made",
        score="F1",
        value="list of names, or `{name, arguments}`",
        threshold="1",
        settings={
            "arguments": "`exact` (default), `subset`, `names-only`",
            "order": "`any` (default), `strict`",
        },
        example={"value": ["{{ x }}", {"name": "b", "arguments": {}}]},
        prepare=_tool_calls,
    ),
)
