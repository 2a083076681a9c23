"""tool-call-f1 beyond the conformance rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hmean

from llmgate import evaluate_assert
from llmgate.score.tools.call_f1 import called_names, tool_f1


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ({"tool_calls": [{"function": {"name": "a"}, "name": "b"}, None, {"function": []}]}, {"a", "b"}),
        ({"tool_calls": "none", "type": "tool_use", "name": "a"}, {"a"}),
        ({"type": "tool_use", "name": 5, "functionCall": {"name": "a"}}, {"a"}),
        ({"functionCall": [], "toolCall": {"functionCalls": [{"name": "a"}]}}, set()),
        ({"toolCall": {"functionCalls": [{"name": "a"}, 3, {"name": 4}]}}, {"a"}),
        ({"toolCall": {"functionCalls": "a"}}, set()),
        ({"name": "a"}, set()),
        ([{"functionCall": [], "name": "a"}, {"function": {}, "name": "b"}, "c", {"name": "d"}], {"d"}),
        ([{"type": "tool_use", "name": "a"}, {"type": "tool_use", "function": {"name": "b"}}], {"a", "b"}),
        (json.dumps(json.dumps([{"name": "a"}])), {"a"}),
        ('Sure.\n\n{"type": "tool_use", "name": "a"}\n\n```\n{"type": "tool_use", "name": "b"}\n```', {"a"}),
        (None, set()),
        (7, set()),
        ("7", set()),
    ],
)
def test_names(output: object, names: set[str]) -> None:
    assert called_names(output) == names


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 50))
def test_f1_is_the_harmonic_mean(matched: int, more: int, missed: int) -> None:
    called, expected = matched + more, matched + missed
    assert tool_f1(matched, called, expected) == pytest.approx(hmean([matched / called, matched / expected]), abs=1e-12)


@pytest.mark.parametrize(
    "spec",
    [
        {"value": []},
        {"value": [{"name": "a"}]},
        {"value": 5},
        {"value": ", ,"},
        {"value": "{{ missing }}"},
        {"value": ["a"], "threshold": 0},
        {"value": ["a"], "threshold": -1},
        {"value": ["a"], "config": {"order": "any"}},
    ],
)
@pytest.mark.parametrize("output", ["", [{"name": "a"}]])
def test_broken_rules(spec: dict[str, Any], output: object) -> None:
    for type_ in ("tool-call-f1", "not-tool-call-f1"):
        assert evaluate_assert({"type": type_, **spec}, output).outcome == "error"


def test_a_negated_threshold_above_1_cannot_fail() -> None:
    assert evaluate_assert({"type": "tool-call-f1", "value": "a", "threshold": 2}, "").outcome == "fail"
    assert evaluate_assert({"type": "not-tool-call-f1", "value": "a", "threshold": 2}, "").outcome == "error"


def test_a_tangled_output_is_an_error_negated_or_not() -> None:
    for type_ in ("tool-call-f1", "not-tool-call-f1"):
        assert evaluate_assert({"type": type_, "value": "a"}, "{" * 100_000).outcome == "error"


@given(st.text() | st.text(alphabet='{}[]":,\\\n `name'))
def test_any_text_is_evaluated(output: str) -> None:
    found = evaluate_assert({"type": "tool-call-f1", "value": "a"}, output)
    assert found.score is not None
    assert 0 <= found.score <= 1
