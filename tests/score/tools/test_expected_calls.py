"""tool-calls: names, arguments, order."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import Evaluation, evaluate_assert


def check(value: object, output: object, type_: str = "tool-calls", **fields: Any) -> Evaluation:
    threshold = {"threshold": fields.pop("threshold")} if "threshold" in fields else {}
    return evaluate_assert({"type": type_, "value": value, "config": fields, **threshold}, output, vars={"x": "a"})


def made(*calls: tuple[str, object]) -> dict[str, Any]:
    functions = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return {"role": "assistant", "tool_calls": [{"type": "function", "function": one} for one in functions]}


PAY = {"name": "pay", "arguments": {"sum": 1, "to": {"iban": "x", "tags": [{"a": 1}]}}}


@pytest.mark.parametrize(
    ("arguments", "exact", "subset", "names"),
    [
        ({"sum": 1, "to": {"iban": "x", "tags": [{"a": 1}]}}, 1, 1, 1),
        ('{"to": {"tags": [{"a": 1}], "iban": "x"}, "sum": 1.0}', 1, 1, 1),
        ({"sum": 1, "to": {"iban": "x", "tags": [{"a": 1, "b": 2}], "bic": "y"}, "note": ""}, 0, 1, 1),
        ({"sum": 1, "to": {"iban": "x", "tags": [{"a": 1}, {"a": 1}]}}, 0, 0, 1),
        ({"sum": True, "to": {"iban": "x", "tags": [{"a": 1}]}}, 0, 0, 1),
        ({"sum": "1", "to": {"iban": "x", "tags": [{"a": 1}]}}, 0, 0, 1),
        ({"sum": 1}, 0, 0, 1),
        ('{"sum": 1', 0, 0, 1),
        ("[1]", 0, 0, 1),
        (None, 0, 0, 1),
        ("", 0, 0, 1),
    ],
)
def test_arguments(arguments: object, exact: float, subset: float, names: float) -> None:
    output = made(("pay", arguments))
    assert check([PAY], output).score == exact
    assert check([PAY], output, arguments="exact").score == exact
    assert check([PAY], output, arguments="subset").score == subset
    assert check([PAY], output, arguments="names-only").score == names
    assert check([{**PAY, "name": "other"}], output, arguments="names-only").score == 0


@pytest.mark.parametrize("arguments", [{}, "{}", "", None])
def test_no_arguments(arguments: object) -> None:
    assert check([{"name": "ping", "arguments": {}}], made(("ping", arguments))).outcome == "pass"
    assert check("ping", made(("ping", arguments))).outcome == "pass"


def test_without_expected_arguments_any_will_do_that_can_be_read() -> None:
    assert check(["pay"], made(("pay", '{"sum": 3}'))).outcome == "pass"
    assert check(["pay"], made(("pay", '{"sum": '))).outcome == "fail"


def test_the_score_is_the_f1_of_matched_calls() -> None:
    output = made(("a", "{}"), ("b", "{}"), ("b", "{}"))
    assert check("a, b", output).score == pytest.approx(0.8)
    assert check("a, b", output).outcome == "fail"
    assert check("a, b", output, threshold=0.8).outcome == "pass"
    assert check("a, b, b", output).outcome == "pass"
    assert check("b", made(("a", "{}"))).score == 0


def test_order() -> None:
    output = made(("a", "{}"), ("b", "{}"), ("c", "{}"))
    for names in permutations("abc"):
        assert check(",".join(names), output).outcome == "pass"
        assert check(",".join(names), output, order="strict").outcome == ("pass" if names == tuple("abc") else "fail")
    assert check("b, a, c", output, order="strict").score == pytest.approx(2 / 3)


def test_calls_are_paired_as_well_as_possible() -> None:
    wanted = [{"name": "f"}, {"name": "f", "arguments": {"x": 1}}]
    assert check(wanted, made(("f", {"x": 1}), ("f", {"x": 2}))).outcome == "pass"
    assert check(wanted, made(("f", {"x": 1}), ("f", {"x": 2})), order="strict").score == 0.5


@pytest.mark.parametrize(
    "output",
    [
        made(("a", "{}")),
        made(("a", "{}"))["tool_calls"],
        made(("a", "{}"))["tool_calls"][0],
        json.dumps(made(("a", "{}"))),
        [{"name": "a", "arguments": {}}],
        {"name": "a", "arguments": "{}"},
        {"content": None, "function_call": {"name": "a", "arguments": "{}"}},
    ],
)
def test_forms_of_an_output(output: object) -> None:
    assert check([{"name": "a", "arguments": {}}], output).outcome == "pass"


@pytest.mark.parametrize(
    "output",
    ["", "Sorry.", "7", "[1]", '{"a": 1}', {"role": "assistant", "content": "x", "tool_calls": None}, [], None],
)
def test_no_call(output: object) -> None:
    assert check("a", output).score == 0
    assert check([], output).outcome == "pass"
    assert check([], output, "not-tool-calls").outcome == "fail"


def test_a_call_where_none_is_wanted() -> None:
    assert check([], made(("a", "{}"))).outcome == "fail"


@pytest.mark.parametrize(
    "output", [{"tool_calls": "a"}, {"tool_calls": [{}]}, ["a"], {"tool_calls": [{"function": {"name": 3}}]}]
)
def test_calls_that_cannot_be_read_are_an_error(output: object) -> None:
    for type_ in ("tool-calls", "not-tool-calls"):
        assert check("a", output, type_).outcome == "error"


@pytest.mark.parametrize(
    "value",
    [
        None, 5, "", " , ", "[{", "{{ missing }}", [""], [3], [[]], [{"arguments": {}}], [{"name": ""}],
        [{"name": "a", "args": {}}], [{"name": "a", "arguments": [1]}], [{"name": "a", "arguments": "{"}],
    ],
)  # fmt: skip
def test_broken_values(value: object) -> None:
    for type_ in ("tool-calls", "not-tool-calls"):
        for output in ("", made(("a", "{}"))):
            assert check(value, output, type_).outcome == "error"


@pytest.mark.parametrize("config", [{"arguments": "some"}, {"order": True}, {"order": None}, {"ordr": "any"}])
def test_broken_settings(config: dict[str, Any]) -> None:
    assert check("a", "", **config).outcome == "error"
    assert check("a", "", "not-tool-calls", **config).outcome == "error"


def test_templates() -> None:
    assert check("{{ x }}, b", made(("a", "{}"), ("b", "{}"))).outcome == "pass"
    assert check(["{{ x }}"], made(("a", "{}"))).outcome == "pass"
    wanted = '[{"name": "{{ x }}", "arguments": {"y": 1}}]'
    assert check(wanted, made(("a", '{"y": 1}'))).outcome == "pass"
    assert check(['{"name": "{{ x }}", "arguments": {"y": 1}}'], made(("a", '{"y": 1}'))).outcome == "pass"


def test_too_many_calls_are_an_error() -> None:
    assert check("a", made(*[("a", "{}")] * 300)).outcome == "error"


names = st.lists(st.sampled_from("abc"), max_size=6)


@given(names, names)
def test_pairing_against_counting(wanted: list[str], called: list[str]) -> None:
    output = made(*((name, "{}") for name in called))
    found = check(wanted, output, threshold=0.5)
    if not wanted:
        assert found.score == float(not called)
        return
    matched = sum(min(wanted.count(name), called.count(name)) for name in "abc")
    assert found.score == pytest.approx(2 * matched / (len(wanted) + len(called)))
    strict = check(wanted, output, threshold=0.5, order="strict")
    assert strict.score is not None
    assert found.score is not None
    assert strict.score <= found.score


@given(st.text() | st.text(alphabet='[]{}":,name '))
def test_any_text_is_evaluated_or_an_error(output: str) -> None:
    found = check("a", output)
    assert found.outcome in {"fail", "error"}
    assert not found.reason.startswith("internal error")
