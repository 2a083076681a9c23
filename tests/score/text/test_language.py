"""language and readability: real texts, and what is too short to tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate import evaluate_assert

TEXTS = {
    "en": "The train leaves the station at nine, and we should buy our tickets before that.",
    "de": "Der Zug fährt um neun vom Bahnhof ab, und wir sollten vorher unsere Fahrkarten kaufen.",
    "fr": "Le train part de la gare à neuf heures, et nous devrions acheter nos billets avant.",
    "es": "El tren sale de la estación a las nueve y deberíamos comprar los billetes antes.",
    "ja": "電車は九時に駅を出発しますので、その前に切符を買っておいたほうがいいでしょう。",
    "ru": "Поезд отправляется от станции в девять часов, и билеты надо купить заранее.",
}


@pytest.mark.parametrize("value", ["", " ", "xx", "Klingonish", 3, None, [], [""], {"a": 1}])
def test_languages_that_do_not_exist_are_errors(value: object) -> None:
    for type_ in ("language", "not-language"):
        assert evaluate_assert({"type": type_, "value": value}, TEXTS["en"]).outcome == "error"


@pytest.mark.parametrize("threshold", [0, -1, 1.1])
def test_thresholds_that_are_no_probability_are_errors(threshold: float) -> None:
    assert evaluate_assert({"type": "language", "value": "en", "threshold": threshold}, TEXTS["en"]).outcome == "error"


@pytest.mark.parametrize(("code", "text"), TEXTS.items())
def test_each_language_is_told_from_the_others(code: str, text: str) -> None:
    for other in TEXTS:
        got = evaluate_assert({"type": "language", "value": other, "threshold": 0.9}, text)
        assert got.outcome == ("pass" if other == code else "fail"), got.reason


def test_names_and_lists() -> None:
    assert evaluate_assert({"type": "language", "value": "German"}, TEXTS["de"]).outcome == "pass"
    assert evaluate_assert({"type": "language", "value": ["en", "French"]}, TEXTS["fr"]).outcome == "pass"
    assert evaluate_assert({"type": "language", "value": "{{ l }}"}, TEXTS["es"], vars={"l": "es"}).outcome == "pass"


@pytest.mark.parametrize("output", ["", "ok", "12345678901234567890", "...", "🙂" * 30])
def test_what_is_too_short_to_tell_is_an_error_negated_or_not(output: str) -> None:
    for type_ in ("language", "not-language"):
        assert evaluate_assert({"type": type_, "value": "en"}, output).outcome == "error"


EASY = "The cat sat. It saw a dog. The dog ran. It was fun."
HARD = (
    "Notwithstanding aforementioned considerations, contemporary epistemological investigations demonstrate "
    "extraordinarily multifaceted interdependencies between institutional responsibilities."
)


@pytest.mark.parametrize("formula", ["ari", "coleman-liau", "lix", "rix"])
def test_every_formula_finds_the_hard_text_harder(formula: str) -> None:
    limits = {"ari": 12, "coleman-liau": 12, "lix": 40, "rix": 4}
    spec: dict[str, Any] = {"type": "readability", "config": {"formula": formula}}
    assert evaluate_assert({**spec, "value": {"max": limits[formula]}}, EASY).outcome == "pass"
    assert evaluate_assert({**spec, "value": {"max": limits[formula]}}, HARD).outcome == "fail"
    assert evaluate_assert({**spec, "value": {"min": limits[formula]}}, HARD).outcome == "pass"


def test_lix_is_words_per_sentence_and_the_share_of_long_words() -> None:
    # Björnsson (1968): 13 words in 4 sentences, none longer than six letters.
    assert "lix is 3.2" in evaluate_assert({"type": "readability", "value": {"max": 3}}, EASY).reason


@pytest.mark.parametrize(
    "value", [None, 3, {}, {"most": 3}, {"max": "x"}, {"max": True}, {"min": 3, "max": 2}, {"max": 1e400}]
)
def test_limits_that_mean_nothing_are_errors(value: object) -> None:
    assert evaluate_assert({"type": "readability", "value": value}, EASY).outcome == "error"


@pytest.mark.parametrize("output", ["", "123", "  ", "..."])
def test_no_letters_no_readability(output: str) -> None:
    assert evaluate_assert({"type": "readability", "value": {"max": 3}}, output).outcome == "error"


@settings(max_examples=50)
@given(st.text())
def test_no_text_raises(output: str) -> None:
    for spec in ({"type": "language", "value": "en"}, {"type": "readability", "value": {"max": 30}}):
        got = evaluate_assert(spec, output)
        assert got.score is None or 0 <= got.score <= 1
        assert "internal error" not in got.reason
