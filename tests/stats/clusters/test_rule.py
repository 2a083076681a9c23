"""The rule against a version of its own, written from the formulae: enumeration, scipy, and solving for bounds."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats

from llmgate.errors import UndefinedError
from llmgate.stats.clusters.rule import METHOD, cluster_interval, cluster_test
from llmgate.stats.clusters.subsets import EXACT_UP_TO
from llmgate.stats.paired import t_interval

Values = NDArray[np.float64]


@st.composite
def clustered(draw: st.DrawFn, least: int = 5, most: int = 9) -> tuple[Values, NDArray[np.int64]]:
    groups = draw(st.integers(least, most))
    sizes = draw(st.lists(st.integers(1, 12), min_size=groups, max_size=groups))
    codes = np.repeat(np.arange(groups), sizes)
    own = draw(st.lists(st.sampled_from([-1.0, 0.0, 1.0]) | st.floats(-1, 1), min_size=len(codes), max_size=len(codes)))
    order = draw(st.permutations(range(len(codes))))
    return np.array(own)[list(order)], codes[list(order)]


def p_at_most(values: Values, codes: NDArray[np.int64], limit: float) -> float:
    """The three p-values against "the mean is `limit` or less", each in another way than the package's."""
    names = np.unique(codes)
    errors = np.array([np.sum(values[codes == name] - limit) for name in names])
    signs = np.array(list(product((0, 1), repeat=len(names))))
    by_subsets = float(np.mean(signs @ errors <= 1e-11))
    fit = sm.OLS(values - limit, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "use_correction": False}
    )
    g = len(names)
    statistic = float(fit.params[0] / (fit.bse[0] * math.sqrt(g / (g - 1))))
    residuals = np.array([np.sum(values[codes == name] - values.mean()) for name in names])
    gamma = float(np.mean(residuals**3) / np.mean(residuals**2) ** 1.5)
    halls = ((1 + gamma * statistic / (3 * math.sqrt(g))) ** 3 - 1) / (gamma / math.sqrt(g)) if abs(gamma) > 1e-9 else (
        statistic
    )  # fmt: skip
    halls += gamma / (6 * math.sqrt(g))
    return float(max(by_subsets, stats.t.sf(statistic, g - 1), stats.t.sf(halls, g - 1)))


@settings(deadline=None)
@given(clustered(), st.floats(-0.9, 0.9))
def test_p_values_agree_with_the_oracle(data: tuple[Values, NDArray[np.int64]], limit: float) -> None:
    values, codes = data
    try:
        found = cluster_test(values, codes, alpha=0.05)
    except UndefinedError:
        return
    assume(found.standard_error > 1e-6)
    # A tie that rounding decides is not what is meant here.
    assume(np.abs(found.subsets.means - limit).min() > 1e-9)
    assert found.p_at_most(limit) == pytest.approx(p_at_most(values, codes, limit), rel=1e-6, abs=1e-9)
    assert found.p_at_least(limit) == pytest.approx(p_at_most(-values, codes, -limit), rel=1e-6, abs=1e-9)


@settings(deadline=None, max_examples=15)
@given(clustered(), st.sampled_from([0.05, 0.1]))
def test_the_bounds_are_where_the_oracles_p_value_is_alpha(
    data: tuple[Values, NDArray[np.int64]], alpha: float
) -> None:
    values, codes = data
    try:
        found = cluster_test(values, codes, alpha=alpha)
    except UndefinedError:
        return
    assume(found.standard_error > 1e-3)
    for bound, x in ((found.lower, values), (-found.upper, -values)):
        assert p_at_most(x, codes, bound - 1e-7) <= alpha
        assert p_at_most(x, codes, bound + 1e-7) > alpha


