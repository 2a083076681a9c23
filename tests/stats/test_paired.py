"""Intervals of means against scipy, statsmodels, published standard errors and their own properties."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.stats.bootstrap import bootstrap_means, corrected_level
from llmgate.stats.interval import Interval
from llmgate.stats.paired import bca, cluster_t, skew_error, t_interval
from llmgate.stats.unseen import unseen_share, widen_for_unseen

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCORES = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=40)


def spread(values: list[float]) -> NDArray[np.float64]:
    assume(len(set(values)) > 1)
    return np.array(values)


@pytest.mark.parametrize("values", [[], [0.1], [0.2, 0.2, 0.2], [0.1, math.nan], [0.1, math.inf]])
def test_no_interval_without_spread_or_numbers(values: list[float]) -> None:
    x = np.array(values)
    rng = np.random.default_rng(1)
    for call in (
        lambda: t_interval(x, alpha=0.05),
        lambda: bca(x, alpha=0.05, rng=rng),
        lambda: skew_error(x, alpha=0.05),
        lambda: cluster_t(x, list(range(len(x))), alpha=0.05),
    ):
        with pytest.raises(UndefinedError):
            call()


def test_one_cluster_has_no_spread() -> None:
    with pytest.raises(UndefinedError, match="1 cluster"):
        cluster_t(np.array([0.1, 0.5, 0.9]), ["a", "a", "a"], alpha=0.05)


def test_clusters_that_balance_out_have_no_spread_between_them() -> None:
    with pytest.raises(UndefinedError, match="same mean"):
        cluster_t(np.array([0.1, 0.3, 0.3, 0.1]), ["a", "a", "b", "b"], alpha=0.05)


def test_every_value_needs_a_cluster() -> None:
    with pytest.raises(UndefinedError, match="cluster keys"):
        cluster_t(np.array([0.1, 0.3]), ["a"], alpha=0.05)


@given(SCORES)
def test_t_agrees_with_scipy(values: list[float]) -> None:
    x = spread(values)
    interval = t_interval(x, alpha=0.05)
    result = stats.ttest_1samp(x, 0.0, alternative="less")
    low, high = stats.ttest_1samp(x, 0.0).confidence_interval(0.9)
    assert (interval.lower, interval.upper) == pytest.approx((low, high), abs=1e-9)
    assert interval.p_negative == pytest.approx(result.pvalue, abs=1e-9)
    assert interval.lower <= interval.estimate <= interval.upper


@pytest.mark.parametrize(
    ("better", "worse", "pairs", "se_points"),
    # GSM8K, 175b_finetuning against 6b_verification and 6b_finetuning: published with the data set.
    [(209, 152, 1319, 1.4361), (88, 260, 1319, 1.3685), (64, 293, 1319, 1.3509)],
)
def test_standard_errors_of_real_pairs(better: int, worse: int, pairs: int, se_points: float) -> None:
    d = np.array([1.0] * better + [-1.0] * worse + [0.0] * (pairs - better - worse))
    se = t_interval(d, alpha=0.05).standard_error
    assert se is not None
    assert 100 * se == pytest.approx(se_points, abs=5e-5)


def test_bca_agrees_with_scipy_but_for_the_expansion() -> None:
    x = np.random.default_rng(7).exponential(0.1, size=80) - 0.1
    # The level that the expanded quantile corresponds to.
    alpha = float(stats.norm.cdf(math.sqrt(80 / 79) * stats.t.ppf(0.05, 79)))
    theirs = stats.bootstrap(
        (x,), np.mean, confidence_level=1 - 2 * alpha, n_resamples=200_000, batch=2_000, rng=np.random.default_rng(1)
    ).confidence_interval
    ours = bca(x, alpha=0.05, rng=np.random.default_rng(2), resamples=200_000)
    assert (ours.lower, ours.upper) == pytest.approx(theirs, abs=3e-4)


@settings(deadline=None)
@given(SCORES, st.integers(0, 5))
def test_bca_depends_on_nothing_but_values_and_generator(values: list[float], seed: int) -> None:
    x = spread(values)
    one = bca(x, alpha=0.05, rng=np.random.default_rng(seed), resamples=500)
    two = bca(x, alpha=0.05, rng=np.random.default_rng(seed), resamples=500)
    assert one == two
    assert one.lower <= one.estimate <= one.upper


@pytest.mark.parametrize("shift", [-0.06, -0.03, -0.02, 0.0, 0.05])
def test_the_bootstrap_p_value_says_the_same_as_its_upper_bound(shift: float) -> None:
    x = np.random.default_rng(3).gamma(0.5, 0.1, size=60) - 0.05 + shift
    for alpha in (0.01, 0.05, 0.2):
        interval = bca(x, alpha=alpha, rng=np.random.default_rng(4), resamples=9_999)
        assert interval.p_negative is not None
        if abs(interval.p_negative - alpha) > 0.003:
            assert (interval.upper < 0) == (interval.p_negative < alpha)


@pytest.mark.parametrize("distinct", [5, 5000])
def test_both_ways_of_resampling_have_the_same_spread(distinct: int) -> None:
    rng = np.random.default_rng(5)
    x = rng.integers(0, distinct, size=300) / distinct
    means = bootstrap_means(x, np.ones(300), rng=rng, resamples=4_000)
    assert means.std() == pytest.approx(x.std() / math.sqrt(300), rel=0.05)
    assert np.all(np.diff(means) >= 0)


def test_a_bootstrap_of_nothing_is_refused() -> None:
    with pytest.raises(UndefinedError):
        bootstrap_means(np.array([]), np.array([]), rng=np.random.default_rng(1), resamples=10)


@pytest.mark.parametrize(("z0", "acceleration"), [(math.inf, 0.0), (0.0, 0.9)])
def test_a_correction_without_solution_is_refused(z0: float, acceleration: float) -> None:
    with pytest.raises(UndefinedError):
        corrected_level(3.0, z0, acceleration)


@settings(deadline=None)
@given(SCORES, st.integers(2, 8))
def test_cluster_errors_agree_with_statsmodels(values: list[float], groups: int) -> None:
    x = spread(values)
    clusters = [i % groups for i in range(len(x))]
    assume(len(x) >= groups)
    try:
        ours = cluster_t(x, clusters, alpha=0.05)
    except UndefinedError:
        assume(False)
    fit = sm.OLS(x, np.ones(len(x))).fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False})
    assert ours.standard_error == pytest.approx(fit.bse[0] * math.sqrt(groups / (groups - 1)), rel=1e-6, abs=1e-9)
    assert ours.df == groups - 1


@given(SCORES)
def test_clusters_of_one_are_no_clusters(values: list[float]) -> None:
    x = spread(values)
    ours, plain = cluster_t(x, list(range(len(x))), alpha=0.05), t_interval(x, alpha=0.05)
    assert (ours.lower, ours.upper) == pytest.approx((plain.lower, plain.upper))


def test_the_skew_error_predicts_how_far_t_is_off() -> None:
    rng = np.random.default_rng(8)
    losses = -(rng.random((4_000, 400)) < 0.05).astype(float)
    lower = losses.mean(1) - stats.t.ppf(0.95, 399) * losses.std(1, ddof=1) / 20
    error = float(np.mean(lower > -0.05))
    predicted = 0.05 + skew_error(losses[0], alpha=0.05)
    assert predicted == pytest.approx(error, abs=0.02)
    assert predicted > 0.06


@pytest.mark.parametrize(("n", "share"), [(1, 0.95), (59, 0.0495), (299, 0.00997)])
def test_the_unseen_share_is_the_exact_bound_at_zero_successes(n: int, share: float) -> None:
    assert unseen_share(n, alpha=0.05) == pytest.approx(share, abs=1e-4)
    assert unseen_share(n, alpha=0.05) == pytest.approx(stats.binomtest(0, n).proportion_ci(0.9).high)


def test_nothing_drawn_leaves_all_unseen() -> None:
    with pytest.raises(UndefinedError):
        unseen_share(0, alpha=0.05)


@given(st.integers(1, 500), st.floats(-1, 1))
def test_equal_values_get_a_width_and_not_certainty(n: int, value: float) -> None:
    interval = widen_for_unseen(np.full(n, value), None, alpha=0.05, floor=-1.0, ceiling=1.0)
    u = unseen_share(n, alpha=0.05)
    assert interval.lower == pytest.approx(value - u * (1 + value))
    assert interval.upper == pytest.approx(value + u * (1 - value))
    assert interval.p_negative is not None
    if abs(interval.upper) > 1e-9:
        assert (interval.upper < 0) == (interval.p_negative < 0.05)


@given(SCORES)
def test_widening_only_ever_widens(values: list[float]) -> None:
    x = spread(values)
    plain = t_interval(x, alpha=0.05)
    wide = widen_for_unseen(x, plain, alpha=0.05, floor=-1.0, ceiling=1.0)
    assert wide.lower <= plain.lower
    assert wide.upper >= plain.upper
    assert wide.p_negative is not None
    assert plain.p_negative is not None
    assert wide.p_negative >= plain.p_negative


@pytest.mark.parametrize("values", [[-1.2, 0.0], [0.0, 1.2], [math.nan]])
def test_values_outside_their_range_are_refused(values: list[float]) -> None:
    with pytest.raises(UndefinedError, match="outside"):
        widen_for_unseen(np.array(values), None, alpha=0.05, floor=-1.0, ceiling=1.0)


@pytest.mark.parametrize(
    ("lower", "estimate", "upper"), [(0.2, 0.1, 0.3), (0.0, 0.4, 0.3), (math.nan, 0.1, 0.2), (0.0, 0.1, math.inf)]
)
def test_an_interval_that_is_none_cannot_be_made(lower: float, estimate: float, upper: float) -> None:
    with pytest.raises(UndefinedError):
        Interval(estimate=estimate, lower=lower, upper=upper, alpha=0.05, method="test")
