"""Rates and paired rates against closed forms, other libraries and the formula as published."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from llmgate.errors import UndefinedError
from llmgate.stats.proportion import PairedCounts, clopper_pearson, p_below, tango, tango_z

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.stats.interval import Interval

ALPHAS = st.sampled_from([0.001, 0.025, 0.05, 0.2])


@st.composite
def rates(draw: st.DrawFn) -> tuple[int, int]:
    trials = draw(st.integers(1, 2000))
    return draw(st.integers(0, trials)), trials


@st.composite
def paired(draw: st.DrawFn, most: int = 400) -> PairedCounts:
    pairs = draw(st.integers(1, most))
    better = draw(st.integers(0, pairs))
    return PairedCounts(better=better, worse=draw(st.integers(0, pairs - better)), pairs=pairs)


def as_published(counts: PairedCounts, delta0: float) -> float:
    b, c, n = counts.better, counts.worse, counts.pairs
    big_b = -b - c + (2 * n - b + c) * delta0
    big_c = -c * delta0 * (1 - delta0)
    q = (math.sqrt(max(0.0, big_b**2 - 8 * n * big_c)) - big_b) / (4 * n)
    return (b - c - n * delta0) / math.sqrt(n * (2 * q + delta0 * (1 - delta0)))


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_rates_that_do_not_exist_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(UndefinedError):
        clopper_pearson(successes, trials, alpha=0.05)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, -0.1, math.nan])
def test_an_alpha_that_is_none_is_refused(alpha: float) -> None:
    calls: list[Callable[[], Interval]] = [
        lambda: clopper_pearson(1, 2, alpha=alpha),
        lambda: tango(PairedCounts(better=1, worse=0, pairs=2), alpha=alpha),
    ]
    for call in calls:
        with pytest.raises(UndefinedError, match="alpha"):
            call()


@pytest.mark.parametrize(("better", "worse", "pairs"), [(0, 0, 0), (-1, 0, 3), (0, -1, 3), (2, 2, 3)])
def test_counts_that_do_not_fit_are_refused(better: int, worse: int, pairs: int) -> None:
    with pytest.raises(UndefinedError):
        PairedCounts(better=better, worse=worse, pairs=pairs)


@pytest.mark.parametrize("delta0", [-1.0, 1.0, math.nan])
def test_a_difference_at_the_ends_has_no_score(delta0: float) -> None:
    with pytest.raises(UndefinedError, match="delta0"):
        tango_z(PairedCounts(better=1, worse=1, pairs=3), delta0=delta0)


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_p_below_refuses_what_is_no_rate(rate: float) -> None:
    with pytest.raises(UndefinedError, match="rate"):
        p_below(1, 2, rate=rate)


@given(rates(), ALPHAS)
def test_clopper_pearson_agrees_with_statsmodels(rate: tuple[int, int], alpha: float) -> None:
    interval = clopper_pearson(*rate, alpha=alpha)
    low, high = proportion_confint(*rate, alpha=2 * alpha, method="beta")
    assert interval.lower == pytest.approx(low, abs=1e-9)
    assert interval.upper == pytest.approx(high, abs=1e-9)


@given(rates(), st.floats(0.01, 0.99))
def test_p_below_is_the_exact_binomial_test_and_inverts_the_upper_bound(rate: tuple[int, int], limit: float) -> None:
    p = p_below(*rate, rate=limit)
    assert p == pytest.approx(stats.binomtest(*rate, limit, alternative="less").pvalue, rel=1e-9, abs=1e-200)
    upper = clopper_pearson(*rate, alpha=0.05).upper
    if abs(upper - limit) > 1e-9:
        assert (p <= 0.05) == (upper <= limit)


@given(rates(), ALPHAS)
def test_exact_bounds_are_mirrored_when_right_and_wrong_swap(rate: tuple[int, int], alpha: float) -> None:
    successes, trials = rate
    one = clopper_pearson(successes, trials, alpha=alpha)
    other = clopper_pearson(trials - successes, trials, alpha=alpha)
    assert one.lower == pytest.approx(1 - other.upper, abs=1e-9)


@given(paired(), st.floats(-0.99, 0.99).filter(lambda d: abs(d) > 1e-6))
def test_the_score_is_the_published_formula(counts: PairedCounts, delta0: float) -> None:
    assert tango_z(counts, delta0=delta0) == pytest.approx(as_published(counts, delta0), rel=1e-6, abs=1e-6)


@given(paired(), ALPHAS)
def test_bounds_are_where_the_score_crosses_z(counts: PairedCounts, alpha: float) -> None:
    interval = tango(counts, alpha=alpha)
    z = stats.norm.isf(alpha)
    edge = 1 - 1e-9
    if as_published(counts, -edge) > z:
        root = optimize.brentq(lambda d: as_published(counts, d) - z, -edge, edge, xtol=1e-13)
        assert interval.lower == pytest.approx(root, abs=1e-8)
    if as_published(counts, edge) < -z:
        root = optimize.brentq(lambda d: as_published(counts, d) + z, -edge, edge, xtol=1e-13)
        assert interval.upper == pytest.approx(root, abs=1e-8)


@given(paired(), ALPHAS)
def test_bounds_contain_the_estimate_and_stay_in_range(counts: PairedCounts, alpha: float) -> None:
    interval = tango(counts, alpha=alpha)
    assert -1 <= interval.lower <= interval.estimate <= interval.upper <= 1
    assert interval.lower < interval.upper


@given(paired(), ALPHAS)
def test_swapping_the_systems_mirrors_the_interval(counts: PairedCounts, alpha: float) -> None:
    swapped = tango(PairedCounts(better=counts.worse, worse=counts.better, pairs=counts.pairs), alpha=alpha)
    interval = tango(counts, alpha=alpha)
    assert (swapped.lower, swapped.upper) == (-interval.upper, -interval.lower)


@given(paired(), ALPHAS)
def test_one_more_gain_or_one_loss_less_never_lowers_a_bound(counts: PairedCounts, alpha: float) -> None:
    base = tango(counts, alpha=alpha)
    nicer = []
    if counts.better + counts.worse < counts.pairs:
        nicer.append(PairedCounts(better=counts.better + 1, worse=counts.worse, pairs=counts.pairs))
    if counts.worse:
        nicer.append(PairedCounts(better=counts.better, worse=counts.worse - 1, pairs=counts.pairs))
    for better in nicer:
        interval = tango(better, alpha=alpha)
        assert interval.lower >= base.lower - 1e-12
        assert interval.upper >= base.upper - 1e-12


@given(paired(), ALPHAS)
def test_the_p_value_says_the_same_as_the_upper_bound(counts: PairedCounts, alpha: float) -> None:
    interval = tango(counts, alpha=alpha)
    assert interval.p_negative is not None
    if abs(interval.upper) > 1e-12:
        assert (interval.upper < 0) == (interval.p_negative < alpha)


@given(paired())
def test_at_zero_the_score_is_mcnemars(counts: PairedCounts) -> None:
    if counts.better + counts.worse:
        same = counts.pairs - counts.better - counts.worse
        table = [[same, counts.better], [counts.worse, 0]]
        chi2 = mcnemar(table, exact=False, correction=False).statistic
        assert tango_z(counts, delta0=0.0) ** 2 == pytest.approx(chi2)


@pytest.mark.parametrize("pairs", [1, 87, 88, 5000])
def test_without_any_change_the_bounds_are_known_in_closed_form(pairs: int) -> None:
    z2 = stats.norm.isf(0.05) ** 2
    interval = tango(PairedCounts(better=0, worse=0, pairs=pairs), alpha=0.05)
    assert interval.lower == pytest.approx(-z2 / (pairs + z2), abs=1e-9)
    assert interval.upper == pytest.approx(z2 / (pairs + z2), abs=1e-9)
    assert interval.p_negative == 0.5


@pytest.mark.parametrize("pairs", [1, 2, 50])
def test_when_every_answer_changed_for_the_worse_the_lower_bound_is_the_end(pairs: int) -> None:
    worst = tango(PairedCounts(better=0, worse=pairs, pairs=pairs), alpha=0.05)
    assert worst.lower == -1.0
    assert worst.upper < 1.0
    best = tango(PairedCounts(better=pairs, worse=0, pairs=pairs), alpha=0.05)
    assert best.upper == 1.0
