"""exact-match and f1: the examples of SQuAD's evaluation script, and answers that normalisation would swallow."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.text.exact_match import drop_normalised, squad_normalised, word_f1

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


@pytest.mark.parametrize(
    ("config", "value", "output", "outcome"),
    [
        ({"ignore": [",", "\\$"]}, "1,007", "$1007", "pass"),
        ({"ignore": ","}, "1,007", "1007", "pass"),
        ({"ignore": [","]}, "The A", "A", "fail"),
        ({"ignore": ["A"], "ignore_case": True}, "aA", "a", "pass"),
        ({"ignore_case": True}, "Straße", "STRASSE", "fail"),
        ({"ignore_punctuation": True}, "U.S.A.", "USA", "pass"),
        ({"ignore_punctuation": True}, "U.S.A.", "usa", "fail"),
        ({"ignore_numbers": True}, "x1", "x22", "pass"),
        ({"ignore_numbers": True}, "x", "x٣", "fail"),
        ({"ignore": [","], "normalise": "squad"}, "The 1,0", "10!", "pass"),
        ({"ignore_case": False}, "The cat", "cat", "fail"),
        ({"ignore": [","]}, ",", "", "error"),
        ({"ignore": ["("]}, "a", "a", "error"),
        ({"ignore": [7]}, "a", "a", "error"),
        ({"ignore": [""]}, "a", "a", "error"),
        ({"ignore": {"a": "b"}}, "a", "a", "error"),
        ({"ignore_case": "yes"}, "a", "a", "error"),
        ({"ignore_digits": True}, "a", "a", "error"),
    ],
)
def test_what_is_ignored_is_ignored_in_both_texts(
    config: dict[str, object], value: str, output: str, outcome: str
) -> None:
    assert evaluate_assert({"type": "exact-match", "value": value, "config": config}, output).outcome == outcome


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("The half-full glass", "half full glass"),
        ("7", "7.0"),
        ("$1,000", "1000.0"),
        ("(3.14).", "3.14"),
        ("-5", "5.0"),
        ("1e3 nan", "1000.0 nan"),
        ("a", ""),
        ("“x”", "“x”"),
    ],
)
def test_normalisation_is_that_of_drop(text: str, normalised: str) -> None:
    assert drop_normalised(text) == normalised


@pytest.mark.parametrize(
    ("value", "output", "outcome"),
    [
        ("Paris", "It is the PARIS.", "pass"),
        ("It is Paris", "Paris", "pass"),
        (["Rome", "Roma"], "roma!", "pass"),
        ("cat", "concatenate", "pass"),
        ("Paris", "Rome", "fail"),
        ("Paris", "", "fail"),
        ("Paris", "The!", "fail"),
        ("The", "x", "error"),
        ([], "x", "error"),
        ({"a": 1}, "x", "error"),
    ],
)
def test_fuzzy_match_looks_for_either_text_in_the_other(value: object, output: str, outcome: str) -> None:
    assert evaluate_assert({"type": "fuzzy-match", "value": value}, output).outcome == outcome
