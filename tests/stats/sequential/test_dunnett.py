"""Dunnett's bounds against scipy, brute force and what they must hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.stats.multiplicity import holm
from llmgate.stats.sequential.dunnett import dunnett_bound, largest_tail, step_alpha, step_down


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.5, 0.9])
def test_the_tail_is_that_of_the_multivariate_normal(number: int, correlation: float) -> None:
    covariance = np.full((number, number), correlation) + (1 - correlation) * np.eye(number)
    for z in (0.5, 1.645, 2.5):
        normal = stats.multivariate_normal(cov=covariance, maxpts=200_000, abseps=1e-6, releps=1e-6, seed=1)
        expected = 1 - normal.cdf(np.full(number, z))
        assert largest_tail(z, number, correlation=correlation) == pytest.approx(expected, abs=2e-5)


def test_p_values_are_those_of_scipys_dunnett_test() -> None:
    """With equal groups the correlation with a shared control is one half; 4,000 observations are nearly normal."""
    rng = np.random.default_rng(16)
    control, *others = (rng.normal(0.03 * k, 1.0, 4_000) for k in range(4))
    theirs = stats.dunnett(*others, control=control, alternative="greater", rng=np.random.default_rng(1))
    for z, p in zip(theirs.statistic.tolist(), theirs.pvalue.tolist(), strict=True):
        assert largest_tail(z, 3, correlation=0.5) == pytest.approx(p, abs=2e-3)


def test_published_bounds() -> None:
    # Dunnett (1955), table 1: one-sided 5 %, infinite degrees of freedom, ρ = 1/2.
    for number, bound in ((1, 1.64), (2, 1.92), (3, 2.06), (5, 2.23), (9, 2.42)):
        assert dunnett_bound(number, correlation=0.5, alpha=0.05) == pytest.approx(bound, abs=0.0051)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.floats(0, 0.96), st.floats(0, 0.96), st.sampled_from([0.05, 0.025, 0.01]))
def test_bounds_lie_between_one_test_and_bonferroni(number: int, one: float, other: float, alpha: float) -> None:
    low, high = sorted((one, other))
    strict, lax = (dunnett_bound(number, correlation=rho, alpha=alpha) for rho in (low, high))
    single, bonferroni = (stats.norm.isf(tail) for tail in (alpha, alpha / number))
    assert single - 1e-5 <= lax <= strict + 1e-9 <= bonferroni + 2e-6
    assert largest_tail(strict, number, correlation=low) == pytest.approx(alpha, abs=1e-9)
    more = dunnett_bound(number + 1, correlation=low, alpha=alpha)
    assert strict <= more + 1e-9
    assert step_alpha(number, correlation=low, alpha=alpha) >= step_alpha(number, correlation=None, alpha=alpha) - 1e-9


def test_a_correlation_of_one_is_not_believed() -> None:
    assert dunnett_bound(5, correlation=1.0, alpha=0.05) == dunnett_bound(5, correlation=0.96, alpha=0.05) > 1.65


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=8), st.sampled_from([0.05, 0.01]))
def test_without_a_correlation_the_steps_are_holms(p: list[float], alpha: float) -> None:
    passed = step_down(p, correlation=None, alpha=alpha)
    adjusted = holm(p)
    for one, value in zip(passed, adjusted, strict=True):
        if abs(value - alpha) > 1e-12:
            assert one == (value <= alpha)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 1), st.integers(0, 7), st.floats(0, 1))
def test_better_evidence_of_one_never_hurts_anybody(
    p: list[float], correlation: float, which: int, factor: float
) -> None:
    before = step_down(p, correlation=correlation, alpha=0.05)
    better = [value * factor if i == which % len(p) else value for i, value in enumerate(p)]
    after = step_down(better, correlation=correlation, alpha=0.05)
    assert all(now or not then for then, now in zip(before, after, strict=True))


@pytest.mark.parametrize("correlation", [0.3, 0.7])
@pytest.mark.parametrize("bad", [2, 5])
def test_a_bad_one_passes_with_alpha_at_most(correlation: float, bad: int) -> None:
    rng = np.random.default_rng(17)
    runs, number = 4_000, 5
    z = math.sqrt(correlation) * rng.normal(size=(runs, 1)) + math.sqrt(1 - correlation) * rng.normal(
        size=(runs, number)
    )
    # The others are so good that they pass at once, and leave the bad ones with the whole error rate.
    z[:, bad:] += 6.0
    passed = [any(step_down(row, correlation=correlation, alpha=0.05)[:bad]) for row in stats.norm.sf(z).tolist()]
    assert np.mean(passed) == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / runs))


@pytest.mark.parametrize(
    "call",
    [
        lambda: largest_tail(1.0, 0, correlation=0.5),
        lambda: largest_tail(1.0, 2, correlation=1.0),
        lambda: largest_tail(math.inf, 2, correlation=0.5),
        lambda: dunnett_bound(0, correlation=0.5, alpha=0.05),
        lambda: dunnett_bound(2, correlation=-0.1, alpha=0.05),
        lambda: dunnett_bound(2, correlation=0.5, alpha=0.0),
        lambda: step_alpha(0, correlation=0.5, alpha=0.05),
        lambda: step_down([0.1, math.nan], correlation=0.5, alpha=0.05),
    ],
)
def test_what_has_no_bound_is_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UndefinedError):
        call()
