"""Win rates with ties: against a grid of score tests, simulation and their own properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from llmgate.errors import UndefinedError
from llmgate.stats.clusters.rule import cluster_interval
from llmgate.stats.preference import mean_win_rate, net_wins, win_rate
from llmgate.stats.unseen import unseen_share

COUNTS = st.integers(0, 200)


@pytest.mark.parametrize(("wins", "ties", "losses"), [(0, 0, 0), (-1, 3, 2), (1, -1, 2), (1, 2, -1)])
def test_counts_that_are_none(wins: int, ties: int, losses: int) -> None:
    for rate in (net_wins, win_rate):
        with pytest.raises(UndefinedError):
            rate(wins, ties, losses, alpha=0.05)


def test_ties_count_half() -> None:
    assert win_rate(30, 20, 50, alpha=0.05).estimate == pytest.approx(0.4)
    assert net_wins(30, 20, 50, alpha=0.05).estimate == pytest.approx(-0.2)


@given(COUNTS, COUNTS, COUNTS)
def test_swapping_the_roles_mirrors_the_rate(wins: int, ties: int, losses: int) -> None:
    assume(wins + ties + losses)
    one, other = win_rate(wins, ties, losses, alpha=0.05), win_rate(losses, ties, wins, alpha=0.05)
    assert (one.lower, one.estimate, one.upper) == pytest.approx((1 - other.upper, 1 - other.estimate, 1 - other.lower))


@given(st.integers(1, 200), st.data())
def test_without_ties_it_is_close_to_wilson(n: int, data: st.DataObject) -> None:
    wins = data.draw(st.integers(0, n))
    found = win_rate(wins, 0, n - wins, alpha=0.025)
    low, high = proportion_confint(wins, n, alpha=0.05, method="wilson")
    assert (found.lower, found.upper) == pytest.approx((low, high), abs=1e-6)


@given(COUNTS, COUNTS, COUNTS)
def test_more_of_the_same_is_narrower_and_a_smaller_alpha_wider(wins: int, ties: int, losses: int) -> None:
    assume(wins + ties + losses)
    once = win_rate(wins, ties, losses, alpha=0.05)
    four = win_rate(4 * wins, 4 * ties, 4 * losses, alpha=0.05)
    sure = win_rate(wins, ties, losses, alpha=0.01)
    assert four.upper - four.lower < once.upper - once.lower < sure.upper - sure.lower


@given(COUNTS, COUNTS, COUNTS)
def test_the_p_value_says_the_same_as_the_bound(wins: int, ties: int, losses: int) -> None:
    assume(wins + losses)
    found = win_rate(wins, ties, losses, alpha=0.05)
    assert found.p_negative is not None
    if abs(found.p_negative - 0.05) > 1e-9:
        assert (found.upper < 0.5) == (found.p_negative < 0.05)


@pytest.mark.parametrize("tie", [0.1, 0.5])
def test_measured_coverage(tie: float) -> None:
    rng = np.random.default_rng(9)
    share = (1 - tie) * 0.6
    truth = share + tie / 2
    draws = rng.multinomial(80, [share, tie, 1 - tie - share], size=4_000)
    kinds, counts = np.unique(draws, axis=0, return_counts=True)
    covered = 0
    for (wins, ties, losses), count in zip(kinds.tolist(), counts.tolist(), strict=True):
        found = win_rate(wins, ties, losses, alpha=0.025)
        covered += count * (found.lower <= truth <= found.upper)
    assert covered / 4_000 == pytest.approx(0.95, abs=0.014)


@pytest.mark.parametrize(
    ("values", "clusters"),
    [([], None), ([0.5, 1.2], None), ([0.5, math.nan], None), ([0.5, 0.5], ["a"]), ([0.5, 1.0], ["a", "a"])],
)
def test_values_that_have_no_rate(values: list[float], clusters: list[str] | None) -> None:
    with pytest.raises(UndefinedError):
        mean_win_rate(np.array(values), alpha=0.05, clusters=clusters)


def test_values_in_parts() -> None:
    values = np.array([0.0, 0.25, 0.5, 0.75, 1.0] * 40)
    found = mean_win_rate(values, alpha=0.05)
    assert found.estimate == pytest.approx(0.5)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(200))
    assert found.method == "t"


def test_the_p_value_of_values_is_against_a_half() -> None:
    values = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 0.25] * 60)
    found = mean_win_rate(values, alpha=0.05)
    assert found.p_negative == pytest.approx(stats.ttest_1samp(values, 0.5, alternative="less").pvalue)


def test_values_and_counts_agree_where_both_apply() -> None:
    values = np.array([1.0] * 120 + [0.5] * 50 + [0.0] * 80)
    one, other = mean_win_rate(values, alpha=0.05), win_rate(120, 50, 80, alpha=0.05)
    assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper), abs=2e-3)


def test_clusters_have_their_rule() -> None:
    values = np.repeat(np.random.default_rng(1).integers(0, 3, size=40) / 2, 5)
    keys = [i // 5 for i in range(200)]
    found = mean_win_rate(values, alpha=0.05, clusters=keys)
    rule = cluster_interval(values, keys, alpha=0.05)
    assert found.standard_error == pytest.approx(rule.standard_error)
    assert (found.lower, found.upper) == pytest.approx((rule.lower, rule.upper))
    assert found.df == 39
    with pytest.raises(UndefinedError, match="too few"):
        mean_win_rate(values, alpha=0.05, clusters=[i % 4 for i in range(200)])


def test_clusters_that_balance_out_still_vary_inside() -> None:
    found = mean_win_rate(np.array([0.0, 1.0] * 20), alpha=0.05, clusters=[i // 2 for i in range(40)])
    assert found.method == "t"
    assert found.lower < 0.4


def test_values_that_are_all_equal_get_a_width() -> None:
    u = unseen_share(30, alpha=0.05)
    found = mean_win_rate(np.full(30, 0.5), alpha=0.05)
    assert (found.lower, found.upper) == pytest.approx((0.5 - u / 2, 0.5 + u / 2))
