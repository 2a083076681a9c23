"""The interval of these cases alone, against an independent formula and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.stats.repeats import benchmark_interval


def sides(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences, and spreads as the gate hands them over."""
    spread = [
        part
        for side in (first, second)
        for part in (side.var(axis=1, ddof=1) / side.shape[1], np.full(len(side), side.shape[1]))
    ]
    return first.mean(axis=1) - second.mean(axis=1), np.stack(spread, axis=1).astype(np.float64)


def test_one_case_is_welchs_test() -> None:
    """With one case on either side the terms are those of Welch (1947), as scipy has it."""
    rng = np.random.default_rng(1)
    first, second = rng.uniform(0, 0.2, (1, 9)), rng.uniform(0.1, 0.9, (1, 9))
    welch = stats.ttest_ind(first[0], second[0], equal_var=False, alternative="less")
    interval = benchmark_interval(*sides(first, second), alpha=0.05)
    assert interval.standard_error == pytest.approx(math.sqrt(first.var(ddof=1) / 9 + second.var(ddof=1) / 9))
    assert interval.df == math.floor(welch.df)
    half = 0.5 / 9
    assert interval.standard_error is not None
    p = stats.t.cdf((interval.estimate + half) / interval.standard_error, math.floor(welch.df))
    assert interval.p_negative == pytest.approx(max(p, (1 - interval.estimate) ** -9.0))


@pytest.mark.parametrize("answers", [2, 3, 5])
@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_bounds_err_as_often_as_they_say(answers: int, loss: float) -> None:
    rng = np.random.default_rng(answers)
    n, runs = 100, 1_500
    champion = np.where(rng.random(n) < 0.2, 0.5, np.where(rng.random(n) < 0.7, 0.98, 0.02))
    candidate = champion * (1 - loss / champion.mean())
    missed = np.zeros(2)
    for _ in range(runs):
        a, b = ((rng.random((n, answers)) < rates[:, None]).astype(float) for rates in (candidate, champion))
        interval = benchmark_interval(*sides(a, b), alpha=0.05)
        missed += interval.lower > -loss + 1e-12, interval.upper < -loss - 1e-12
    assert (missed / runs).max() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_answers_that_never_differ_may_still() -> None:
    scores = np.ones((50, 2))
    interval = benchmark_interval(*sides(scores, scores), alpha=0.05)
    assert interval.lower == pytest.approx(-(1 - 0.05 ** (1 / 100)))
    assert interval.p_negative == 1.0
    worse = benchmark_interval(*sides(scores * 0, scores), alpha=0.05)
    assert worse.upper < 0
    assert worse.p_negative is not None
    assert worse.p_negative < 1e-20


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(2, 6), st.integers(0, 10_000), st.sampled_from([0.05, 0.01]))
def test_bound_and_p_value_agree(n: int, answers: int, seed: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    rates = rng.random(n)
    a, b = ((rng.random((n, answers)) < r[:, None]).astype(float) for r in (rates * rng.random(), rates))
    interval = benchmark_interval(*sides(a, b), alpha=alpha)
    assert -1 <= interval.lower <= interval.estimate <= interval.upper
    assert interval.p_negative is not None
    if abs(interval.p_negative - alpha) > 1e-9:
        assert (interval.upper < 0) == (interval.p_negative < alpha)
    turned = benchmark_interval(*sides(b, a), alpha=alpha)
    assert (turned.lower, turned.upper) == pytest.approx((-interval.upper, -interval.lower))


@pytest.mark.parametrize(
    ("differences", "sampling"),
    [
        (np.zeros(0), np.zeros((0, 4))),
        (np.zeros(2), np.zeros((2, 2))),
        (np.zeros(1), np.array([[0.1, 1.0, 0.1, 2.0]])),
        (np.zeros(1), np.array([[math.nan, 1.0, 0.1, 2.0]])),
        (np.zeros(1), np.array([[0.1, 2.0, 0.1, math.nan]])),
    ],
)
def test_what_has_no_spread_is_refused(differences: np.ndarray, sampling: np.ndarray) -> None:
    with pytest.raises(UndefinedError):
        benchmark_interval(differences, sampling, alpha=0.05)
