"""What callers of the Python API may give by mistake: an error that says what to give instead, never a verdict."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llmgate import evaluate_assert, evaluate_asserts

RUBRIC = {"type": "llm-rubric", "value": "is kind"}
SIMILAR = {"type": "similar", "value": "a"}
CONTAINS = {"type": "contains", "value": "a"}
YES = '{"pass": true}'


class Message:
    """As client libraries return answers; its address could hold any text that is looked for."""

    content = "a"


@pytest.mark.parametrize("output", [Message(), b"a", {"a"}, {"x": [Message()]}, [1, b"a"]])
@pytest.mark.parametrize("spec", [CONTAINS, {"type": "not-contains", "value": "zz"}, {"type": "is-json"}])
def test_output_that_is_neither_text_nor_data_is_an_error(output: object, spec: dict[str, Any]) -> None:
    got = evaluate_assert(spec, output)
    assert (got.outcome, got.score) == ("error", None)
    assert "neither text nor JSON data" in got.reason


def test_data_that_json_holds_is_an_output() -> None:
    for output in ({"a": [1, 2.5, None, True]}, ["a"], ("a",), None, 3, math.nan):
        assert evaluate_assert({"type": "contains", "value": "b"}, output).outcome == "fail"


@pytest.mark.parametrize("name", ["vars", "tokens", "options"])
@pytest.mark.parametrize("value", ["a", [1], 3, object()])
def test_what_must_be_a_mapping_is_named(name: str, value: object) -> None:
    given: dict[str, Any] = {name: value}
    for spec in (CONTAINS, RUBRIC):
        got = evaluate_assert(spec, "a", judge=lambda _: YES, **given)
        assert got.outcome == "error"
        assert f"{name} must be a mapping" in got.reason


def test_a_prompt_may_be_the_messages_of_a_conversation() -> None:
    asked: list[str] = []
    messages: Any = [{"role": "user", "content": "Say é"}]

    def judge(prompt: str) -> str:
        asked.append(prompt)
        return YES

    evaluate_assert(RUBRIC, "a", prompt=messages, judge=judge)
    assert '[{"role":"user","content":"Say é"}]' in asked[0]
    wrong: Any = 3
    assert "the prompt is an int" in evaluate_assert(CONTAINS, "a", prompt=wrong).reason


@pytest.mark.parametrize("judge", ["gpt", 3, {"": "gpt"}, {"strict": None}])
def test_a_judge_that_is_no_function_is_named(judge: Any) -> None:
    got = evaluate_assert(RUBRIC, "a", judge=judge)
    assert got.outcome == "error"
    assert "not a function" in got.reason
    assert "from prompt to reply" in got.reason


def test_an_embedding_model_that_is_no_function_or_no_vector_is_named() -> None:
    embed: Any = "minilm"
    assert "embed is not a function" in evaluate_assert(SIMILAR, "a", embed=embed).reason
    digits: Any = lambda _: "12"  # noqa: E731
    assert evaluate_assert(SIMILAR, "a", embed=digits).outcome == "error"
    assert "embed=" in evaluate_assert(SIMILAR, "a").reason


def test_judges_by_name_say_how_to_name_them() -> None:
    by_name = {"strict": lambda _: YES, "kind": lambda _: YES}
    got = evaluate_assert(RUBRIC, "a", judge=by_name)
    assert "judges: [strict, kind]" in got.reason
    assert evaluate_assert({**RUBRIC, "judges": ["kind"]}, "a", judge=by_name).outcome == "pass"
    assert "Did you mean kind" in evaluate_assert({**RUBRIC, "judges": ["kindd"]}, "a", judge=by_name).reason
    assert "judge=" in evaluate_assert({**RUBRIC, "judges": ["kind"]}, "a", judge=lambda _: YES).reason
    assert "judge=" in evaluate_assert(RUBRIC, "a").reason


@pytest.mark.parametrize("retries", [-1, 101, "2", None, True, 1.0, math.nan])
def test_retries_are_bounded(retries: Any) -> None:
    got = evaluate_assert(RUBRIC, "a", judge=lambda _: YES, judge_retries=retries)
    assert got.outcome == "error"
    assert "from 0 to 100" in got.reason


@pytest.mark.parametrize("specs", [None, "contains", CONTAINS, 3, object(), ["contains"], [None], [[]], [3]])
def test_asserts_that_are_no_list_of_mappings_are_an_error(specs: Any) -> None:
    got = evaluate_asserts(specs, "a")
    assert (got.outcome, got.score, got.type) == ("error", None, "test")
    assert "mapping" in got.reason
    assert "internal" not in got.reason


def test_asserts_may_come_one_by_one() -> None:
    assert evaluate_asserts((spec for spec in [CONTAINS, CONTAINS]), "a").score == 1.0  # type: ignore[arg-type]


def test_the_threshold_of_a_test_is_read_as_in_a_suite() -> None:
    half: list[dict[str, Any]] = [CONTAINS, {"type": "contains", "value": "z"}]
    for threshold, outcome in ((0.5, "pass"), ("0.5", "pass"), ("0.51", "fail")):
        given: Any = threshold
        assert evaluate_asserts(half, "a", threshold=given).outcome == outcome
    wrong: list[Any] = ["half", "", True, math.inf, -math.inf, math.nan, [1], {}]
    for one in wrong:
        got = evaluate_asserts(half, "a", threshold=one)
        assert (got.outcome, got.score) == ("error", None)
        assert "must be a number" in got.reason


def test_a_score_that_is_not_a_number_is_no_verdict() -> None:
    for spec in (RUBRIC, {"type": "not-llm-rubric", "value": "is rude"}):
        got = evaluate_assert(spec, "a", judge=lambda _: {"pass": spec is RUBRIC, "score": math.nan})  # noqa: B023
        assert (got.outcome, got.score) == ("error", None)


@pytest.mark.parametrize("logprobs", [[5.0], [-1.0, 0.2]])
def test_log_probabilities_above_0_are_none(logprobs: list[float]) -> None:
    for spec in ({"type": "perplexity", "threshold": 5}, {"type": "perplexity-score", "threshold": 0.1}):
        got = evaluate_assert(spec, "a", logprobs=logprobs)
        assert got.outcome == "error"
        assert "above 0" in got.reason
