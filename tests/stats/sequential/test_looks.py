"""Looks: published constants, the multivariate normal, simulated motions, closed forms, properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.stats.sequential.looks import equal_fractions, obrien_fleming, repeated_p

FRACTIONS = st.lists(st.integers(1, 19), min_size=0, max_size=4, unique=True).map(
    lambda ticks: (*(tick / 20 for tick in sorted(ticks)), 1.0)
)
ALPHAS = st.sampled_from([0.001, 0.01, 0.025, 0.05, 0.1, 0.2])


def test_the_bounds_of_five_looks_are_those_of_the_specification() -> None:
    """One-sided 5 %: 3.91, 2.77, 2.26, 1.96, 1.75, the first one cut off rather than rounded."""
    assert obrien_fleming(5).z == pytest.approx((3.915, 2.768, 2.260, 1.958, 1.751), abs=5e-4)


@pytest.mark.parametrize(
    ("looks", "constant"),
    [(1, 1.960), (2, 1.977), (3, 2.004), (4, 2.024), (5, 2.040), (6, 2.053), (7, 2.063), (8, 2.072), (10, 2.087)],
)
def test_constants_of_jennison_and_turnbull(looks: int, constant: float) -> None:
    """Table 2.3, α = 0.05 two-sided: the last bound of K equal looks."""
    assert obrien_fleming(looks, alpha=0.025).z[-1] == pytest.approx(constant, abs=6e-4)


def test_p_is_that_of_the_multivariate_normal() -> None:
    """P(Z_j·√t_j ≥ c at any look), from the joint distribution of all looks."""
    fractions = (0.3, 0.55, 1.0)
    times = np.array(fractions)
    covariance = np.minimum.outer(times, times) / np.sqrt(np.outer(times, times))
    for z in (0.5, 1.7, 2.5):
        limits = z * np.sqrt(times[1]) / np.sqrt(times)
        stay = stats.multivariate_normal.cdf(limits, cov=covariance, abseps=1e-9, releps=1e-9)
        assert repeated_p(fractions, look=1, z=z) == pytest.approx(1.0 - stay, abs=2e-6)


def test_the_bounds_are_crossed_by_as_many_simulated_motions() -> None:
    rng = np.random.default_rng(20261127)
    bounds = obrien_fleming((0.1, 0.45, 0.7, 1.0), alpha=0.1)
    steps = np.diff([0.0, *bounds.fractions])
    motion = np.cumsum(rng.normal(size=(200_000, 4)) * np.sqrt(steps), axis=1)
    crossed = (motion / np.sqrt(bounds.fractions) >= bounds.z).any(axis=1)
    assert crossed.mean() == pytest.approx(0.1, abs=3e-3)


def test_two_looks_in_closed_form() -> None:
    """P(Z1 ≥ a or Z2 ≥ b) from the bivariate normal with correlation √t."""
    first, second = 1.7 / math.sqrt(0.4), 1.7
    root = math.sqrt(0.4)
    both = stats.multivariate_normal.cdf([first, second], mean=[0, 0], cov=[[1, root], [root, 1]])
    assert repeated_p((0.4, 1.0), look=1, z=1.7) == pytest.approx(1.0 - both, abs=1e-7)


def test_watching_all_the_time_is_the_reflection_principle() -> None:
    """With ever more looks the constant rises towards Φ⁻¹(1 − α/2) and never past it."""
    limit = stats.norm.isf(0.025)
    constants = [obrien_fleming(looks, alpha=0.05).z[-1] for looks in (1, 2, 5, 20, 40)]
    assert constants == sorted(constants)
    # Siegmund's correction for looking at discrete times.
    assert constants[-1] + 0.5826 / math.sqrt(40) == pytest.approx(limit, abs=0.01)
    assert constants[-1] < limit


@given(fractions=FRACTIONS, alpha=ALPHAS)
@settings(max_examples=20, deadline=None)
def test_the_error_over_all_looks_is_alpha(fractions: tuple[float, ...], alpha: float) -> None:
    bounds = obrien_fleming(fractions, alpha=alpha)
    for look, z in enumerate(bounds.z):
        assert repeated_p(fractions, look=look, z=z) == pytest.approx(alpha, rel=1e-6)
    assert bounds.tails == pytest.approx(stats.norm.sf(bounds.z).tolist(), rel=1e-9, abs=1e-300)
    assert max(bounds.tails) <= alpha * (1 + 1e-9)
    assert [z * math.sqrt(t) for z, t in zip(bounds.z, fractions, strict=True)] == pytest.approx(
        [bounds.z[-1]] * len(fractions)
    )


@given(fractions=FRACTIONS, alpha=ALPHAS, data=st.data())
@settings(max_examples=20, deadline=None)
def test_p_values_reject_exactly_where_the_bounds_do(
    fractions: tuple[float, ...], alpha: float, data: st.DataObject
) -> None:
    bounds = obrien_fleming(fractions, alpha=alpha)
    look = data.draw(st.integers(0, len(fractions) - 1))
    beyond = data.draw(st.floats(0.01, 3.0))
    for z, rejected in ((bounds.z[look] + beyond, True), (bounds.z[look] - beyond, False)):
        assert (repeated_p(fractions, look=look, z=z) <= alpha) is rejected


@given(first=st.floats(-4, 6), second=st.floats(-4, 6), look=st.integers(0, 4))
@settings(max_examples=30, deadline=None)
def test_p_values_fall_with_the_statistic(first: float, second: float, look: int) -> None:
    low, high = sorted((first, second))
    fractions = equal_fractions(5)
    assert repeated_p(fractions, look=look, z=high) <= repeated_p(fractions, look=look, z=low) + 1e-12


def test_one_look_is_no_look() -> None:
    assert obrien_fleming(1).z == pytest.approx((1.6448536,))
    assert repeated_p((1.0,), look=0, z=2.0) == pytest.approx(stats.norm.sf(2.0))


@pytest.mark.parametrize("fractions", [(), (0.5,), (0.5, 0.5, 1.0), (0.0, 1.0), (0.6, 0.4, 1.0), (1.2,), (math.nan, 1)])
def test_fractions_that_are_none_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(UndefinedError, match="ascend"):
        obrien_fleming(fractions)


@pytest.mark.parametrize("looks", [0, -1])
def test_no_looks_are_refused(looks: int) -> None:
    with pytest.raises(UndefinedError, match="none"):
        obrien_fleming(looks)


@pytest.mark.parametrize("alpha", [0.0, 0.5, math.nan])
def test_no_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(UndefinedError, match="alpha"):
        obrien_fleming(3, alpha=alpha)


@pytest.mark.parametrize("look", [-1, 5])
def test_looks_that_were_not_planned_have_no_p(look: int) -> None:
    with pytest.raises(UndefinedError, match="no look"):
        repeated_p(equal_fractions(5), look=look, z=1.0)


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(UndefinedError, match="z = nan"):
        repeated_p((1.0,), look=0, z=math.nan)
