"""meteor against NLTK, whose algorithm is promptfoo's; the rows of promptfoo itself are in tests/conformance/rows."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.text.meteor import Weights, meteor
from llmgate.score.text.stem import stem
from llmgate.score.text.synonyms import load_synonyms

WORDS = ["car", "auto", "cars", "running", "runs", "run", "big", "large", "film", "movie", "the", "a"]
sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12)


def synsets(word: str) -> list[SimpleNamespace]:
    """Our synonyms as NLTK asks WordNet for them."""
    lemmas = [SimpleNamespace(name=lambda other=other: other) for other in load_synonyms().get(word, ())]
    return [SimpleNamespace(lemmas=lambda: lemmas)]


@given(sentences, sentences, st.sampled_from([Weights(), Weights(alpha=0.5, beta=1.5, gamma=0.8)]))
def test_it_is_that_of_nltk_with_the_same_stems_and_synonyms(
    answer: list[str], expected: list[str], weights: Weights
) -> None:
    module = importlib.import_module("nltk.translate.meteor_score")
    want = module.single_meteor_score(
        expected,
        answer,
        stemmer=SimpleNamespace(stem=stem),
        wordnet=SimpleNamespace(synsets=synsets),
        alpha=weights.alpha,
        beta=weights.beta,
        gamma=weights.gamma,
    )
    assert meteor(answer, expected, synonyms=load_synonyms(), weights=weights) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("prefix", ["", "not-"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"value": None},
        {"value": 5},
        {"value": {"a": 1}},
        {"value": []},
        {"value": ["x", 5]},
        {"value": " "},
        {"value": ["x", ""]},
        {"value": "{{ nothing }}"},
        {"value": "x", "threshold": 0},
        {"value": "x", "config": {"alpha": 2}},
        {"value": "x", "config": {"beta": "3"}},
        {"value": "x", "config": {"gamma": -1}},
        {"value": "x", "config": {"delta": 1}},
    ],
)
def test_a_bad_rule_is_an_error(prefix: str, fields: dict[str, object]) -> None:
    assert evaluate_assert({"type": f"{prefix}meteor", **fields}, "x").outcome == "error"


@pytest.mark.parametrize("prefix", ["", "not-"])
def test_an_empty_answer_is_an_error(prefix: str) -> None:
    assert evaluate_assert({"type": f"{prefix}meteor", "value": "x"}, "").outcome == "error"


def test_settings_change_the_score() -> None:
    spec = {"type": "meteor", "value": "a b", "config": {"gamma": 0.8}}
    assert evaluate_assert(spec, "a b").score == pytest.approx(1 - 0.8 / 8)


@pytest.mark.cpu_seconds(20)
def test_long_answers_take_no_quadratic_time() -> None:
    long = " ".join(f"word{number}" for number in range(20_000))
    assert evaluate_assert({"type": "meteor", "value": long}, long).score == pytest.approx(1)
    assert stem("b" * 100_000)


def test_too_long_an_answer_is_an_error() -> None:
    found = evaluate_assert({"type": "not-meteor", "value": "x"}, "word " * 50_000)
    assert found.outcome == "error"
    assert "more than" in found.reason
