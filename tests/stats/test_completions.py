"""Bounds over all completions: against every corner, and against points within."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmgate.errors import UndefinedError
from llmgate.stats.clusters.rule import cluster_interval
from llmgate.stats.completions import Completions
from llmgate.stats.paired import skew_error, t_interval
from llmgate.stats.proportion import PairedCounts, clopper_pearson, tango
from llmgate.stats.unseen import widen_for_unseen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from llmgate.stats.interval import Interval

    Values = NDArray[np.float64]

SCORES = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0.0, 1.0)


@st.composite
def incomplete(draw: st.DrawFn) -> Completions:
    """Differences of which up to six are unknown on one side or both, with clusters or without."""
    n = draw(st.integers(4, 40))
    ours, theirs = (np.array(draw(st.lists(SCORES, min_size=n, max_size=n))) for _ in range(2))
    low, high = ours - theirs, ours - theirs
    for at in draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6, unique=True)):
        side = draw(st.sampled_from(["candidate", "champion", "both"]))
        low[at] = (0.0 if side != "champion" else ours[at]) - (1.0 if side != "candidate" else theirs[at])
        high[at] = (1.0 if side != "champion" else ours[at]) - (0.0 if side != "candidate" else theirs[at])
    clusters = draw(st.none() | st.lists(st.integers(0, n // 2), min_size=n, max_size=n))
    return Completions(lowest=low, highest=high, clusters=None if clusters is None else np.array(clusters))


def completed(ends: Completions, shares: Values) -> Iterator[Values]:
    """Every corner, and a point within."""
    missing = np.flatnonzero(ends.lowest != ends.highest)
    for corner in product((0.0, 1.0), repeat=len(missing)):
        yield placed(ends, missing, np.array(corner))
    yield placed(ends, missing, shares[: len(missing)])


def placed(ends: Completions, missing: NDArray[np.int64], shares: Values) -> Values:
    values = ends.lowest.copy()
    values[missing] += shares * (ends.highest - ends.lowest)[missing]
    return values


def interval_of(values: Values, ends: Completions, alpha: float) -> Interval:
    interval = None
    if not np.all(values == values[0]):
        interval = (
            t_interval(values, alpha=alpha)
            if ends.clusters is None
            else cluster_interval(values, ends.clusters, alpha=alpha)
        )
    return widen_for_unseen(values, interval, alpha=alpha, floor=-1.0, ceiling=1.0)


@given(ends=incomplete(), shares=st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6), alpha=st.floats(0.001, 0.4))
def test_no_completion_has_a_lower_bound_or_a_smaller_p_value_than_the_one_that_is_given(
    ends: Completions, shares: list[float], alpha: float
) -> None:
    assume(ends.groups > 1)
    lower = ends.least_lower(alpha=alpha, floor=-1.0)
    student, method_free = (ends.least_p(ceiling=1.0, student=student) for student in (True, False))
    assert method_free <= student
    for values in completed(ends, np.array(shares)):
        try:
            found = interval_of(values, ends, alpha)
        except UndefinedError:
            # Too few clusters, or all have the same mean, and another method is taken.
            assert not ends.decidable(alpha=alpha)
            continue
        assert found.lower >= lower
        assert found.p_negative is not None
        assert found.p_negative >= student - 1e-12


@given(ends=incomplete(), shares=st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6), alpha=st.floats(0.001, 0.4))
def test_no_completion_is_more_skewed_than_is_given(ends: Completions, shares: list[float], alpha: float) -> None:
    most = ends.most_skew_error(alpha=alpha)
    for values in completed(ends, np.array(shares)):
        if not np.all(values == values[0]):
            assert skew_error(values, alpha=alpha) <= most


def test_the_worst_mean_need_not_be_the_worst_bound() -> None:
    zeros = np.zeros(60)
    ends = Completions(lowest=zeros, highest=np.append(zeros[1:], 1.0))
    least, gained = interval_of(zeros, ends, 0.05), interval_of(ends.highest, ends, 0.05)
    assert ends.least_lower(alpha=0.05, floor=-1.0) <= min(least.lower, gained.lower)


def test_unequal_clusters_are_bounded_around_the_mean_and_not_around_what_fits_their_sums_best() -> None:
    sums = np.array([-0.4, 0.3, -0.5, 0.2] + [0.0] * 4 + [0.6] + [0.0] * 2 + [-0.2])
    codes = np.array([0] * 5 + [1] * 2 + [2] + [3] * 3 + [4])
    ends = Completions(lowest=sums, highest=sums, clusters=codes)
    assert ends.least_lower(alpha=0.05, floor=-1.0) == pytest.approx(interval_of(sums, ends, 0.05).lower, abs=1e-9)


def test_without_missing_values_the_bounds_are_those_of_the_interval() -> None:
    values = np.random.default_rng(5).uniform(-0.3, 0.25, 200)
    ends = Completions(lowest=values, highest=values)
    found = interval_of(values, ends, 0.05)
    assert ends.least_lower(alpha=0.05, floor=-1.0) == pytest.approx(found.lower, abs=1e-9)
    assert ends.least_p(ceiling=1.0, student=True) == pytest.approx(found.p_negative, rel=1e-6)
    assert ends.most_skew_error(alpha=0.05) == pytest.approx(skew_error(values, alpha=0.05), rel=1e-6)


@pytest.mark.parametrize("groups", [5, 11, 40, 600])
@pytest.mark.parametrize("power", [1, 3])
def test_without_missing_values_the_bound_of_clusters_is_theirs(groups: int, power: int) -> None:
    rng = np.random.default_rng([groups, power])
    codes = np.concatenate([np.arange(groups), rng.integers(0, groups, 3 * groups)])
    for sign in (-1.0, 1.0):
        values = sign * 0.9 * rng.random(groups)[codes] ** power * rng.random(len(codes))
        ends = Completions(lowest=values, highest=values, clusters=codes)
        assert ends.decidable(alpha=0.05)
        found = interval_of(values, ends, 0.05)
        assert ends.least_lower(alpha=0.05, floor=-1.0) == pytest.approx(found.lower, abs=1e-9)
        assert ends.least_p(ceiling=1.0, student=True) <= (found.p_negative or 0.0)


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.2, 0.45])
def test_tangos_bound_never_falls_with_a_pair_that_is_better_nor_rises_with_one_that_is_worse(alpha: float) -> None:
    for n in (1, 2, 3, 7, 13):
        bounds = {
            (b, c): tango(PairedCounts(better=b, worse=c, pairs=n), alpha=alpha)
            for b in range(n + 1)
            for c in range(n + 1 - b)
        }
        for (b, c), found in bounds.items():
            for other in ((b - 1, c), (b, c + 1), (b - 1, c + 1)):
                worse = bounds.get(other)
                if worse is not None:
                    assert worse.lower <= found.lower + 1e-12
                    assert (worse.p_negative or 0.0) <= (found.p_negative or 0.0) + 1e-12


@given(b=st.integers(0, 300), c=st.integers(0, 300), same=st.integers(1, 2000), alpha=st.floats(1e-5, 0.49))
def test_so_it_is_for_large_numbers(b: int, c: int, same: int, alpha: float) -> None:
    found = tango(PairedCounts(better=b, worse=c, pairs=b + c + same), alpha=alpha)
    worse = tango(PairedCounts(better=b, worse=c + 1, pairs=b + c + same), alpha=alpha)
    better = tango(PairedCounts(better=b + 1, worse=c, pairs=b + c + same), alpha=alpha)
    assert worse.lower <= found.lower + 1e-12 <= better.lower + 2e-12


@pytest.mark.parametrize("n", [1, 5, 60])
def test_clopper_and_pearsons_bound_rises_with_what_is_right(n: int) -> None:
    bounds = [clopper_pearson(right, n, alpha=0.05).lower for right in range(n + 1)]
    assert bounds == sorted(bounds)
