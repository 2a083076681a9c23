"""choice: letters in the forms in which models state them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.text.multiple_choice import chosen


@pytest.mark.parametrize("value", ["", "AB", "Z", 10, -1, 1.5, math.inf, math.nan, None, True, [], {"a": 1}, "11"])
def test_values_that_are_no_letter_are_errors(value: object) -> None:
    assert evaluate_assert({"type": "choice", "value": value}, "B").outcome == "error"
    assert evaluate_assert({"type": "not-choice", "value": value}, "B").outcome == "error"


@pytest.mark.parametrize("letters", ["", "A", "abc", "AAB", 3, ["A", "B"]])
def test_letters_that_cannot_be_told_apart_are_errors(letters: object) -> None:
    assert evaluate_assert({"type": "choice", "value": "A", "config": {"letters": letters}}, "A").outcome == "error"


@pytest.mark.parametrize(
    "output",
    [
        "B", "b is wrong? No.\nB", "(B)", "**B**", "B.", "B) Paris", "B: Paris", "The answer is B.", "Answer: (B)",
        "The correct option is **B**, because A is not.", r"Thus \boxed{B}", r"\boxed{\text{B}}", "I choose B",
        "The answer is A. Wait, no: the answer is B", "A) would be Rome.\nSo the answer is B", " `B` ", "answer=B",
    ],
)  # fmt: skip
def test_statements_of_b(output: str) -> None:
    assert chosen(output) == {"B"}, output
    assert evaluate_assert({"type": "choice", "value": "B"}, output).outcome == "pass"
    assert evaluate_assert({"type": "choice", "value": 1}, output).outcome == "pass"
    assert evaluate_assert({"type": "choice", "value": "{{ right }}"}, output, vars={"right": "B"}).outcome == "pass"
    assert evaluate_assert({"type": "not-choice", "value": "C"}, output).outcome == "pass"


@pytest.mark.parametrize("output", ["", "I do not know", "Be careful", "A\nB", "(A) or (B)", "The answer isn't clear"])
def test_no_letter_or_two_are_not_b(output: str) -> None:
    assert evaluate_assert({"type": "choice", "value": "B"}, output).outcome == "fail"


def test_no_letter_is_not_the_avoidance_of_one() -> None:
    assert evaluate_assert({"type": "not-choice", "value": "B"}, "I do not know").outcome == "error"


def test_letters_beyond_those_that_exist_do_not_count() -> None:
    spec = {"type": "choice", "value": "B", "config": {"letters": "ABCD"}}
    assert evaluate_assert(spec, "E) or so\nB) Paris").outcome == "pass"


@given(st.text())
def test_any_text_gives_letters(text: str) -> None:
    assert chosen(text) <= frozenset("ABCDEFGHIJ")


@pytest.mark.parametrize(
    "bait", ["(" * 500_000, "answer " * 120_000, "\\boxed{" * 100_000, "A" * 900_000, "\n" * 900_000]
)
def test_large_bait_ends(bait: str) -> None:
    assert evaluate_assert({"type": "choice", "value": "B"}, bait).outcome in {"pass", "fail"}
