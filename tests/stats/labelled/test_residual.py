"""Score bounds against Tango's, Wilson's, a general optimiser, and their own properties."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from llmgate.errors import UndefinedError
from llmgate.stats.labelled.residual import Residuals, score_bounds, score_statistics
from llmgate.stats.proportion import PairedCounts, tango

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmgate.stats.interval import Interval


def bounds(values: NDArray[np.float64], alpha: float = 0.05, **fields: float) -> Interval:
    given_ = {"lowest": -1.0, "highest": 1.0} | fields
    return score_bounds(Residuals(values=values, **given_), alpha=alpha, method="score")


@pytest.mark.parametrize(
    ("fields", "values", "message"),
    [
        ({}, [], "no values"),
        ({}, [0.0, 1.5], "outside"),
        ({"lowest": 0.0}, [-0.5, 0.5], "outside"),
        ({"alpha": 0.5}, [0.0], "alpha"),
    ],
)
def test_what_has_no_bounds(fields: dict[str, float], values: list[float], message: str) -> None:
    with pytest.raises(UndefinedError, match=message):
        bounds(np.array(values), **fields)


@settings(max_examples=40)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 80), st.sampled_from([0.1, 0.05, 0.01]))
def test_of_differences_that_are_right_or_wrong_they_are_tangos(b: int, c: int, same: int, alpha: float) -> None:
    found = bounds(np.array([1.0] * b + [-1.0] * c + [0.0] * same), alpha)
    wanted = tango(PairedCounts(better=b, worse=c, pairs=b + c + same), alpha=alpha)
    assert (found.lower, found.estimate, found.upper) == pytest.approx(
        (wanted.lower, wanted.estimate, wanted.upper), abs=1e-9
    )
    assert found.p_negative == pytest.approx(wanted.p_negative, abs=1e-12)


@pytest.mark.parametrize(("right", "n"), [(7, 20), (50, 50), (0, 30), (99, 100)])
def test_of_rates_they_are_wilsons(right: int, n: int) -> None:
    found = bounds(np.array([1.0] * right + [0.0] * (n - right)), lowest=0.0)
    wanted = stats.binomtest(right, n).proportion_ci(confidence_level=0.9, method="wilson")
    assert (found.lower, found.upper) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


@pytest.mark.parametrize("null", [-0.3, -0.05, 0.1])
def test_the_variance_under_the_null_is_that_of_the_likeliest_distribution(null: float) -> None:
    """Against scipy's general optimiser over all distributions on the values seen and the end of the range."""
    values, counts = np.array([-0.6, -0.1, 0.0, 0.4, 0.9]), np.array([1.0, 4, 20, 6, 4])
    support = np.append(values, -1.0)

    def minus_likelihood(p: NDArray[np.float64]) -> float:
        return -float(counts @ np.log(np.maximum(p[:-1], 1e-12)))

    constraints = [
        {"type": "eq", "fun": lambda p: p.sum() - 1.0},
        {"type": "eq", "fun": lambda p: p @ support - null},
    ]
    start = np.full(6, 1 / 6)
    best = optimize.minimize(
        minus_likelihood, start, bounds=[(1e-9, 1)] * 6, constraints=constraints, options={"ftol": 1e-14}
    )
    variance = float(best.x @ (support - null) ** 2)
    n = counts.sum()
    found = score_statistics(counts, values, np.array(null), lowest=np.array(-1.0), variance=np.array(0.001))
    mean = float(counts @ values / n)
    assert mean > null
    assert float(found) == pytest.approx((mean - null) / math.sqrt(variance / n + 0.001), rel=1e-4)


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from([-1.0, -0.5, -0.25, 0.0, 0.0, 0.0, 0.3, 1.0]), min_size=5, max_size=60),
    st.floats(0, 0.9),
    st.floats(0, 0.01),
)
def test_bounds_and_p_values_agree_and_know_their_place(values: list[float], shift: float, variance: float) -> None:
    given_ = Residuals(values=np.array(values), lowest=-1.6, highest=1.6, shift=shift, variance=variance)
    wide, narrow = (score_bounds(given_, alpha=alpha, method="score") for alpha in (0.01, 0.1))
    assert wide.lower <= narrow.lower <= narrow.estimate <= narrow.upper <= wide.upper
    assert narrow.p_negative is not None
    assert (narrow.p_negative < 0.1 - 1e-9) <= (narrow.upper < 1e-9)
    assert (narrow.upper < -1e-9) <= (narrow.p_negative < 0.1 + 1e-9)
    other = score_bounds(given_.mirrored(), alpha=0.1, method="score")
    assert (other.lower, other.upper) == pytest.approx((-narrow.upper, -narrow.lower), abs=1e-9)


def test_no_null_that_is_kept_lies_below_the_bound() -> None:
    """z falls as the null grows, so that the bound is the only crossing."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        values = rng.choice([-1.4, -0.4, 0.0, 0.0, 0.0, 0.6, 1.0], 40)
        counts, seen = np.ones(40), values
        nulls = np.linspace(-1.59, values.mean(), 200)
        z = score_statistics(
            np.tile(counts, (200, 1)),
            np.tile(seen, (200, 1)),
            nulls,
            lowest=np.full(200, -1.6),
            variance=np.full(200, 2e-4),
        )
        assert np.all(np.diff(z) <= 1e-9)


def test_more_that_is_added_from_elsewhere_makes_them_wider() -> None:
    values = np.array([0.0] * 40 + [-1.0] * 4 + [1.0] * 3)
    narrow, wide = bounds(values), bounds(values, variance=0.001)
    assert wide.lower < narrow.lower
    assert wide.upper > narrow.upper
    moved = bounds(values, shift=0.2)
    assert (moved.lower, moved.upper) == pytest.approx((narrow.lower + 0.2, narrow.upper + 0.2))
