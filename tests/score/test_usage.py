"""Measurements that are missing or garbage are errors, whatever the limit and whether or not it is negated."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.record.schema import Generation, TokenLogprob
from llmgate.score.usage import expects_finish_reason, misspelt, perplexity
from llmgate.suite.asserts import AssertSpec

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


def answer(text: str, *tokens: str) -> Generation:
    return Generation(text=text, latency_s=0.1, logprobs=tuple(TokenLogprob(token=t, logprob=-0.1) for t in tokens))


@pytest.mark.parametrize(
    ("text", "tokens", "stops"),
    [
        ("Paris", ("Par", "is"), None),
        ("Paris", ("Par", "", "is"), None),
        ("Paris", ("Par", "is", "<|im_end|>"), None),
        ("Paris", ("Par", "is", "</s>"), None),
        ("Paris", ("Par", "is", "<\uff5cend\u2581of\u2581sentence\uff5c>"), None),
        ("Paris", ("Par", "is", "[EOS]"), None),
        ("Paris", (" Par", "is"), None),  # SentencePiece
        ("Paris", (" Par", "is", "</s>"), None),
        (" Paris", (" Par", "is"), None),
        ("", ("<|im_end|>",), None),
        ("Paris", ("Par", "is", "\n"), "\n"),
        ("Paris", ("Par", "is", ".\n\nQ"), [".\n"]),
        ("Paris", ("Par", "is.\n"), ["x", ".\n"]),
        ("Paris", ("Par", "is", "EN", "D"), "END"),
        ("Paris", (), None),
    ],
)
def test_tokens_that_spell_the_text(text: str, tokens: tuple[str, ...], stops: object) -> None:
    assert misspelt(answer(text, *tokens), stops=stops) is None


@pytest.mark.parametrize(
    ("text", "tokens", "stops"),
    [
        ("Paris", ("London",), None),
        ("Paris", ("Par",), None),
        ("Paris", ("Par", "is", "!"), None),
        ("Paris", ("Par", "is", "<|im_end|>", "<|im_end|>"), None),
        ("Paris", ("Par", "is<end>"), None),
        ("Paris", ("Par", "is", "< end >"), None),
        ("Paris", ("<think>", "Paris"), None),
        ("Paris", ("  Paris",), None),
        ("Paris", ("\nParis",), None),
        (" Paris", ("Paris",), None),
        ("Paris", ("Par", "is", "\n", "No"), "\n"),
        ("Paris", ("Par", "is", "!"), ""),
        ("Paris", ("Par", "is", "!"), [None, 3]),
        ("", ("f()",), None),
    ],
)
def test_tokens_that_spell_another_text(text: str, tokens: tuple[str, ...], stops: object) -> None:
    assert misspelt(answer(text, *tokens), stops=stops) == "".join(tokens)


def spec(type_: str, value: Any, **extra: Any) -> AssertSpec:
    return AssertSpec(type=type_, value=value, **extra)


@pytest.mark.parametrize(
    ("asserts", "expected"),
    [
        ([], False),
        ([spec("finish-reason", "content_filter")], True),
        ([spec("equals", "x"), spec("finish-reason", "Content_Filter", weight=0)], True),
        ([spec("finish-reason", "{{ end }}")], True),
        ([AssertSpec(type="assert-set", asserts=(spec("equals", "x"), spec("finish-reason", "content_filter")))], True),
        ([spec("finish-reason", "content_filter", negated=True)], False),
        ([spec("finish-reason", "stop", negated=True)], False),
        ([spec("finish-reason", "stop")], False),
        ([spec("finish-reason", "")], False),
        ([spec("finish-reason", 7)], False),
        ([spec("finish-reason", "{{ nowhere }}")], False),
        ([spec("finish-reason", "{% broken")], False),
        ([spec("icontains", "content_filter")], False),
    ],
)
def test_which_cases_expect_a_finish_reason(asserts: list[AssertSpec], expected: bool) -> None:
    assert expects_finish_reason(asserts, {"end": "content_filter"}, "content_filter") is expected
