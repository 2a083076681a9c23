"""bleu, gleu and rouge-n against sacrebleu, NLTK and rouge-score, where these define the same number."""

from __future__ import annotations

import importlib
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.text.bleu_rouge import Grams, bleu, gleu, rouge_n

sentences = st.lists(st.sampled_from("abcde"), min_size=4, max_size=12)
words = st.lists(st.sampled_from("abcde"), max_size=12)


def one(candidate: list[str], *expected: list[str]) -> tuple[float, float]:
    grams = [Grams.of(reference) for reference in expected]
    return bleu(Grams.of(candidate), grams), gleu(Grams.of(candidate), grams)


@given(sentences, st.tuples(words, words, words, words))
def test_bleu_is_that_of_sacrebleu_where_no_precision_is_zero(shared: list[str], around: tuple[list[str], ...]) -> None:
    candidate, expected = around[0] + shared + around[1], around[2] + shared + around[3]
    metric = importlib.import_module("sacrebleu.metrics").BLEU(
        tokenize="none", lowercase=True, effective_order=True, smooth_method="none"
    )
    want = metric.sentence_score(" ".join(candidate), [" ".join(expected)]).score / 100
    assert math.isclose(one(candidate, expected)[0], want, rel_tol=1e-9)


@given(sentences, sentences, sentences)
def test_gleu_is_the_best_of_nltk(candidate: list[str], first: list[str], second: list[str]) -> None:
    sentence_gleu = importlib.import_module("nltk.translate.gleu_score").sentence_gleu
    best = max(sentence_gleu([expected], candidate) for expected in (first, second))
    assert math.isclose(one(candidate, first, second)[1], best, abs_tol=1e-12)


@given(words, words)
def test_rouge_n_is_that_of_rouge_score(candidate: list[str], expected: list[str]) -> None:
    scorer = importlib.import_module("rouge_score.rouge_scorer").RougeScorer(["rouge1"])
    want = scorer.score(" ".join(expected), " ".join(candidate))["rouge1"].fmeasure
    assert math.isclose(rouge_n(Counter(candidate), Counter(expected)), want, abs_tol=1e-12)


@given(words, words)
def test_scores_are_fractions_and_gleu_is_symmetrical(left: list[str], right: list[str]) -> None:
    assert all(0 <= score <= 1 for score in one(left, right))
    assert one(left, right)[1] == one(right, left)[1]
    if left:
        assert one(left, left) == pytest.approx((1, 1))


def test_the_brevity_penalty_takes_the_nearest_reference_and_the_shorter_of_two() -> None:
    candidate = ["a", "b", "c", "d", "e"]
    longer, shorter = [*candidate, "f"], candidate[:4]
    assert one(candidate, longer)[0] == pytest.approx(math.exp(1 - 6 / 5))
    assert one(candidate, longer, shorter)[0] == 1


@pytest.mark.parametrize("type_", ["bleu", "gleu", "rouge-n"])
@pytest.mark.parametrize("prefix", ["", "not-"])
@pytest.mark.parametrize(
    "fields", [{}, {"value": None}, {"value": 5}, {"value": {"a": 1}}, {"value": []}, {"value": ["x", 5]}]
)
def test_a_value_of_the_wrong_kind_is_an_error(type_: str, prefix: str, fields: dict[str, object]) -> None:
    assert evaluate_assert({"type": prefix + type_, **fields}, "x").outcome == "error"


@pytest.mark.parametrize("type_", ["bleu", "gleu", "rouge-n", "chrf", "rouge-l", "f1", "semantic-similarity"])
@pytest.mark.parametrize("prefix", ["", "not-"])
@pytest.mark.parametrize("threshold", [0, -1])
def test_a_threshold_that_nothing_misses_is_an_error(type_: str, prefix: str, threshold: float) -> None:
    spec = {"type": prefix + type_, "value": "x", "threshold": threshold}
    found = evaluate_assert(spec, "x", embed=lambda _: [1.0])
    assert found.outcome == "error"
    assert "cannot fail" in found.reason
