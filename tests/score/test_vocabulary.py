"""What is true of every assert type, whatever it checks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.vocabulary import ABOUT, EXAMPLES, embed, friendly_judge

from llmgate import Evaluation, evaluate_assert
from llmgate.score.assertion.definition import Need
from llmgate.score.vocabulary import MOST_KEPT, VOCABULARY, needs_of, prepare_check
from llmgate.suite.form.asserts import read_assert

TYPES = sorted(EXAMPLES)
NEGATIVE = {"similar", "similar:cosine", "similar:dot", "similar:euclidean", "answer-relevance"}
"""Similarities: their vectors decide the range of the score, as in promptfoo."""

HOSTILE = [
    "", " ", "\x00", "\ud800", "\udfff\ud800", "\u202e\u2066abc", "🙂" * 50, "{{ x }}", "{% for i in range(10**9) %}",
    "null", "NaN", "[", "{" * 300, "</answer>", '{"pass": true, "score": 1}', "1e999", "-0", "0x10", "\\" * 99,
    "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><x>&b;</x>", "' OR 1=1 --", "SELECT " + "(" * 200,
    "```json\n{\n```", "\r\n\u2028\u2029\x85", "a" * 40 + "!", "--" * 99, "%s%n{0}", "é" * 99, "\ufeff",
]  # fmt: skip
LARGE = {
    "letters": "a" * 300_000, "words": "the cat " * 37_500, "brackets": "[" * 300_000, "tags": "<a>" * 100_000,
    "braces": '{"a":' * 60_000, "quotes": '"' * 300_000, "parens": "(" * 300_000, "lines": "\n" * 300_000,
    "emoji": "🙂" * 75_000, "digits": "9" * 300_000, "sql": "SELECT a FROM b; " * 18_000, "open": "<!--" * 75_000,
}  # fmt: skip
"""What is quadratic in a megabyte within six minutes of processor time is quadratic in these within 30 seconds."""


def ask(type_: str, output: object) -> Evaluation:
    return evaluate_assert({"type": type_, **EXAMPLES[type_.removeprefix("not-")]}, output, **about())


def about() -> dict[str, Any]:
    return {**ABOUT, "embed": embed, "judge": friendly_judge}


def sound(got: Evaluation, type_: str) -> None:
    """An outcome with a score where it belongs, and no exception that nobody expected."""
    assert got.outcome in {"pass", "fail", "error"}
    assert (got.score is None) is (got.outcome == "error")
    assert "internal error" not in got.reason, got.reason
    if got.score is not None and type_.removeprefix("not-") not in NEGATIVE:
        assert 0 <= got.score <= 1


def test_every_type_has_a_sound_example() -> None:
    assert VOCABULARY.names == EXAMPLES.keys()
    for name, rest in EXAMPLES.items():
        VOCABULARY.validate(read_assert({"type": name, **rest}, VOCABULARY.names), ABOUT["vars"])


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("output", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_outputs(type_: str, output: str) -> None:
    right, wrong = ask(type_, output), ask(f"not-{type_}", output)
    sound(right, type_)
    sound(wrong, type_)
    # What cannot be evaluated cannot be evaluated negated either, and never do both forms pass.
    assert not (right.outcome == wrong.outcome == "pass")


@pytest.mark.parametrize("type_", TYPES)
@settings(max_examples=25)
@given(output=st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_output(type_: str, output: object) -> None:
    sound(ask(type_, output), type_)


@pytest.mark.parametrize("type_", TYPES)
@settings(max_examples=25)
@given(
    value=st.none() | st.booleans() | st.text(max_size=9) | st.integers() | st.floats()
    | st.lists(st.text(max_size=3) | st.integers(), max_size=3) | st.dictionaries(st.text(max_size=3), st.text(max_size=3))
)  # fmt: skip
def test_any_value_is_a_rule_or_an_error(type_: str, value: object) -> None:
    sound(evaluate_assert({"type": type_, **EXAMPLES[type_], "value": value}, "the cat", **about()), type_)


@pytest.mark.parametrize("type_", TYPES)
@settings(max_examples=15)
@given(threshold=st.floats() | st.integers())
def test_any_threshold_is_a_rule_or_an_error(type_: str, threshold: float) -> None:
    sound(evaluate_assert({"type": type_, **EXAMPLES[type_], "threshold": threshold}, "the cat", **about()), type_)


@pytest.mark.cpu_seconds(30)
@pytest.mark.parametrize("type_", TYPES)
def test_large_outputs_end(type_: str) -> None:
    ask(type_, "the cat sat")  # imports and models are not the output's fault
    for output in LARGE.values():
        sound(ask(type_, output), type_)


@pytest.mark.parametrize("type_", TYPES)
def test_an_unknown_setting_is_refused(type_: str) -> None:
    rest = {**EXAMPLES[type_], "config": {**EXAMPLES[type_].get("config", {}), "no-such-setting": 1}}
    got = evaluate_assert({"type": type_, **rest}, "the cat sat", **about())
    assert got.outcome == "error"
    assert "no-such-setting" in got.reason


JUDGED = sorted(name for name in TYPES if VOCABULARY.is_judge(name))
EMBEDDED = sorted(name for name in TYPES if Need.EMBEDDINGS in VOCABULARY.kinds[name].asks)
CONFIGURED = sorted(
    (name, key) for name in TYPES if (kind := VOCABULARY.kind(name)) is not None for key in kind.settings
)
DEEP: list[Any] = []
for _ in range(3000):
    DEEP = [DEEP]
VALUES: list[Any] = [
    None, True, False, -1, 0, 0.5, 3, 10**400, 1e308, math.nan, math.inf, -math.inf, "", " ", "x", "{{ nope }}", "{% if",
    "\ud800", "file:///etc/passwd", [], [None], [[]], ["x", "x"], {}, {"a": 1}, {"facts": True}, {None: {}}, DEEP,
]  # fmt: skip
REPLIES: list[Any] = [
    *VALUES, "}", "{}", "[]", "[" * 5000, "{" * 5000, '{"a":' * 5000, "null", "maybe", "1e999", "```json\n{}\n```",
    '{"pass": true, "score": NaN}', '{"pass": true, "score": 1e999}', '{"pass": true, "score": -1}', '{"pass": [1]}',
    '{"score": true}', '{"reason": "r", "score": 11}', '{"items": 3}', '{"items": [{"item": 1, "met": "yes"}]}',
    '{"better": "both"}', '{"category": "F"}', '{"meets_criterion": "maybe"}', '{"statements": []}',
    '{"statements": [{"statement": "s", "verdict": 2}]}', '{"statements": ["a", ""]}', '{"question": 3}', object(), b"x",
    {"statements": [1]}, {"pass": {}}, {"score": []}, {"items": [DEEP]}, {"category": []}, {"better": {}}, {1: 2},
    '{"classifications": [{"statement": "s", "attributed": null}]}', '{"TP": [], "FP": [], "FN": []}', "verdict: maybe",
    '{"rating": 1e999}', '{"entities": [[]]}', '{"sentences": ["nowhere"]}', '{"steps": []}', '{"pass": true', "N\nY",
]  # fmt: skip
VECTORS: list[Any] = [
    None, 3, "abc", b"ab", [], [[]], [None], ["x"], ["1"], [math.nan], [math.inf], [10**400], {"a": 1}, [0.0, 0.0],
    [1e308, 1e308], [5e-324, 0.0], object(),
]  # fmt: skip


OUTPUTS = {"json-diff": '{"a": 1}'}
"""Of other text nothing can be said, so that the two forms differ: the plain one fails, the negated one is an error."""


def never_both(type_: str, rest: dict[str, Any], **asked: Any) -> tuple[Evaluation, Evaluation]:
    right, wrong = (
        evaluate_assert({"type": name, **rest}, OUTPUTS.get(type_, "The cat sat on it [1]."), **{**about(), **asked})
        for name in (type_, f"not-{type_}")
    )
    sound(right, type_)
    sound(wrong, f"not-{type_}")
    assert not (right.outcome == wrong.outcome == "pass")
    assert (right.outcome == "error") is (wrong.outcome == "error")
    return right, wrong


@pytest.mark.parametrize("type_", JUDGED)
def test_no_reply_of_a_judge_lets_both_forms_pass(type_: str) -> None:
    for reply in REPLIES:
        right, _ = never_both(type_, EXAMPLES[type_], judge=lambda _, reply=reply: reply)
        if not isinstance(reply, str | Mapping):
            assert right.outcome == "error", f"{reply!r:.80}"


@pytest.mark.parametrize("type_", JUDGED)
def test_a_judge_that_fails_is_an_error(type_: str) -> None:
    def judge(_: str) -> str:
        raise OSError("gone")

    assert {one.outcome for one in never_both(type_, EXAMPLES[type_], judge=judge)} == {"error"}


@pytest.mark.parametrize("type_", EMBEDDED)
def test_no_vector_lets_both_forms_pass(type_: str) -> None:
    def judge(_: str) -> str:
        return json.dumps({"question": "q", "noncommittal": 0, "statements": ["s"], "TP": [], "FP": [], "FN": []})

    for vector in VECTORS:
        never_both(type_, EXAMPLES[type_], embed=lambda _, vector=vector: vector, judge=judge)


@pytest.mark.parametrize(("type_", "key"), CONFIGURED)
def test_any_setting_is_a_rule_or_an_error(type_: str, key: str) -> None:
    for value in VALUES:
        never_both(type_, {**EXAMPLES[type_], "config": {key: value}})


UNREACHABLE = [
    *((name, 1.5) for name in ("answer-relevance", "bleu", "chrf", "context-faithfulness", "context-recall", "f1", "g-eval",
    "context-relevance", "gleu", "json-diff", "llm-rubric", "perplexity-score", "rouge-l", "rouge-n", "similar",
    "semantic-similarity", "similar:cosine", "tool-call-f1", "tool-calls", "checklist", "prefer", "refusal")),
    *((name, -1) for name in ("cost", "latency", "levenshtein", "perplexity", "similar:euclidean")),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "threshold"), UNREACHABLE)
def test_a_negation_of_what_never_passes_is_refused(type_: str, threshold: float) -> None:
    got = evaluate_assert({"type": f"not-{type_}", **EXAMPLES[type_], "threshold": threshold}, "the cat", **about())
    assert got.outcome == "error"


@pytest.mark.parametrize("type_", ["similar", "similar:cosine", "answer-relevance"])
def test_a_cosine_that_every_vector_reaches_is_refused(type_: str) -> None:
    got = evaluate_assert({"type": type_, **EXAMPLES[type_], "threshold": -1}, "the cat", **about())
    assert (got.outcome, "cannot fail" in got.reason) == ("error", True)


@pytest.mark.parametrize("type_", TYPES)
def test_weight_zero_never_fails_and_an_error_stays_one(type_: str) -> None:
    for output in ("the cat sat", ""):
        plain = ask(type_, output)
        free = evaluate_assert({"type": type_, **EXAMPLES[type_], "weight": 0}, output, **about())
        assert free.outcome == ("error" if plain.outcome == "error" else "pass")


def test_what_asserts_need_is_worked_out_once_for_the_very_asserts() -> None:
    now = read_assert({"type": "contains", "value": "a"}, VOCABULARY.names)
    later = read_assert({"type": "llm-rubric", "value": "polite"}, VOCABULARY.names)
    needs = needs_of((now, later))
    assert (needs.now, needs.later, needs.logprobs, needs.custom) == ((now,), (later,), False, False)
    both = (now, later)
    assert needs_of(both) is needs_of(both)
    assert prepare_check(now) is prepare_check(now)
    equal = read_assert({"type": "contains", "value": "a"}, VOCABULARY.names)
    assert prepare_check(equal) is not prepare_check(now)


def test_asserts_that_rows_bring_do_not_pile_up() -> None:
    first = read_assert({"type": "contains", "value": "a"}, VOCABULARY.names)
    kept = prepare_check(first)
    for _ in range(MOST_KEPT + 1):
        prepare_check(read_assert({"type": "contains", "value": "b"}, VOCABULARY.names))
    assert prepare_check(first) is not kept
