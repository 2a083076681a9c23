"""Percentiles: closed forms, the oracle, and what must not have an answer."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import UndefinedError
from llmgate.stats.quantile import percentile, spread

samples = st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=60)


@pytest.mark.parametrize("values", [(), (math.nan,), (1.0, math.inf), (1.0, -math.inf)])
def test_no_summary_of_nothing_or_of_what_is_not_finite(values: tuple[float, ...]) -> None:
    with pytest.raises(UndefinedError):
        percentile(values, 50)
    with pytest.raises(UndefinedError):
        spread(values)


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan])
def test_no_percentile_outside_0_to_100(percent: float) -> None:
    with pytest.raises(UndefinedError, match="percentile"):
        percentile([1.0, 2.0], percent)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, 10.0), (25, 20.0), (50, 30.0), (90, 46.0), (95, 48.0), (99, 49.6), (100, 50.0)],
)
def test_percentiles_of_five_values_in_closed_form(percent: float, expected: float) -> None:
    # h = 4·percent/100 between the order statistics 10, 20, 30, 40, 50.
    assert percentile([30.0, 10.0, 50.0, 20.0, 40.0], percent) == pytest.approx(expected, abs=1e-12)


def test_spread_in_closed_form() -> None:
    result = spread([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert (result.mean, result.median, result.std) == (5.0, 4.5, 2.0)
    assert result.p50 == result.median
    assert result.p99 == pytest.approx(7 + 0.93 * 2)


def test_one_value_is_every_percentile_and_has_no_deviation() -> None:
    result = spread([3.5])
    assert {result.mean, result.median, result.p50, result.p90, result.p95, result.p99} == {3.5}
    assert result.std == 0.0


@settings(deadline=None)
@given(samples, st.floats(min_value=0, max_value=100))
def test_percentile_agrees_with_the_formula(values: list[float], percent: float) -> None:
    ordered = sorted(values)
    h = (len(values) - 1) * percent / 100
    low = math.floor(h)
    high = min(low + 1, len(values) - 1)
    expected = ordered[low] + (h - low) * (ordered[high] - ordered[low])
    assert percentile(values, percent) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(samples)
def test_spread_is_ordered_bounded_and_blind_to_order(values: list[float]) -> None:
    result = spread(values)
    steps = [min(values), result.p50, result.p90, result.p95, result.p99, max(values)]
    assert all(a <= b + 1e-9 * max(1.0, b) for a, b in itertools.pairwise(steps))
    assert result.std == pytest.approx(statistics.pstdev(values), rel=1e-6, abs=1e-6)
    assert spread(values[::-1]).p99 == pytest.approx(result.p99)
    assert result.mean == pytest.approx(float(np.mean(values)), rel=1e-9, abs=1e-9)
