"""Special functions for single numbers: as scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special as oracle

from llmgate.stats import special

LEVELS = st.floats(1e-12, 1.0 - 1e-12)
DEGREES = st.integers(1, 200_000)


@given(st.floats(-37.0, 37.0))
def test_the_normal_distribution(x: float) -> None:
    assert special.ndtr(x) == pytest.approx(oracle.ndtr(x), rel=1e-12, abs=0)
    assert special.ndtr_each(np.array([x, -math.inf, math.inf])).tolist() == [special.ndtr(x), 0.0, 1.0]


@given(st.floats(1e-290, 1.0 - 1e-15))
@example(0.05)
@example(0.5)
@example(0.95)
def test_its_quantiles(p: float) -> None:
    assert special.ndtri(p) == pytest.approx(oracle.ndtri(p), rel=1e-12, abs=1e-15)


@given(DEGREES, st.floats(-60.0, 60.0))
@example(1_000_000, -1.96)
@example(1, -1e9)
def test_students_distribution(df: int, t: float) -> None:
    assert special.stdtr(df, t) == pytest.approx(oracle.stdtr(df, t), rel=1e-10, abs=1e-290)


@given(DEGREES, LEVELS)
@example(999_999, 0.95)
@example(1, 0.05)
@example(2, 1e-12)
@example(17, 0.05)
def test_its_quantiles_too(df: int, p: float) -> None:
    assert special.stdtrit(df, p) == pytest.approx(oracle.stdtrit(df, p), rel=1e-9, abs=1e-12)


@given(st.integers(1, 200_000), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
@example(5_000, 0.05, 0.05)
@example(1_000_000, 0.05, 0.0502)
@example(10, 0.3, 0.0)
@example(10, 0.3, 1.0)
def test_the_binomial_distribution(n: int, share: float, p: float) -> None:
    k = math.floor(share * n)
    # At a million trials scipy's own figure is off by 9e-10 (see below).
    assert special.bdtr(k, n, p) == pytest.approx(oracle.bdtr(k, n, p), rel=1e-8, abs=1e-290)
    assert special.bdtr(-1, n, p) == 0.0
    assert special.bdtr(n, n, p) == 1.0


def test_a_million_trials_against_a_sum_with_thirty_digits() -> None:
    """The sum of the probabilities of 38,001 to 50,000 successes by mpmath; fewer weigh nothing."""
    assert special.bdtr(50_000, 1_000_000, 0.0502) == pytest.approx(0.1804828064095754, rel=1e-11)


@given(st.floats(0.0, 1e6), st.floats(0.0, 1.0))
def test_products_with_logarithms(x: float, y: float) -> None:
    assert special.xlogy(x, y) == pytest.approx(float(oracle.xlogy(x, y)), rel=1e-14)
    assert special.xlog1py(x, -y) == pytest.approx(float(oracle.xlog1py(x, -y)), rel=1e-14)


def test_the_ends() -> None:
    assert (special.ndtri(0.0), special.ndtri(1.0)) == (-math.inf, math.inf)
    assert (special.stdtrit(5, 0.0), special.stdtrit(5, 1.0), special.stdtrit(5, 0.5)) == (-math.inf, math.inf, 0.0)
    assert math.isnan(special.ndtri(1.5))
    assert math.isnan(special.ndtri(math.nan))
    assert math.isnan(special.stdtrit(5, math.nan))
    assert math.isnan(special.stdtr(5, math.nan))
    assert (special.stdtr(5, -math.inf), special.stdtr(5, math.inf)) == (0.0, 1.0)


@pytest.mark.parametrize(("df", "t"), [(17, 1.6383560438182505), (26, 1.6690459207925605), (39, 1.689277519114419)])
def test_on_the_border_between_both_fractions_rounding_does_not_send_it_round_for_ever(df: int, t: float) -> None:
    """Clusters of right-or-wrong scores have such statistics: a decision ended in a RecursionError."""
    for near in (t, math.nextafter(t, 0.0), math.nextafter(t, 9.0)):
        assert special.stdtr(float(df), near) == pytest.approx(float(oracle.stdtr(df, near)), abs=1e-13)
