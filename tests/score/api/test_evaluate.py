"""The function that users call: it never raises, and its scores are what the checks say."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmgate
from llmgate import Evaluation, evaluate_assert, evaluate_asserts

HOSTILE: list[Any] = [
    {},
    {"type": 3},
    {"type": "contains"},
    {"type": "contains", "value": "a", "weigth": 2},
    {"type": "contains", "value": "a", "weight": math.nan},
    {"type": "contains", "value": "a", "threshold": math.inf},
    {"type": "contains", "value": "{{ a"},
    {"type": "not-", "value": "a"},
    {"type": "not-not-contains", "value": "a"},
    {"type": "assert-set"},
    {"type": "assert-set", "assert": []},
    {"type": "not-assert-set", "assert": [{"type": "contains", "value": "a"}]},
    {"type": "contains", "value": "a", "assert": [{"type": "contains", "value": "a"}]},
    {"type": "contains", "value": object()},
    {"type": "contains", "value": "a", "config": {"fold": True}},
    {"type": "llm-rubric", "value": "is kind"},
    {1: 2},
    None,
    "contains",
    [],
]


@pytest.mark.parametrize("spec", HOSTILE, ids=range(len(HOSTILE)))
def test_what_cannot_be_evaluated_is_an_error_that_says_why(spec: Any) -> None:
    got = evaluate_assert(spec, "a")
    assert (got.outcome, got.score) == ("error", None)
    assert got.reason


def test_a_misspelt_key_is_named_with_the_nearest_one() -> None:
    assert "Did you mean weight" in evaluate_assert({"type": "contains", "value": "a", "weigth": 2}, "a").reason


def test_passes_and_failures_carry_score_and_reason() -> None:
    assert evaluate_assert({"type": "icontains", "value": "Paris"}, "In paris.") == Evaluation(
        outcome="pass", score=1.0, reason="found 'paris'", type="icontains"
    )
    got = evaluate_assert({"type": "not-icontains", "value": "{{ city }}"}, "In paris.", vars={"city": "Paris"})
    assert (got.outcome, got.score, got.type) == ("fail", 0.0, "not-icontains")


def test_a_spec_that_changes_in_place_is_read_again() -> None:
    spec = {"type": "contains", "value": "a"}
    assert evaluate_assert(spec, "a").outcome == "pass"
    spec["value"] = "b"
    assert evaluate_assert(spec, "a").outcome == "fail"


def test_one_and_one_point_nought_and_true_are_different_specs() -> None:
    by_type = {repr(value): evaluate_assert({"type": "equals", "value": [value]}, "[1]").outcome for value in (1, True)}
    assert by_type == {"1": "pass", "True": "fail"}


def test_judges_may_be_plain_async_or_several() -> None:
    async def later(prompt: str) -> str:
        await asyncio.sleep(0)
        assert "is kind" in prompt
        return '{"pass": true, "score": 0.9}'

    spec = {"type": "llm-rubric", "value": "is kind"}
    assert evaluate_assert(spec, "Hello!", judge=later).score == 0.9
    assert evaluate_assert(spec, "Hello!", judge={"": lambda _: {"pass": False}}).outcome == "fail"
    assert evaluate_assert(spec, "Hello!", judge=lambda _: None).outcome == "error"


def test_a_judge_may_report_its_tokens() -> None:
    def judge(_: str) -> llmgate.JudgeReply:
        text = '{"reason": "so", "score": 8}'
        score = llmgate.Token(text="8", logprob=math.log(0.5), alternatives={"8": math.log(0.5), "6": math.log(0.5)})
        plain = [llmgate.Token(text=part, logprob=0.0) for part in ('{"reason": "so", "score": ', "}")]
        return llmgate.JudgeReply(content=text, tokens=(plain[0], score, plain[1]))

    got = evaluate_assert({"type": "g-eval", "value": "is kind", "config": {"steps": ["Read it."]}}, "Hi", judge=judge)
    assert got.score == pytest.approx(0.7)


def test_an_unreadable_reply_is_asked_again_only_if_wanted() -> None:
    asked: list[str] = []

    def judge(prompt: str) -> str:
        asked.append(prompt)
        return "Sure!" if len(asked) == 1 else '{"pass": true}'

    spec = {"type": "llm-rubric", "value": "is kind"}
    assert evaluate_assert(spec, "Hello!", judge=judge).outcome == "error"
    asked.clear()
    assert evaluate_assert(spec, "Hello!", judge=judge, judge_retries=1).outcome == "pass"
    assert "could not be read" in asked[1]
    assert "Sure!" in asked[1]


def test_it_works_inside_an_event_loop() -> None:
    async def inside() -> Evaluation:
        return evaluate_assert({"type": "llm-rubric", "value": "is kind"}, "x", judge=lambda _: '{"pass": true}')

    assert asyncio.run(inside()).outcome == "pass"


def test_a_whole_test_has_parts_and_named_scores() -> None:
    got = evaluate_asserts(
        [
            {"type": "contains", "value": "a", "metric": "facts", "weight": 3},
            {"type": "contains", "value": "z", "metric": "facts"},
            {"type": "assert-set", "threshold": 0.5, "assert": [
                {"type": "contains", "value": "a", "metric": "tone"}, {"type": "contains", "value": "z"}]},
        ],
        "a",
        threshold=0.6,
    )  # fmt: skip
    assert got.outcome == "pass"
    assert got.score == pytest.approx((3 + 0 + 0.5) / 5)
    assert [part.outcome for part in got.parts] == ["pass", "fail", "pass"]
    assert [part.outcome for part in got.parts[2].parts] == ["pass", "fail"]
    assert got.named_scores == {"facts": 0.75, "tone": 1.0}


def test_a_set_with_a_judge_asks_it() -> None:
    spec = {
        "type": "assert-set",
        "assert": [{"type": "contains", "value": "H"}, {"type": "llm-rubric", "value": "kind"}],
    }
    assert evaluate_asserts([spec], "Hi", judge=lambda _: '{"pass": true}').outcome == "pass"
    assert evaluate_asserts([spec], "Hi", judge=lambda _: "?").outcome == "error"
    assert evaluate_asserts([spec], "Hi").outcome == "error"
    assert "evaluate_asserts" in evaluate_assert(spec, "Hi").reason


def test_one_error_is_the_whole_tests_error_whatever_the_threshold() -> None:
    specs: list[dict[str, Any]] = [{"type": "contains", "value": "a"}, {"type": "contains", "value": "", "weight": 0}]
    got = evaluate_asserts(specs, "a", threshold=0.1)
    assert (got.outcome, got.score) == ("error", None)
    assert [part.outcome for part in got.parts] == ["pass", "error"]


def test_a_test_that_cannot_fail_is_an_error() -> None:
    assert evaluate_asserts([{"type": "contains", "value": "a"}], "b", threshold=0).outcome == "error"
    assert evaluate_asserts([{"type": "contains", "value": "a"}], "b", threshold=math.nan).outcome == "error"


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 10)), min_size=1, max_size=6
    ),
    st.text(alphabet="abc"),
)  # fmt: skip
def test_the_score_of_a_test_is_the_weighted_mean(asserts: list[tuple[str, bool, float]], output: str) -> None:
    specs = [{"type": ("not-" if n else "") + "contains", "value": v, "weight": w} for v, n, w in asserts]
    got = evaluate_asserts(specs, output)
    total = sum(w for *_, w in asserts)
    want = sum(w for v, n, w in asserts if (v in output) is not n) / total if total else 0.0
    assert got.score == pytest.approx(want)
    assert got.outcome == ("pass" if all(w == 0 or (v in output) is not n for v, n, w in asserts) else "fail")


def test_the_names_are_public() -> None:
    assert {"evaluate_assert", "evaluate_asserts", "Evaluation", "check", "Finding"} <= set(llmgate.__all__)