@pytest.mark.parametrize("groups", [5, 9, 13, 40])
@pytest.mark.parametrize("alpha", [0.04, 0.05, 0.3])
def test_bound_and_p_value_say_the_same(groups: int, alpha: float) -> None:
    rng = np.random.default_rng([groups, round(1e6 * alpha)])
    for _ in range(40):
        codes = np.concatenate([np.arange(groups), rng.integers(0, groups, 3 * groups) ** 2 // groups])
        values = rng.integers(-1, 2, len(codes)) * (rng.random(groups) < 0.4)[codes]
        try:
            found = cluster_test(values.astype(float), codes, alpha=alpha)
        except UndefinedError:
            continue
        near = [bound + off for bound in (found.lower, found.upper) for off in (-1e-9, 1e-9)]
        for limit in (0.0, -0.05, found.mean, *near, *rng.uniform(-0.5, 0.5, 5)):
            assert (found.lower > limit) == (found.p_at_most(limit) <= alpha), (found, limit)
            assert (found.upper < limit) == (found.p_at_least(limit) <= alpha), (found, limit)


@given(clustered(most=16))
def test_turned_round_it_is_the_same_turned_round(data: tuple[Values, NDArray[np.int64]]) -> None:
    values, codes = data
    try:
        found, turned = (cluster_test(x, codes, alpha=0.05) for x in (values, -values))
    except UndefinedError:
        return
    assert (turned.lower, turned.upper) == pytest.approx((-found.upper, -found.lower))
    assert turned.p_at_least(0.1) == pytest.approx(found.p_at_most(-0.1))


@given(clustered(most=16), st.floats(0.01, 100.0), st.floats(-5.0, 5.0))
def test_another_scale_gives_the_same_bounds_on_it(
    data: tuple[Values, NDArray[np.int64]], scale: float, shift: float
) -> None:
    values, codes = data
    try:
        found, scaled = (cluster_test(x, codes, alpha=0.05) for x in (values, scale * values + shift))
    except UndefinedError:
        return
    assume(found.standard_error > 1e-6)
    wanted = [scale * bound + shift for bound in (found.lower, found.upper)]
    assert [scaled.lower, scaled.upper] == pytest.approx(wanted, rel=1e-6, abs=1e-8 * (scale + 1))


@given(clustered(most=EXACT_UP_TO), st.randoms(use_true_random=False))
def test_the_order_of_cases_and_the_names_of_clusters_do_not_matter(
    data: tuple[Values, NDArray[np.int64]], random: object
) -> None:
    values, codes = data
    order = np.random.default_rng(hash(random) % 2**32).permutation(len(values))
    names = [f"document {code}" for code in codes[order].tolist()]
    try:
        found = cluster_interval(values, codes, alpha=0.05)
    except UndefinedError:
        with pytest.raises(UndefinedError):
            cluster_interval(values[order], names, alpha=0.05)
        return
    other = cluster_interval(values[order], names, alpha=0.05)
    assert (other.lower, other.upper, other.p_negative) == pytest.approx(
        (found.lower, found.upper, found.p_negative), abs=1e-9
    )


def test_of_more_clusters_the_order_matters_as_little_as_a_seed() -> None:
    rng = np.random.default_rng(40)
    sums = rng.normal(size=40)
    values, codes = np.repeat(sums, 10) / 10 + rng.normal(size=400) / 30, np.repeat(np.arange(40), 10)
    order = np.argsort(rng.random(40)[codes], kind="stable")
    found = cluster_interval(values, codes, alpha=0.05)
    se = found.standard_error or 0.0
    others = [cluster_interval(values, codes, alpha=0.05, seed=seed) for seed in range(1, 6)]
    for other in (cluster_interval(values[order], codes[order], alpha=0.05), *others):
        assert other.lower == pytest.approx(found.lower, abs=0.2 * se)
        assert other.upper == pytest.approx(found.upper, abs=0.2 * se)
    assert cluster_interval(values, codes, alpha=0.05) == found


def test_many_cases_of_their_own_have_almost_the_bounds_of_students_t() -> None:
    values = np.random.default_rng(8).uniform(-0.5, 0.4, 800)
    found, plain = cluster_interval(values, np.arange(800), alpha=0.05), t_interval(values, alpha=0.05)
    assert found.lower <= plain.lower
    assert found.upper >= plain.upper
    assert (found.lower, found.upper) == pytest.approx(
        (plain.lower, plain.upper), abs=0.15 * (plain.standard_error or 0)
    )
    assert found.standard_error == pytest.approx(plain.standard_error)
    assert found.df == 799


def test_one_cluster_that_holds_half_is_not_taken_for_one_of_many() -> None:
    """Its own error decides, so that bounds have to reach as far on the side where it lies as it does."""
    codes = np.concatenate([np.arange(40).repeat(10), np.full(400, 40)])
    values = np.concatenate([np.tile([0.1, -0.1], 200) + np.arange(40).repeat(10) / 400, np.full(400, 0.3)])
    found = cluster_interval(values, codes, alpha=0.05)
    assert found.estimate > 0.17
    assert found.lower < 0.06
    assert found.method == METHOD


def test_a_p_value_can_be_smaller_than_one_in_two_thousand() -> None:
    """Slices and metrics are adjusted together, so that a coarse p-value would hide what is plain."""
    values, codes = np.repeat(-0.5 + np.arange(60) / 500, 5), np.repeat(np.arange(60), 5)
    found = cluster_interval(values, codes, alpha=0.05)
    assert found.p_negative == pytest.approx(1 / 20_000)
    mild = cluster_interval(values + 0.437, codes, alpha=0.05)
    assert (mild.p_negative or 0.0) > 1 / 2_000


@pytest.mark.parametrize("alpha", [4e-5, 1e-9])
def test_a_tail_that_cannot_be_told_has_the_ends_of_the_range_as_bounds(alpha: float) -> None:
    values, codes = np.repeat(np.linspace(0.3, 0.5, 40), 2), np.repeat(np.arange(40), 2)
    found = cluster_interval(values, codes, alpha=alpha, floor=-0.25, ceiling=0.75)
    if alpha < 1e-6:
        assert (found.lower, found.upper) == (-0.25, 0.75)
    else:
        assert found.lower > 0.3
    assert found.p_negative == 1.0
    worse = cluster_interval(-values, codes, alpha=alpha)
    assert (worse.p_negative or 0.0) <= alpha or worse.upper == 1.0


def test_what_cannot_be_told_is_refused() -> None:
    values = np.linspace(-0.5, 0.5, 40)
    with pytest.raises(UndefinedError, match="4 clusters, which are too few"):
        cluster_interval(values, np.arange(40) % 4, alpha=0.05)
    with pytest.raises(UndefinedError, match="one cluster, which are too few"):
        cluster_interval(values, np.zeros(40, int), alpha=0.05)
    with pytest.raises(UndefinedError, match="same mean"):
        cluster_interval(np.tile([0.1, 0.3], 20), np.arange(40) // 2, alpha=0.05)
    with pytest.raises(UndefinedError, match="not a finite number"):
        cluster_interval(np.append(values[1:], math.nan), np.arange(40), alpha=0.05)
    with pytest.raises(UndefinedError, match="cluster keys"):
        cluster_interval(values, np.arange(39), alpha=0.05)
    with pytest.raises(UndefinedError, match="no values"):
        cluster_interval(values[:0], np.arange(0), alpha=0.05)
    with pytest.raises(UndefinedError, match="alpha"):
        cluster_interval(values, np.arange(40), alpha=0.6)
    with pytest.raises(UndefinedError, match="outside its bounds"):
        cluster_interval(values - 2.0, np.arange(40), alpha=0.05)


def test_a_bound_solves_its_own_equation_with_scipy_alone() -> None:
    """Fourteen skewed clusters, Hall's bound being the outermost, by root finding."""
    rng = np.random.default_rng(14)
    means = -(rng.random(14) ** 40)
    values, codes = np.repeat(means, 20), np.repeat(np.arange(14), 20)
    found = cluster_test(values, codes, alpha=0.05)
    g, kappa = 14, stats.skew(means) / math.sqrt(14)
    se = means.std(ddof=1) / math.sqrt(g)

    def tail(limit: float) -> float:
        t0 = (means.mean() - limit) / se
        return float(stats.t.sf(t0 + kappa * t0**2 / 3 + kappa**2 * t0**3 / 27 + kappa / 6, g - 1)) - 0.05

    assert kappa < -0.4
    assert found.lower == pytest.approx(optimize.brentq(tail, -1.0, means.mean()), abs=1e-9)
