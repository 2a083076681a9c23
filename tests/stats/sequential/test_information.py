"""Information of further attempts: the formula, covariances, simulated truth, properties."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import UndefinedError
from llmgate.stats.sequential.information import MOST_CORRELATION, information_of


def runs(rng: np.random.Generator, count: int, chances: np.ndarray) -> np.ndarray:
    return (rng.random((count, len(chances))) < chances).astype(float)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(5, 60))
def test_r_of_two_attempts_against_one_champion_is_their_covariance_over_their_variance(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    candidate, champion = rng.random((2, n)), rng.random((1, n))
    r, times = information_of(candidate, (1, 2), champion, (1, 1))
    first, second = candidate - champion
    expected = np.cov(first, second, ddof=0)[0, 1] / ((first.var() + second.var()) / 2.0)
    assert r == pytest.approx(np.clip(expected, 0.0, MOST_CORRELATION))
    assert times == pytest.approx((1.0, 1.0 / (r + (1.0 - r) / 2.0)))


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 5))
def test_with_runs_of_their_own_r_is_the_mean_covariance_of_the_differences(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.random(40)
    candidate, champion = base + rng.random((k, 40)), base / 2.0 + rng.random((k, 40))
    each = tuple(range(1, k + 1))
    r, times = information_of(candidate, each, champion, each)
    covariances = np.cov(candidate - champion, ddof=0)
    mean = (covariances.sum() - np.trace(covariances)) / (k * (k - 1))
    assert r == pytest.approx(np.clip(mean / (np.trace(covariances) / k), 0.0, MOST_CORRELATION))
    assert times[-1] == pytest.approx(1.0 / (r + (1.0 - r) / k))


def test_clusters_are_summed() -> None:
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(30), 4)
    candidate, champion = rng.random((2, 120)), rng.random((1, 120))
    r, _ = information_of(candidate, (1, 2), champion, (1, 1), clusters)
    first, second = (np.bincount(clusters, weights=row - row.mean()) for row in candidate - champion)
    assert r == pytest.approx(np.clip(2 * (first @ second) / (first @ first + second @ second), 0.0, MOST_CORRELATION))


def test_a_third_attempt_with_the_second_run_of_the_champion_has_the_variance_that_is_left() -> None:
    """Truth by simulation: Var(D_3)/Var(D_1) of models whose answers flip."""
    rng = np.random.default_rng(11)
    n = 40_000
    chances = np.where(rng.random(n) < 0.3, 0.5, (rng.random(n) < 0.8).astype(float))
    candidate, champion = runs(rng, 3, chances), runs(rng, 2, chances)
    _, times = information_of(candidate, (1, 2, 3), champion, (1, 1, 2))
    left = [np.var(candidate[:k].mean(axis=0) - champion[:r].mean(axis=0)) for k, r in ((1, 1), (2, 1), (3, 2))]
    assert times == pytest.approx([left[0] / part for part in left], rel=0.03)


def test_another_run_of_the_champion_alone_tells_something_too() -> None:
    rng = np.random.default_rng(12)
    chances = np.full(2_000, 0.5)
    r, times = information_of(runs(rng, 1, chances), (1, 1), runs(rng, 2, chances), (1, 2))
    assert r == pytest.approx(0.5, abs=0.05)
    assert times[1] == pytest.approx(4.0 / 3.0, abs=0.05)


def test_where_nothing_varies_r_is_0_and_where_nothing_changes_it_is_clipped() -> None:
    same = np.full((2, 20), 0.5)
    assert information_of(same, (1, 2), same[:1], (1, 1)) == (0.0, (1.0, 2.0))
    fixed = np.tile(np.arange(20) / 20.0, (2, 1))
    r, times = information_of(fixed, (1, 2))
    assert r == MOST_CORRELATION
    assert times[1] > 1.0
    assert information_of(fixed[:1], (1,)) == (0.0, (1.0,))
    assert information_of(np.zeros((2, 0)), (1, 2)) == (0.0, (1.0, 2.0))


@given(seed=st.integers(0, 2**32 - 1), counts=st.sampled_from([(1, 2, 3), (1, 1, 2), (1, 2, 2)]))
def test_information_never_falls(seed: int, counts: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    _, times = information_of(rng.random((counts[-1], 30)), counts, rng.random((2, 30)), (1, 2, 2))
    assert all(a <= b + 1e-12 for a, b in pairwise(times))


def test_what_does_not_fit_is_refused() -> None:
    scores = np.zeros((2, 5))
    with pytest.raises(UndefinedError, match="do not fit"):
        information_of(scores, (1, 3))
    with pytest.raises(UndefinedError, match="do not fit"):
        information_of(scores, (1, 2), np.zeros((1, 4)), (1, 1))
    with pytest.raises(UndefinedError, match="do not fit"):
        information_of(scores, (2, 1))
    with pytest.raises(UndefinedError, match="finite"):
        information_of(np.full((2, 5), np.nan), (1, 2))
