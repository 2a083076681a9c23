"""json-diff as a suite writes it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate import Evaluation, evaluate_assert

WANT = {"id": 7, "lines": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 2}], "at": "2031-01-01"}


def run(value: Any, output: object, /, **fields: Any) -> Evaluation:
    variables = {"want": json.dumps(WANT), "data": WANT, "bad": "{", "x": "a"}
    return evaluate_assert({"type": "json-diff", "value": value, **fields}, output, vars=variables)


@pytest.mark.parametrize("value", [WANT, json.dumps(WANT), "{{ want }}", "{{ data | dump }}"])
def test_the_expected_value_can_be_data_text_or_a_column(value: Any) -> None:
    assert run(value, json.dumps(WANT)).outcome == "pass"
    assert run(value, WANT).score == 1
    worse = run(value, json.dumps({**WANT, "id": 8}))
    assert worse.outcome == "fail"
    assert worse.score == pytest.approx(5 / 6)
    assert "$.id" in worse.reason
    assert run(value, json.dumps({**WANT, "id": 8}), threshold=0.8).outcome == "pass"


def test_settings() -> None:
    turned = {**WANT, "lines": WANT["lines"][::-1], "at": "other", "id": 7.4}  # type: ignore[index]
    config = {"ignore": ["$.at"], "list-order": "ignore", "numeric-tolerance": 0.5}
    assert run(WANT, json.dumps(turned), config=config).score == 1
    for key in config:
        assert run(WANT, json.dumps(turned), config={k: v for k, v in config.items() if k != key}).score < 1  # type: ignore[operator]
    assert run(WANT, json.dumps(WANT), config={"ignore": "$.lines[*].sku"}).reason == "4 of 4 leaves agree"


def test_scalars_and_null_are_documents() -> None:
    assert run(None, "null").outcome == "pass"
    assert run(None, "0").outcome == "fail"
    assert run(3, "3.0").outcome == "pass"
    assert run('"text"', '"text"').outcome == "pass"
    assert run(["{{ x }}"], '["a"]').outcome == "pass"


def test_no_json_agrees_with_nothing() -> None:
    assert (run(WANT, "prose").outcome, run(WANT, "prose").score) == ("fail", 0)


@pytest.mark.parametrize("output", [json.dumps(WANT), "prose"])
@pytest.mark.parametrize(
    "fields",
    [
        {"value": "prose"}, {"value": ""}, {"value": "{{ bad }}"}, {"value": "{{ data }}"}, {"value": {1: 2}},
        {"value": float("nan")}, {"value": WANT, "threshold": 0}, {"value": WANT, "threshold": 1.5},
        {"value": WANT, "config": {"ignore": ["$"]}}, {"value": WANT, "config": {"ignore": [3]}},
        {"value": WANT, "config": {"ignore": {"a": 1}}}, {"value": WANT, "config": {"list-order": "any"}},
        {"value": WANT, "config": {"list-order": []}}, {"value": WANT, "config": {"numeric-tolerance": -1}},
        {"value": WANT, "config": {"numeric-tolerance": True}}, {"value": WANT, "config": {"numeric-tolerance": float("inf")}},
        {"value": WANT, "config": {"tolerance": 1}}, {},
    ],
)  # fmt: skip
def test_broken_rules_are_errors_whatever_the_output(fields: dict[str, Any], output: str) -> None:
    variables = {"data": WANT, "bad": "{"}
    for type_ in ("json-diff", "not-json-diff"):
        assert evaluate_assert({"type": type_, **fields}, output, vars=variables).outcome == "error"


@settings(deadline=None)
@given(st.text() | st.text(alphabet='{}[]":,a1- \ud800'), st.sampled_from(["strict", "ignore"]))
def test_any_text_is_evaluated(output: str, order: str) -> None:
    found = run({"a": [1, 2]}, output, config={"list-order": order, "ignore": "$.b[*]"})
    assert found.outcome in {"pass", "fail"}
    assert 0 <= (found.score if found.score is not None else -1) <= 1


def test_deep_output() -> None:
    deep = '{"a":' * 20_000 + "1" + "}" * 20_000
    assert run({"a": 1}, deep, config={"list-order": "ignore", "ignore": "$.b"}).outcome == "fail"
    assert run(deep, deep).outcome == "pass"
