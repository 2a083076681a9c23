"""exact-match and f1: the examples of SQuAD's evaluation script, and answers that normalisation would swallow."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.text.exact_match import squad_normalised, word_f1

words = st.lists(st.sampled_from("abc")).map(Counter)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("The Eiffel Tower!", "eiffel tower"),
        ("an  apple, a day", "apple day"),
        ("theatre", "theatre"),
        ("U.S.A.", "usa"),
        ("don't", "dont"),
        ("The", ""),
        ("the-end", "theend"),
        ("Ärger “über” a", "ärger “über”"),
    ],
)
def test_normalisation_is_that_of_squad(text: str, normalised: str) -> None:
    assert squad_normalised(text) == normalised


@pytest.mark.parametrize(
    ("value", "normalise", "output", "outcome"),
    [
        ("Denver Broncos", "squad", "the Denver Broncos.", "pass"),
        (["no", "Denver Broncos"], "squad", "DENVER BRONCOS", "pass"),
        ("Denver Broncos", "none", "denver Broncos", "fail"),
        ("Denver Broncos", "none", "Denver Broncos", "pass"),
        ("STRASSE", "casefold", "  straße ", "pass"),
        ("Denver", "casefold", "denver.", "fail"),
        (42, "squad", "42.", "pass"),
        ([1.5, "2"], "none", "1.5", "pass"),
        ("{{ x }}", "squad", "an Answer", "pass"),
        ("A", "casefold", "a", "pass"),
    ],
)
def test_an_answer_matches_one_of_the_expected(value: object, normalise: str, output: str, outcome: str) -> None:
    spec = {"type": "exact-match", "value": value, "config": {"normalise": normalise}}
    assert evaluate_assert(spec, output, vars={"x": "answer"}).outcome == outcome


@pytest.mark.parametrize("type_", ["exact-match", "not-exact-match", "f1", "not-f1"])
@pytest.mark.parametrize(
    "value", ["A", "the", "...", "", " ", [], ["x", ""], ["x", "an"], None, True, {"a": 1}, [["x"]]]
)
def test_an_expected_answer_of_which_nothing_is_left_is_an_error(type_: str, value: object) -> None:
    for output in ("", "x", "A"):
        assert evaluate_assert({"type": type_, "value": value}, output).outcome == "error"


@pytest.mark.parametrize("config", [{"normalise": "sqad"}, {"normalise": None}, {"normalize": "squad"}])
def test_an_unknown_setting_is_answered_with_the_nearest_name(config: dict[str, object]) -> None:
    found = evaluate_assert({"type": "f1", "value": "x", "config": config}, "x")
    assert found.outcome == "error"
    assert "squad" in found.reason or "normalise" in found.reason


@pytest.mark.parametrize(
    ("value", "output", "score"),
    [
        ("the Denver Broncos", "Denver", 2 / 3),
        ("in the 10th century", "10th century AD", 2 / 3),
        (["zzz", "in 1990"], "1990", 2 / 3),
        ("b b", "b", 2 / 3),
        ("b", "", 0),
        ("b", "the !", 0),
    ],
)
def test_f1_takes_the_best_reference(value: object, output: str, score: float) -> None:
    assert evaluate_assert({"type": "f1", "value": value}, output).score == pytest.approx(score)


@given(words, words)
def test_f1_is_a_symmetrical_fraction(left: Counter[str], right: Counter[str]) -> None:
    assert 0 <= word_f1(left, right) == word_f1(right, left) <= 1
    assert word_f1(left, left) == (1 if left else 0)
