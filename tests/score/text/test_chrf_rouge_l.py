"""chrf and rouge-l are the numbers of sacrebleu and rouge-score."""

from __future__ import annotations

import importlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.text.chrf_rouge_l import rouge_l

words = st.lists(st.sampled_from("abcd"), max_size=12)


@given(words, words)
def test_rouge_l_is_that_of_rouge_score(left: list[str], right: list[str]) -> None:
    scorer = importlib.import_module("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    want = scorer.score(" ".join(right), " ".join(left))["rougeL"].fmeasure
    assert math.isclose(rouge_l(left, right), want, abs_tol=1e-12)


@pytest.mark.parametrize(("stem", "score"), [(False, 0.5), (True, 1.0)])
def test_stems_are_compared_if_asked_for(stem: bool, score: float) -> None:
    spec = {"type": "rouge-l", "value": ["zzz", "running dogs"], "config": {"stem": stem}}
    assert evaluate_assert(spec, "runs dogs").score == pytest.approx(score)


@settings(max_examples=30)
@given(st.text(max_size=30), st.text(min_size=1, max_size=30).filter(str.strip))
def test_chrf_is_that_of_sacrebleu(output: str, value: str) -> None:
    found = evaluate_assert(
        {"type": "chrf", "value": "{{ x }}", "config": {"word_order": 2}}, output, vars={"x": value}
    )
    if found.outcome == "error":
        assert "empty" in found.reason
        return
    want = importlib.import_module("sacrebleu").sentence_chrf(output, [value], word_order=2).score / 100
    assert found.score == pytest.approx(want, abs=1e-9)


def test_chrf_takes_the_best_reference_and_its_settings() -> None:
    spec = {"type": "chrf", "value": ["zzz", "The cat"]}
    assert evaluate_assert(spec, "The cat").score == pytest.approx(1)
    folded = evaluate_assert({**spec, "config": {"lowercase": True, "beta": 1, "char_order": 3}}, "the CAT")
    assert folded.score == pytest.approx(1)
    assert evaluate_assert(spec, "the CAT").outcome == "fail"


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("chrf", {"char_order": 0}),
        ("chrf", {"char_order": 99}),
        ("chrf", {"word_order": 1.5}),
        ("chrf", {"beta": "2"}),
        ("chrf", {"beta": True}),
        ("chrf", {"lowercase": "yes"}),
        ("chrf", {"chars": 6}),
        ("rouge-l", {"stem": 1}),
    ],
)
def test_a_setting_out_of_bounds_is_an_error(type_: str, config: dict[str, object]) -> None:
    assert evaluate_assert({"type": type_, "value": "x", "config": config}, "x").outcome == "error"


@pytest.mark.parametrize("type_", ["chrf", "not-chrf", "rouge-l", "not-rouge-l"])
@pytest.mark.parametrize("value", ["", " ", [], ["x", ""], None, True, {"a": 1}])
def test_nothing_to_compare_with_is_an_error(type_: str, value: object) -> None:
    assert evaluate_assert({"type": type_, "value": value}, "x").outcome == "error"


def test_a_reference_that_rouge_score_cannot_see_is_an_error() -> None:
    assert "a to z and digits" in evaluate_assert({"type": "not-rouge-l", "value": "東京"}, "東京").reason


@pytest.mark.parametrize(("type_", "package"), [("chrf", "sacrebleu"), ("rouge-l", "rouge-score")])
def test_a_missing_package_is_named(type_: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("llmgate.score.assertion.settings.import_module", refuse)
    found = evaluate_assert({"type": type_, "value": f"not seen before {type_}"}, "x")
    assert found.outcome == "error"
    assert package in found.reason
    assert "pip install 'pytest-llmgate[metrics]'" in found.reason
