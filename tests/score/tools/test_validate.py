"""is-valid-openai-tools-call and is-valid-function-call beyond the conformance rows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import Evaluation, evaluate_assert
from llmgate.score.structured.schema import JsonSchema

PAY = {"type": "object", "properties": {"sum": {"type": "number"}}, "required": ["sum"], "additionalProperties": False}
FUNCTIONS: list[dict[str, Any]] = [{"name": "pay", "parameters": PAY}, {"name": "ping"}]
TOOLS = [{"type": "function", "function": function} for function in FUNCTIONS]


def function_call(output: object, functions: object = FUNCTIONS, type_: str = "is-valid-function-call") -> Evaluation:
    return evaluate_assert({"type": type_}, output, functions=functions)


def tools_call(output: object, tools: object = TOOLS, type_: str = "is-valid-openai-tools-call") -> Evaluation:
    return evaluate_assert({"type": type_}, output, tools=tools)


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        ('{"sum": 1}', "pass"),
        ('{"sum": 1, "to": "x"}', "fail"),
        ('{"sum": true}', "fail"),
        ('{"sum": NaN}', "fail"),
        ("null", "fail"),
        ("", "fail"),
    ],
)
def test_arguments_are_held_against_the_schema(arguments: str, outcome: str) -> None:
    assert function_call({"name": "pay", "arguments": arguments}).outcome == outcome
    assert tools_call({"tool_calls": [{"function": {"name": "pay", "arguments": arguments}}]}).outcome == outcome


@pytest.mark.parametrize(("arguments", "outcome"), [("{}", "pass"), ('{"a": 1}', "fail"), ("[]", "fail")])
def test_a_function_without_parameters_takes_no_arguments(arguments: str, outcome: str) -> None:
    assert function_call({"name": "ping", "arguments": arguments}).outcome == outcome


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        "pay",
        5,
        ["pay"],
        [{"parameters": PAY}],
        [{"name": 4}],
        [{"name": "pay", "parameters": {"type": "strng"}}],
        [{"name": "pay", "parameters": {"type": "object", "requird": ["sum"]}}],
        [*FUNCTIONS, {"name": "other", "parameters": {"type": "strng"}}],
        [{"name": "pay", "parameters": [PAY]}],
        [{"name": "pay", "parameters": False}],
    ],
)
@pytest.mark.parametrize("output", ["", {"name": "ping", "arguments": "{}"}])
@pytest.mark.parametrize("prefix", ["", "not-"])
def test_a_broken_list_is_an_error_whatever_the_output(broken: Any, output: object, prefix: str) -> None:
    assert function_call(output, broken, f"{prefix}is-valid-function-call").outcome == "error"
    tools = [{"type": "function", "function": one} for one in broken] if isinstance(broken, list) else broken
    assert tools_call([{"function": output}], tools, f"{prefix}is-valid-openai-tools-call").outcome == "error"


def test_tools_that_are_no_functions_are_passed_over() -> None:
    call = [{"function": {"name": "ping", "arguments": "{}"}}]
    assert tools_call(call, [{"type": "web_search"}, *TOOLS]).outcome == "pass"
    assert tools_call(call, [{"type": "web_search", "function": {"name": "ping"}}]).outcome == "fail"


def test_no_value_is_taken() -> None:
    spec = {"type": "is-valid-function-call", "value": ["pay"]}
    assert evaluate_assert(spec, {"name": "ping", "arguments": "{}"}, functions=FUNCTIONS).outcome == "error"


def test_schemas_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = [{"type": "function", "function": {"name": f"f{i}", "parameters": PAY}} for i in range(50)]
    call = [{"function": {"name": "f7", "arguments": '{"sum": 1}'}}]
    assert tools_call(call, tools).outcome == "pass"
    monkeypatch.setattr(JsonSchema, "compile", None)
    assert tools_call(call, tools).outcome == "pass"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["function", "name", "arguments", "tool_calls", "function_call"]), inner)
    ),
    max_leaves=8,
)


@given(anything)
def test_any_output_is_evaluated(output: object) -> None:
    assert function_call(output).outcome == "fail"
    assert tools_call(output).outcome == "fail"
    assert tools_call(output, type_="not-is-valid-openai-tools-call").outcome == "pass"
