"""Hall's transformation against its own equation, solved by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from llmgate.stats.clusters.skewed import most_reach, reach, skewness, transformed

T = st.floats(0.02, 60.0)
KAPPA = st.floats(-1.0, 1.0)


def hall(statistic: float, gamma: float, n: int) -> float:
    """Hall (1992), his g for n observations with skewness γ."""
    scaled = gamma / math.sqrt(n)
    return statistic + scaled * statistic**2 / 3.0 + scaled**2 * statistic**3 / 27.0 + gamma / (6.0 * math.sqrt(n))


@given(T, KAPPA)
def test_the_reach_solves_halls_equation(t: float, kappa: float) -> None:
    found = optimize.brentq(lambda x: hall(x, kappa * 5.0, 25) - t, -1e4, 1e4, xtol=1e-13, rtol=1e-13)
    # Where g is flat (κT near −3) its inverse loses half of the digits, in either way of solving it.
    assert transformed(reach(t, kappa), kappa) == pytest.approx(t, rel=1e-9, abs=1e-9)
    if abs(1.0 + kappa * found / 3.0) > 0.01:
        assert reach(t, kappa) == pytest.approx(found, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("kappa", [0.0, 1e-300, 1e-12, -1e-9])
def test_without_skewness_it_is_students(kappa: float) -> None:
    assert reach(1.7, kappa) == pytest.approx(1.7, rel=1e-8)
    assert transformed(1.7, kappa) == pytest.approx(1.7, rel=1e-8)


@given(T, KAPPA, st.floats(0.0, 2.0))
def test_no_larger_skewness_reaches_farther_than_is_given(t: float, least: float, more: float) -> None:
    assert reach(t, min(1.0, least + more)) <= most_reach(t, least) + 1e-12


def test_for_moderate_skewness_the_most_is_what_the_least_gives() -> None:
    assert most_reach(1.7, -0.3) == reach(1.7, -0.3)
    assert most_reach(1.7, 0.3) == reach(1.7, 0.3)
    assert reach(1.7, -1.0) < most_reach(1.7, -1.0) < 1.3 * reach(1.7, -1.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_kappa_is_the_skewness_over_root_n(values: list[float]) -> None:
    x = np.array(values)
    residuals = x - x.mean()
    if np.abs(residuals).max() <= max(1e-6 * np.abs(x).max(), 1e-90):
        return
    assert skewness(residuals) == pytest.approx(stats.skew(x) / math.sqrt(len(x)), abs=1e-6)
    assert abs(skewness(x)) <= 1.0


def test_kappa_of_nothing_and_of_tiny_and_huge_numbers() -> None:
    assert skewness(np.zeros(4)) == 0.0
    one = np.array([1.0, 0.0, 0.0])
    for scale in (1e-200, 1.0, 1e200):
        assert skewness(scale * one) == pytest.approx(1.0)
        assert skewness(-scale * one) == pytest.approx(-1.0)
