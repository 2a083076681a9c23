"""Variance components against closed forms, statsmodels' REML, evalstats and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.regression.mixed_linear_model import MixedLM

from llmgate.errors import UndefinedError
from llmgate.stats.planning.power import required_pairs
from llmgate.stats.repeats import (
    PairedComponents,
    flip_shares,
    paired_components,
    variance_components,
)


def grid(n: int, repeats: int) -> np.ndarray:
    return np.repeat(np.arange(n), repeats)


def test_balanced_components_are_those_of_restricted_maximum_likelihood() -> None:
    rng = np.random.default_rng(7)
    scores = (rng.normal(0.6, 0.15, 60)[:, None] + rng.normal(0, 0.1, (60, 4))).ravel()
    found = variance_components(scores, grid(60, 4))
    fitted = MixedLM(scores, np.ones(len(scores)), groups=grid(60, 4)).fit(reml=True)
    assert found.between == pytest.approx(float(fitted.cov_re[0, 0]), rel=1e-4)
    assert found.within == pytest.approx(float(fitted.scale), rel=1e-4)
    assert (found.cases, found.repeats, found.df_within) == (60, 4, 180)


def test_evalstats_parts_the_same_variance() -> None:
    """evalstats 0.3.3, `evalstats.core.variance.seed_variance_decomposition(scores[None], ["a"])` on these scores.

    It gives seed_var 0.18333333333333332 and input_var 0.09599358974358975, the variance of the cases' means, in which
    a fourth of the spread within cases still is.
    """
    rng = np.random.default_rng(20261127)
    rates = rng.beta(2, 1, size=40)
    scores = (rng.random((40, 4)) < rates[:, None]).astype(float)
    assert scores.sum() == 102
    found = variance_components(scores.ravel(), grid(40, 4))
    assert found.within == pytest.approx(0.18333333333333332, abs=1e-15)
    assert found.between + found.within / 4 == pytest.approx(0.09599358974358975, abs=1e-15)
    assert found.between + found.within / 4 == pytest.approx(scores.mean(axis=1).var(ddof=1), abs=1e-15)


def test_components_do_not_miss_on_average_where_cases_have_different_numbers_of_answers() -> None:
    rng = np.random.default_rng(11)
    cases = np.repeat(np.arange(30), rng.integers(1, 6, 30))
    found = [
        variance_components(rng.normal(0.0, 0.3, 30)[cases] + rng.normal(0, 0.2, len(cases)), cases)
        for _ in range(2_000)
    ]
    # The truncation at 0 hardly ever acts here.
    assert np.mean([one.between for one in found]) == pytest.approx(0.09, rel=0.03)
    assert np.mean([one.within for one in found]) == pytest.approx(0.04, rel=0.03)
    assert found[0].repeats < np.bincount(cases).mean()


def test_the_variance_between_two_runs_of_the_same_model() -> None:
    rng = np.random.default_rng(6)
    rates = rng.beta(4, 2, 20_000)
    one, other = (rng.binomial(1, rates) for _ in range(2))
    answers = np.concatenate((one, other, rng.binomial(1, rates))).astype(float)
    found = variance_components(answers, np.tile(np.arange(20_000), 3))
    assert found.unchanged(1) == found.flip_variance == pytest.approx(float(np.mean(one != other)), abs=0.01)
    assert found.unchanged(4) == found.flip_variance / 4


def test_components_of_a_difference_give_millers_sample_size() -> None:
    rng = np.random.default_rng(8)
    n, repeats = 4_000, 4
    true = rng.normal(0, 0.1, n)
    a = (0.5 + true[:, None] + rng.normal(0, 0.2, (n, repeats))).ravel()
    b = (0.5 + rng.normal(0, 0.3, (n, repeats))).ravel()
    found = paired_components(a, b, grid(n, repeats))
    assert (found.between, found.candidate, found.champion) == pytest.approx((0.01, 0.04, 0.09), rel=0.1)
    for k in (1, 4, 16):
        want = (1.6448536 + 0.8416212) ** 2 * (0.01 + 0.04 / k + 0.09 / k) / 0.03**2
        variance = PairedComponents(between=0.01, candidate=0.04, champion=0.09, cases=n).of_difference(k)
        assert required_pairs(variance=variance, margin=0.03, alpha=0.05) == math.ceil(want)


def test_what_a_repeat_is_worth() -> None:
    noise = PairedComponents(between=0.0, candidate=0.05, champion=0.05, cases=100)
    assert noise.worth_of_repeats(1) == pytest.approx(1.0), "with noise alone a second answer is as good as a case"
    both = PairedComponents(between=0.1, candidate=0.05, champion=0.05, cases=100)
    assert both.worth_of_repeats(1) == pytest.approx(0.2 / 0.15 - 1)
    assert PairedComponents(between=0.1, candidate=0.0, champion=0.0, cases=9).worth_of_repeats(1) == 0
    assert PairedComponents(between=0.0, candidate=0.0, champion=0.0, cases=9).worth_of_repeats(1) == 0


@given(st.integers(2, 20), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_more_repeats_never_spread_more_and_gain_less_each_time(n: int, repeats: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 2, n * repeats).astype(float) for _ in range(2))
    one, pair = variance_components(a, grid(n, repeats)), paired_components(a, b, grid(n, repeats))
    assert one.between >= 0
    assert one.within >= 0
    for k in (1, 2, 3):
        assert one.unchanged(k + 1) <= one.unchanged(k)
        assert pair.of_difference(k + 1) <= pair.of_difference(k)
        assert pair.worth_of_repeats(k + 1) <= pair.worth_of_repeats(k) + 1e-12


@given(st.integers(2, 20), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_flips_are_counted_pair_by_pair(n: int, repeats: int, seed: int) -> None:
    answers = np.random.default_rng(seed).integers(0, 3, (n, repeats))
    wanted = [np.mean([row[i] != row[j] for i in range(repeats) for j in range(repeats) if i != j]) for row in answers]
    assert flip_shares(answers.ravel(), grid(n, repeats)) == pytest.approx(np.array(wanted), abs=1e-12)
    binary = (answers == 1).astype(float).ravel()
    flips = flip_shares(binary.astype(np.int64), grid(n, repeats))
    assert flips.mean() == pytest.approx(variance_components(binary, grid(n, repeats)).flip_variance, abs=1e-12)


def test_cases_with_one_answer_cannot_flip() -> None:
    assert flip_shares(np.array([1, 2, 2, 5, 6]), np.array([0, 1, 1, 2, 2])).tolist() == [0.0, 1.0]
    assert flip_shares(np.array([1, 2]), np.array([0, 1])).tolist() == []


@pytest.mark.parametrize(
    ("scores", "cases"),
    [([1.0, 0.0], [0, 1]), ([1.0, 0.0], [0, 0]), ([1.0, math.nan, 1.0], [0, 0, 1]), ([1.0], [0, 0]), ([], [])],
)
def test_undefined_components_are_refused(scores: list[float], cases: list[int]) -> None:
    with pytest.raises(UndefinedError):
        variance_components(np.array(scores), np.array(cases, dtype=np.int64))


@pytest.mark.parametrize(
    ("candidate", "champion", "cases"),
    [
        ([1.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0, 0, 1]),
        ([1.0, 0.0], [1.0, 0.0], [0, 0]),
        ([1.0] * 4, [1.0] * 3, [0, 0, 1, 1]),
        ([1.0] * 4, [1.0, 1.0, 1.0, math.inf], [0, 0, 1, 1]),
    ],
)
def test_undefined_components_of_a_difference_are_refused(
    candidate: list[float], champion: list[float], cases: list[int]
) -> None:
    with pytest.raises(UndefinedError):
        paired_components(np.array(candidate), np.array(champion), np.array(cases, dtype=np.int64))


def test_no_mean_is_of_less_than_one_answer() -> None:
    parts = PairedComponents(between=0.1, candidate=0.1, champion=0.1, cases=9)
    with pytest.raises(UndefinedError):
        parts.of_difference(0.5)
    with pytest.raises(UndefinedError):
        PairedComponents(between=math.inf, candidate=0.1, champion=0.1, cases=9).of_difference(1)
