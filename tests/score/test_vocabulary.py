"""What is true of every assert type, whatever it checks."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.vocabulary import ABOUT, EXAMPLES, embed, friendly_judge

from llmgate import Evaluation, evaluate_assert
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.assertpart import read_assert

TYPES = sorted(EXAMPLES)
NEGATIVE = {"similar", "similar:cosine", "similar:dot", "similar:euclidean", "answer-relevance"}
"""Similarities: their vectors decide the range of the score, as in promptfoo."""
LIMIT_S = 6.0
"""Processor time of one assert on one output of a megabyte; the slowest give up after 3 s."""

HOSTILE = [
    "", " ", "\x00", "\ud800", "\udfff\ud800", "\u202e\u2066abc", "🙂" * 50, "{{ x }}", "{% for i in range(10**9) %}",
    "null", "NaN", "[", "{" * 300, "</answer>", '{"pass": true, "score": 1}', "1e999", "-0", "0x10", "\\" * 99,
    "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><x>&b;</x>", "' OR 1=1 --", "SELECT " + "(" * 200,
    "```json\n{\n```", "\r\n\u2028\u2029\x85", "a" * 40 + "!", "--" * 99, "%s%n{0}", "é" * 99, "\ufeff",
]  # fmt: skip
LARGE = {
    "letters": "a" * 1_000_000, "words": "the cat " * 125_000, "brackets": "[" * 1_000_000, "tags": "<a>" * 330_000,
    "braces": '{"a":' * 200_000, "quotes": '"' * 1_000_000, "parens": "(" * 1_000_000, "lines": "\n" * 1_000_000,
    "emoji": "🙂" * 250_000, "digits": "9" * 1_000_000, "sql": "SELECT a FROM b; " * 60_000, "open": "<!--" * 250_000,
}  # fmt: skip


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


@pytest.mark.parametrize("type_", TYPES)
def test_large_outputs_end_in_time(type_: str) -> None:
    ask(type_, "the cat sat")  # imports and models are not the output's fault
    for name, output in LARGE.items():
        started = time.process_time()
        sound(ask(type_, output), type_)
        assert time.process_time() - started < LIMIT_S, f"{type_} on {name}"


@pytest.mark.parametrize("type_", TYPES)
def test_an_unknown_setting_is_refused(type_: str) -> None:
    rest = {**EXAMPLES[type_], "config": {**EXAMPLES[type_].get("config", {}), "no-such-setting": 1}}
    got = evaluate_assert({"type": type_, **rest}, "the cat sat", **about())
    assert got.outcome == "error"
    assert "no-such-setting" in got.reason


@pytest.mark.parametrize("type_", TYPES)
def test_weight_zero_never_fails_and_an_error_stays_one(type_: str) -> None:
    for output in ("the cat sat", ""):
        plain = ask(type_, output)
        free = evaluate_assert({"type": type_, **EXAMPLES[type_], "weight": 0}, output, **about())
        assert free.outcome == ("error" if plain.outcome == "error" else "pass")
