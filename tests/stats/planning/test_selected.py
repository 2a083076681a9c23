"""What a chosen baseline does to the chances, against scipy's bivariate normal and against runs that were drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from llmgate.errors import UndefinedError
from llmgate.stats.planning.power import Chances, tango_chances
from llmgate.stats.planning.selected import after_selection, against_the_best, bivariate_normal, given_one_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOUND = st.floats(-4.0, 4.0)


@pytest.mark.parametrize("rho", [-0.95, -0.5, 0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize(("h", "k"), [(0.0, 0.0), (1.3, -0.4), (-2.0, 2.5), (-3.0, -3.0)])
def test_the_bivariate_normal_is_scipys(h: float, k: float, rho: float) -> None:
    expected = multivariate_normal.cdf([h, k], cov=[[1.0, rho], [rho, 1.0]])
    assert bivariate_normal(h, k, rho) == pytest.approx(expected, abs=1e-7)


def test_bounds_may_be_infinite() -> None:
    assert bivariate_normal(math.inf, 0.7, -0.5) == pytest.approx(norm.cdf(0.7))
    assert bivariate_normal(-math.inf, 0.7, -0.5) == 0.0
    for h, k, rho in ((0.0, 0.0, 1.0), (math.nan, 0.0, 0.1)):
        with pytest.raises(UndefinedError):
            bivariate_normal(h, k, rho)


@given(h=BOUND, k=BOUND)
def test_two_bounds_are_as_likely_in_either_order_and_add_up(h: float, k: float) -> None:
    assert bivariate_normal(h, k, -0.5) == pytest.approx(bivariate_normal(k, h, -0.5), abs=1e-12)
    # P(X ≤ h, Y ≤ k) + P(X ≤ h, −Y ≤ −k) = P(X ≤ h)
    both = bivariate_normal(h, k, -0.5) + bivariate_normal(h, -k, 0.5)
    assert both == pytest.approx(float(norm.cdf(h)), abs=1e-12)


@given(passed=st.floats(0.0, 1.0), failed=st.floats(0.0, 0.2))
def test_a_chosen_baseline_never_helps_an_unchanged_model(passed: float, failed: float) -> None:
    failed = min(failed, 1.0 - passed)
    after = after_selection(Chances(passed=passed, failed=failed))
    assert after.passed <= passed + 1e-12
    assert after.failed >= failed - 1e-12
    assert after.passed + after.failed <= 1.0 + 1e-9


@pytest.mark.parametrize(("discordance", "published"), [(0.22, (0.088, 0.317)), (0.225, (0.093, 0.331))])
def test_it_is_within_three_points_of_what_was_found_by_simulation(
    discordance: float, published: tuple[float, float]
) -> None:
    plain = tango_chances(delta=0.0, discordance=discordance, pairs=688, margin=0.03, alpha=0.05)
    after = after_selection(plain)
    assert (after.failed, after.passed) == pytest.approx(published, abs=0.03)


@pytest.mark.parametrize(("pairs", "discordance", "margin"), [(688, 0.2, 0.03), (300, 0.1, 0.03), (150, 0.2, 0.05)])
def test_it_is_within_three_points_of_runs_that_were_drawn(pairs: int, discordance: float, margin: float) -> None:
    # Cases with p (1 − p) alike and unlike, whose discordance between two runs is ψ.
    rng = np.random.default_rng(7)
    hard = round(pairs * discordance / 0.5)
    p = np.concatenate([np.full(hard, 0.5), np.full(pairs - hard, 1.0)])
    runs = rng.random((3, 4_000, pairs)) < p
    plain = tango_chances(delta=0.0, discordance=hard * 0.5 / pairs, pairs=pairs, margin=margin, alpha=0.05)
    earned = lower_bound(runs[1], runs[0], pairs) > -margin
    passed = lower_bound(runs[2], runs[1], pairs) > -margin
    failed = -lower_bound(runs[1], runs[2], pairs) < 0.0
    after = after_selection(plain)
    assert np.mean(passed[earned]) == pytest.approx(after.passed, abs=0.03)
    assert np.mean(failed[earned]) == pytest.approx(after.failed, abs=0.03)
    # One stored run in ten makes an unchanged model fail so often or more.
    share = norm.cdf(norm.ppf(0.05) * math.sqrt(2.0) + norm.ppf(0.9))
    assert given_one_run(0.05) == pytest.approx(share)


def lower_bound(one: NDArray[np.bool_], other: NDArray[np.bool_], pairs: int) -> NDArray[np.float64]:
    """Normal bounds: at these sizes as good as Tango's to a point."""
    difference = one.astype(float) - other
    mean = difference.mean(axis=1)
    bounds: NDArray[np.float64] = mean - 1.645 * np.sqrt((difference**2).mean(axis=1) - mean**2) / math.sqrt(pairs)
    return bounds


def test_what_is_no_chance_is_refused() -> None:
    assert given_one_run(0.0) == 0.0
    assert given_one_run(0.05, quantile=0.5) < 0.05, "half of the runs are kinder than the mean"
    with pytest.raises(UndefinedError):
        given_one_run(1.5)
    with pytest.raises(UndefinedError):
        given_one_run(0.05, quantile=1.0)
    with pytest.raises(UndefinedError):
        after_selection(Chances(passed=-0.1, failed=0.0))


def test_the_best_of_several_is_the_luckiest() -> None:
    plain = tango_chances(delta=0.0, discordance=0.225, pairs=688, margin=0.03, alpha=0.05)
    alone = against_the_best(plain, runs=1)
    assert (alone.passed, alone.failed) == pytest.approx((plain.passed, plain.failed), abs=1e-9)
    five = against_the_best(plain, runs=5)
    luck = np.random.default_rng(5).standard_normal((400_000, 5)).max(axis=1)
    drawn = norm.cdf(math.sqrt(2.0) * norm.ppf(plain.failed) + luck).mean()
    assert five.failed == pytest.approx(drawn, abs=1e-3)
    assert 0.16 < five.failed < 0.18
    with pytest.raises(UndefinedError):
        against_the_best(plain, runs=0)
