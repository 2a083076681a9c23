"""Spending bounds: the published figures, the multivariate normal, simulated attempts, properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.stats.sequential.shares import attempt_shares
from llmgate.stats.sequential.spending import MOST_SOLVED, repeated_alpha, spending_bounds

CORRELATIONS = st.floats(0.0, 0.96)
ALPHAS = st.sampled_from([0.001, 0.01, 0.05, 0.2])


def information(attempts: int, r: float) -> list[float]:
    return [1.0 / (r + (1.0 - r) / k) for k in range(1, attempts + 1)]


def spent(attempts: int, alpha: float, reserve: float = 0.1) -> list[float]:
    return [share * alpha for share in attempt_shares(attempts, reserve=reserve)]


def correlated(times: list[float]) -> np.ndarray:
    t = np.array(times)
    return np.asarray(np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t)))


def test_the_bounds_at_half_correlated_attempts_are_those_of_the_specification() -> None:
    found = spending_bounds(information(4, 0.5), spent(4, 0.05))
    assert found == pytest.approx((1.695, 2.204, 2.318, 2.397), abs=6e-4)


def test_shares_are_those_of_the_reserve() -> None:
    assert attempt_shares(4, reserve=0.1) == pytest.approx((0.9, 0.05, 0.025, 0.0125))
    assert attempt_shares(3, reserve=0.0) == (1.0, 0.0, 0.0)
    assert math.fsum(attempt_shares(60, reserve=0.1)) <= 1.0 + 1e-15


@pytest.mark.parametrize("r", [0.0, 0.3, 0.8, 0.96])
def test_each_attempt_spends_what_it_may_by_the_multivariate_normal(r: float) -> None:
    """P(no earlier crossing, Z_3 ≥ z_3) = P(stay, stay) − P(stay, stay, stay)."""
    times, alphas = information(3, r), spent(3, 0.2, reserve=0.5)
    z = spending_bounds(times, alphas)
    cov = correlated(times)
    stays = [
        stats.multivariate_normal.cdf(z[:k], cov=cov[:k, :k], abseps=1e-9, releps=1e-9, maxpts=2_000_000)
        for k in (1, 2, 3)
    ]
    assert [1.0 - stays[0], stays[0] - stays[1], stays[1] - stays[2]] == pytest.approx(alphas, abs=3e-6)


def test_two_attempts_in_closed_form() -> None:
    """By the bivariate normal, with the bound found here put into its distribution function."""
    z = spending_bounds([1.0, 1.6], [0.03, 0.02])
    both = stats.multivariate_normal.cdf(z, cov=correlated([1.0, 1.6]), abseps=1e-10, releps=1e-10)
    assert 1.0 - both == pytest.approx(0.05, abs=1e-7)


def test_simulated_attempts_cross_as_often() -> None:
    rng = np.random.default_rng(20261129)
    times = information(6, 0.4)
    z = spending_bounds(times, spent(6, 0.1))
    steps = np.diff([0.0, *times])
    motion = np.cumsum(rng.normal(size=(200_000, 6)) * np.sqrt(steps), axis=1)
    crossed = (motion / np.sqrt(times) >= z).any(axis=1)
    assert crossed.mean() == pytest.approx(math.fsum(spent(6, 0.1)), abs=3e-3)


@given(r=CORRELATIONS, alpha=ALPHAS, attempts=st.integers(2, 4))
def test_bounds_rise_with_less_alpha_and_are_never_above_those_of_their_own_share(
    r: float, alpha: float, attempts: int
) -> None:
    times = information(attempts, r)
    z, stricter = spending_bounds(times, spent(attempts, alpha)), spending_bounds(times, spent(attempts, alpha / 2.0))
    assert all(low < high for low, high in zip(z, stricter, strict=True))
    alone = [-stats.norm.ppf(a) for a in spent(attempts, alpha)]
    assert all(bound <= own + 1e-9 for bound, own in zip(z, alone, strict=True))


@given(low=st.floats(0.0, 0.9), more=st.floats(0.01, 0.06))
def test_the_less_attempts_share_the_higher_the_bound(low: float, more: float) -> None:
    """So that an r which is taken too low only makes the gate stricter."""
    first, second = (spending_bounds(information(3, r), spent(3, 0.05))[1:] for r in (low, low + more))
    assert all(a >= b - 1e-9 for a, b in zip(first, second, strict=True))


def test_nothing_new_is_judged_as_before_and_spends_nothing() -> None:
    times = information(2, 0.5)
    z = spending_bounds([*times, times[-1], 2.0], [0.045, 0.0025, 0.00125, 0.000625])
    assert z[2] == z[1]
    assert z[3] == pytest.approx(spending_bounds([*times, 2.0], [0.045, 0.0025, 0.000625])[2], abs=1e-9)


def test_information_that_falls_or_a_share_of_nothing_can_not_reject() -> None:
    assert spending_bounds([1.0, 0.7], [0.045, 0.0025])[1] == math.inf
    assert spending_bounds([1.0, 1.5], [0.05, 0.0])[1] == math.inf
    assert repeated_alpha([1.0, 0.7], attempt_shares(2, reserve=0.1), p=1e-6) == 1.0
    assert repeated_alpha([1.0, 1.5], (1.0, 0.0), p=1e-6) == 1.0


def test_beyond_what_is_solved_an_attempt_has_the_bound_of_its_own_share() -> None:
    alphas = spent(MOST_SOLVED + 2, 0.05)
    z = spending_bounds(information(MOST_SOLVED + 2, 0.5), alphas)
    assert z[-1] == pytest.approx(-stats.norm.ppf(alphas[-1]))
    assert z[MOST_SOLVED - 1] < -stats.norm.ppf(alphas[MOST_SOLVED - 1])


def test_a_first_attempt_with_looks_gives_no_more_credit_than_any_looks_may_take() -> None:
    """However many looks there are, the last bound is not above the one of a motion that is watched all the time."""
    times, alphas = information(2, 0.5), spent(2, 0.05)
    looked = spending_bounds(times, alphas, looked=True)
    assert looked[0] == pytest.approx(stats.norm.isf(0.045 / 2.0))
    assert spending_bounds(times, alphas)[1] < looked[1] < stats.norm.isf(alphas[1])


@given(r=CORRELATIONS, p=st.floats(1e-9, 0.3), attempts=st.integers(1, 4), looked=st.booleans())
def test_a_repeated_p_is_the_alpha_at_which_the_attempt_is_at_its_bound(
    r: float, p: float, attempts: int, looked: bool
) -> None:
    times, shares = information(attempts, r), attempt_shares(attempts, reserve=0.1)
    alpha = repeated_alpha(times, shares, p=p, looked=looked)
    assert p <= alpha * (1.0 + 1e-9) <= max(1.0, p / shares[-1]) + 1e-9
    if attempts > 1 and alpha < 0.5 and shares[-1] * alpha > 1e-12:
        bound = spending_bounds(times, [share * alpha for share in shares], looked=looked)[-1]
        assert stats.norm.sf(bound) == pytest.approx(p, rel=1e-4)


@given(r=CORRELATIONS, p=st.floats(1e-9, 0.3), less=st.floats(0.1, 1.0))
def test_repeated_p_values_keep_their_order(r: float, p: float, less: float) -> None:
    times, shares = information(3, r), attempt_shares(3, reserve=0.1)
    assert repeated_alpha(times, shares, p=less * p) <= repeated_alpha(times, shares, p=p) * (1.0 + 1e-5)


def test_without_information_a_p_value_is_that_of_the_own_share() -> None:
    assert repeated_alpha((), (0.9, 0.05), p=0.001) == pytest.approx(0.02)
    assert repeated_alpha((1.0,), (0.9,), p=0.045) == pytest.approx(0.05)
    assert repeated_alpha((1.0,), (0.9,), p=0.95) == 1.0


def test_the_least_of_all_attempts_p_values_is_a_p_value() -> None:
    """Simulated: below any level it falls no more often than that, with Holm's adjustment of two metrics too."""
    rng = np.random.default_rng(7)
    times = information(3, 0.5)
    motion = np.cumsum(rng.normal(size=(2, 20_000, 3)) * np.sqrt(np.diff([0.0, *times])), axis=2)
    z = motion / np.sqrt(times)
    rejected = {}
    for alpha in (0.1, 0.05):
        bounds = np.array([spending_bounds(times[:k], spent(k, alpha))[-1] for k in (1, 2, 3)])
        rejected[alpha] = z >= bounds
    error = math.sqrt(0.1 * 0.9 / 20_000)
    assert rejected[0.1][0].any(axis=1).mean() <= 0.1 + 3 * error
    # Holm rejects something at an attempt if the smaller p-value is at most half of alpha.
    assert rejected[0.05].any(axis=(0, 2)).mean() <= 0.1 + 3 * error


@pytest.mark.parametrize(
    ("times", "alphas"),
    [([1.0], []), ([0.0], [0.05]), ([math.nan], [0.05]), ([1.0, 2.0], [0.9, 0.2]), ([1.0], [-0.1])],
)
def test_what_is_no_information_or_error_rate_is_refused(times: list[float], alphas: list[float]) -> None:
    with pytest.raises(UndefinedError):
        spending_bounds(times, alphas)


def test_what_is_no_p_value_share_or_attempt_is_refused() -> None:
    for p, shares in ((-0.1, (0.9,)), (math.nan, (0.9,)), (0.1, ())):
        with pytest.raises(UndefinedError):
            repeated_alpha((1.0,), shares, p=p)
    for attempts, reserve in ((0, 0.1), (1, 1.0), (1, math.nan)):
        with pytest.raises(UndefinedError):
            attempt_shares(attempts, reserve=reserve)
