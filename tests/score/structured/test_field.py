"""json-field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate import Evaluation, evaluate_assert

OUTPUT = json.dumps(
    {"total": 3, "name": "Ida", "tags": ["a", "b"], "lines": [{"qty": 1}, {"qty": 5}], "none": None, "empty": [],
     "price": 2.5, "ok": True, "one": 1.0}
)  # fmt: skip


def run(value: Any, output: object = OUTPUT, /, **fields: Any) -> Evaluation:
    variables = fields.pop("vars", {"n": 3, "who": "Ida"})
    return evaluate_assert({"type": "json-field", "value": value, **fields}, output, vars=variables)


@pytest.mark.parametrize(
    ("field", "outcome"),
    [
        ({"path": "$.total", "equals": 3}, "pass"),
        ({"path": "$.total", "equals": 3.0}, "pass"),
        ({"path": "$.total", "equals": "3"}, "fail"),
        ({"path": "$.one", "equals": True}, "fail"),
        ({"path": "$.none", "equals": None}, "pass"),
        ({"path": "$.gone", "equals": None}, "fail"),
        ({"path": "$.total", "equals": "{{ n }}"}, "pass"),
        ({"path": "$.name", "equals": "{{ who }}"}, "pass"),
        ({"path": "$.tags", "equals": "{{ who }}"}, "fail"),
        ({"path": "$.name", "contains": "d"}, "pass"),
        ({"path": "$.tags", "contains": "b"}, "pass"),
        ({"path": "$.tags", "contains": "c"}, "fail"),
        ({"path": "$.total", "contains": "3"}, "fail"),
        ({"path": "$.name", "regex": "^I"}, "pass"),
        ({"path": "$.total", "regex": "3"}, "fail"),
        ({"path": "$.total", "min": 3, "max": 3}, "pass"),
        ({"path": "$.total", "min": "{{ n }}"}, "pass"),
        ({"path": "$.total", "min": 4}, "fail"),
        ({"path": "$.name", "min": 0}, "fail"),
        ({"path": "$.ok", "max": 5}, "fail"),
        ({"path": "$.lines[*].qty", "min": 1}, "pass"),
        ({"path": "$.lines[*].qty", "min": 2}, "fail"),
        ({"path": "$.lines[*].qty", "min": 2, "any": True}, "pass"),
        ({"path": "$.lines[-1].qty", "equals": 5}, "pass"),
        ({"path": "$.lines[*].price", "exists": False}, "pass"),
        ({"path": "$.lines[*].price", "exists": True, "any": True}, "fail"),
        ({"path": "$.empty[*]", "type": "string"}, "fail"),
        ({"path": "$.empty[*]", "exists": True}, "fail"),
        ({"path": "$.empty[*]", "exists": False}, "pass"),
        ({"path": "$.none", "exists": True}, "pass"),
        ({"path": "$.gone", "exists": True}, "fail"),
        ({"path": "$.one", "type": "integer"}, "pass"),
        ({"path": "$.price", "type": "integer"}, "fail"),
        ({"path": "$.price", "type": ["integer", "number"]}, "pass"),
        ({"path": "$.ok", "type": "number"}, "fail"),
        ({"path": "$.none", "type": "null"}, "pass"),
        ({"path": "$.gone", "type": "null"}, "fail"),
        ({"path": "$.lines", "type": "array"}, "pass"),
        ({"path": "$", "type": "object"}, "pass"),
        ({"path": "$.name", "one-of": ["Ada", "Ida"]}, "pass"),
        ({"path": "$.one", "one-of": [True]}, "fail"),
    ],
)
def test_comparisons(field: dict[str, Any], outcome: str) -> None:
    found = run(field)
    assert (found.outcome, found.score) == (outcome, float(outcome == "pass")), found.reason
    assert run(field, json.loads(OUTPUT)).outcome == outcome


def test_the_score_is_the_share_of_fields() -> None:
    fields = [{"path": "$.total", "equals": 3}, {"path": "$.name", "equals": "Ada"}, {"path": "$.ok", "equals": True}]
    assert run(fields).score == pytest.approx(2 / 3)
    assert run(fields).outcome == "fail"
    assert run(fields, threshold=0.6).outcome == "pass"
    negated = evaluate_assert({"type": "not-json-field", "value": fields}, OUTPUT)
    assert negated.outcome == "pass"
    assert negated.score == pytest.approx(1 / 3)


def test_no_json_has_no_fields() -> None:
    assert (run({"path": "$.a", "exists": False}, "prose").outcome) == "fail"


@pytest.mark.parametrize("output", ["prose", "", '{"a": 3', "```json\n{}\n```"])
def test_without_json_nothing_can_be_said_of_what_is_not_in_it(output: str) -> None:
    for spec in (
        {"type": "not-json-field", "value": {"path": "$.error", "exists": True}},
        {"type": "not-json-diff", "value": {"error": 1}},
    ):
        got = evaluate_assert(spec, output)
        assert (got.outcome, got.score) == ("error", None)
        assert "not JSON" in got.reason


@pytest.mark.parametrize("output", [OUTPUT, "prose", ""])
@pytest.mark.parametrize(
    "value",
    [
        None, "", "$.a", [], [[]], {}, {"path": "$.a"}, {"equals": 1}, {"path": "a", "equals": 1}, {"path": "$..a", "exists": True},
        {"path": "$.a", "equal": 1}, {"path": "$.a", "any": True}, {"path": "$.a", "equals": 1, "any": 1},
        {"path": "$.a", "regex": "("}, {"path": "$.a", "regex": 3}, {"path": "$.a", "regex": "{{ bad }}"},
        {"path": "$.a", "min": "x"}, {"path": "$.a", "min": True}, {"path": "$.a", "min": "{{ who }}"},
        {"path": "$.a", "max": float("inf")}, {"path": "$.a", "exists": "yes"}, {"path": "$.a", "exists": False, "equals": 1},
        {"path": "$.a", "type": "str"}, {"path": "$.a", "type": []}, {"path": "$.a", "type": [["null"]]},
        {"path": "$.a", "one-of": []}, {"path": "$.a", "one-of": "a"}, {"path": "$.a", "contains": ""},
        {"path": "$.a", "contains": "{{ nothing }}"}, {"path": "$.a", "equals": "{{ no_such_column }}"},
        {"path": "$.a", "equals": {1: 2}}, {"path": "$.a", "equals": float("nan")}, {"path": "$.a", "equals": "{{ "},
        {"path": "$.a", "type": "{{ who }}"},
    ],
)  # fmt: skip
def test_broken_rules_are_errors_whatever_the_output(value: Any, output: str) -> None:
    variables = {"bad": "(", "who": "Ida", "nothing": ""}
    assert run(value, output, vars=variables).outcome == "error"
    assert evaluate_assert({"type": "not-json-field", "value": value}, output, vars=variables).outcome == "error"


@pytest.mark.parametrize("threshold", [0, -1, 1.1])
def test_a_threshold_that_all_or_none_reach_is_an_error(threshold: float) -> None:
    assert run({"path": "$", "exists": True}, threshold=threshold).outcome == "error"


def test_settings_do_not_exist() -> None:
    assert run({"path": "$", "exists": True}, config={"any": True}).outcome == "error"


def test_deep_output() -> None:
    deep = '{"a":' * 20_000 + "1" + "}" * 20_000
    assert run({"path": "$.a.a", "type": "object"}, deep).outcome == "pass"
    assert run({"path": "$.a", "equals": {"a": 1}}, deep).outcome == "fail"


@settings(deadline=None)
@given(st.text() | st.text(alphabet='{}[]":,a1- \ud800'))
def test_any_text_is_evaluated(output: str) -> None:
    found = run([{"path": "$.a", "regex": "a+"}, {"path": "$[*]", "min": 1}], output)
    assert found.outcome in {"pass", "fail"}
    assert found.score in {0.0, 0.5, 1.0}
