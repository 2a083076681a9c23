"""Measurements that are missing or garbage are errors, whatever the limit and whether or not it is negated."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.usage import perplexity

GARBAGE: list[Any] = [None, math.nan, math.inf, -math.inf, "12", True, [], {}, 10**400, -1]
PREFIXES = pytest.mark.parametrize("prefix", ["", "not-"])


@PREFIXES
@pytest.mark.parametrize("value", GARBAGE)
def test_a_measurement_that_is_none_is_an_error(prefix: str, value: Any) -> None:
    for type_, about in (
        ("latency", {"latency_ms": value}),
        ("cost", {"cost": value}),
        ("token-budget", {"tokens": {"total": value}}),
        ("token-budget", {"tokens": {"prompt": 3, "completion": value}}),
    ):
        assert evaluate_assert({"type": prefix + type_, "threshold": 100}, "x", **about).outcome == "error"


@PREFIXES
@pytest.mark.parametrize(
    "logprobs", [None, [], "ab", 3, [None], ["-1"], [True], [math.nan], [-math.inf], [-(10**400)], {}]
)
def test_log_probabilities_that_are_none_are_errors(prefix: str, logprobs: Any) -> None:
    for type_ in ("perplexity", "perplexity-score"):
        assert evaluate_assert({"type": prefix + type_, "threshold": 0.5}, "x", logprobs=logprobs).outcome == "error"


@PREFIXES
@pytest.mark.parametrize("type_", ["latency", "cost", "perplexity", "perplexity-score", "token-budget"])
def test_without_a_limit_the_rule_is_broken_whatever_was_measured(prefix: str, type_: str) -> None:
    known: list[dict[str, Any]] = [{}, {"latency_ms": 1, "cost": 1, "logprobs": [-1.0], "tokens": {"total": 1}}]
    for about in known:
        assert evaluate_assert({"type": prefix + type_, "value": 5}, "x", **about).outcome == "error"


@given(st.lists(st.floats(max_value=0, allow_nan=False, allow_infinity=False), min_size=1))
def test_perplexity_is_the_inverse_geometric_mean_and_never_raises(logprobs: list[float]) -> None:
    found = perplexity(logprobs)
    assert found >= 1
    mean = math.fsum(x / len(logprobs) for x in logprobs)
    assert math.isclose(math.log(found), -mean, abs_tol=1e-9) if mean > -700 else found > 1e300
    score = evaluate_assert({"type": "perplexity-score", "threshold": 0.3}, "x", logprobs=logprobs).score
    assert score is not None
    assert 0 <= score <= 0.5


def test_an_improbable_answer_exceeds_every_limit() -> None:
    for logprobs in ([-9999.0], [-1.7e308] * 3):
        assert evaluate_assert({"type": "perplexity", "threshold": 1e300}, "x", logprobs=logprobs).outcome == "fail"


@pytest.mark.parametrize(
    ("config", "tokens", "outcome"),
    [
        ({"completion": 10}, {"completion": 10}, "pass"),
        ({"completion": 10}, {"completion": 11}, "fail"),
        ({"completion": 0}, {"completion": 0}, "pass"),
        ({"completion": 10, "prompt": 5}, {"completion": 1, "prompt": 6}, "fail"),
        ({"completion": 10, "prompt": 5}, {"completion": 1}, "error"),
        ({"total": 10}, {"completion": 4, "prompt": 6}, "pass"),
        ({"total": 9}, {"completion": 4, "prompt": 6}, "fail"),
        ({"total": 9}, {"completion": 4, "prompt": 6, "total": 9}, "pass"),
        ({"total": 9}, {}, "error"),
        ({"total": 9}, {"prompt": 1}, "error"),
    ],
)
def test_a_budget_bounds_each_count(config: dict[str, int], tokens: dict[str, object], outcome: str) -> None:
    assert evaluate_assert({"type": "token-budget", "config": config}, "x", tokens=tokens).outcome == outcome


@PREFIXES
@pytest.mark.parametrize(
    "config", [{}, {"total": -1}, {"total": "9"}, {"total": None}, {"total": math.nan}, {"totl": 9}]
)
def test_a_budget_that_is_no_number_is_an_error(prefix: str, config: dict[str, object]) -> None:
    spec = {"type": f"{prefix}token-budget", "config": config}
    assert evaluate_assert(spec, "x", tokens={"total": 1}).outcome == "error"


def test_a_total_limit_is_written_once() -> None:
    spec = {"type": "token-budget", "threshold": 9, "config": {"total": 8}}
    assert "given twice" in evaluate_assert(spec, "x", tokens={"total": 1}).reason


@PREFIXES
@pytest.mark.parametrize("reported", [None, "", 7, ["stop"], True])
def test_a_finish_reason_that_is_none_is_an_error(prefix: str, reported: object) -> None:
    spec = {"type": f"{prefix}finish-reason", "value": "stop"}
    assert evaluate_assert(spec, "x", finish_reason=reported).outcome == "error"
