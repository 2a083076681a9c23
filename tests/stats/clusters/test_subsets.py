"""Subset means against an enumeration of their own, and the properties that the theorem asks for."""

from __future__ import annotations

import math
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import UndefinedError
from llmgate.stats.clusters.grouped import ClusterSums
from llmgate.stats.clusters.subsets import (
    EXACT_UP_TO,
    MOST_UNITS,
    least_groups,
    subset_means,
    subsets_of,
    units_of,
)

Data = tuple[list[float], list[float]]


@st.composite
def clusters(draw: st.DrawFn, most: int = 9) -> Data:
    groups = draw(st.integers(1, most))
    sizes = draw(st.lists(st.integers(1, 50), min_size=groups, max_size=groups))
    values = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]) | st.floats(-1, 1)
    means = draw(st.lists(values, min_size=groups, max_size=groups))
    return [mean * size for mean, size in zip(means, sizes, strict=True)], [float(size) for size in sizes]


def enumerated(sums: list[float], sizes: list[float]) -> list[float]:
    """Every subset that is not empty, one by one."""
    everything = range(len(sums))
    subsets = chain.from_iterable(combinations(everything, k) for k in range(1, len(sums) + 1))
    return sorted(math.fsum(sums[i] for i in s) / math.fsum(sizes[i] for i in s) for s in subsets)


def sums_of(data: Data) -> ClusterSums:
    return ClusterSums(sums=np.array(data[0]), sizes=np.array(data[1]))


@given(clusters(), st.floats(0.001, 0.49))
def test_up_to_twelve_clusters_all_subsets_are_taken(data: Data, alpha: float) -> None:
    found, means = subset_means(sums_of(data), alpha=alpha), enumerated(*data)
    n = 2 ** len(data[0])
    assert (found.subsets, found.empty) == (n, 1)
    assert found.means.tolist() == pytest.approx(means, abs=1e-12)
    # P(mean below the r-th) = r/N, as each of the N gaps is as likely.
    r = math.floor(alpha * n)
    assert found.lower(alpha) == pytest.approx(means[r - 1] if r else -math.inf, abs=1e-12)
    assert found.upper(alpha) == pytest.approx(means[-r] if r else math.inf, abs=1e-12)


def test_twelve_clusters_against_the_enumeration() -> None:
    rng = np.random.default_rng(12)
    sizes = rng.integers(1, 60, EXACT_UP_TO).astype(float)
    data = (rng.normal(0, 0.2, EXACT_UP_TO) * sizes).tolist(), sizes.tolist()
    assert subset_means(sums_of(data), alpha=0.05).means.tolist() == pytest.approx(enumerated(*data), abs=1e-12)


@given(clusters(13), st.floats(0.001, 0.49), st.floats(-1, 1))
def test_bounds_and_p_values_agree(data: Data, alpha: float, limit: float) -> None:
    found = subset_means(sums_of(data), alpha=alpha)
    for at in (limit, data[0][0] / data[1][0]):
        assert (found.lower(alpha) - 1e-12 > at) == (found.p_at_most(at) <= alpha)
        assert (found.upper(alpha) + 1e-12 < at) == (found.p_at_least(at) <= alpha)


@given(clusters(15), st.integers(0, 14), st.floats(0, 5), st.floats(0.01, 0.4))
def test_no_bound_falls_where_a_value_rises(data: Data, which: int, more: float, alpha: float) -> None:
    found = subset_means(sums_of(data), alpha=alpha)
    data[0][which % len(data[0])] += more
    raised = subset_means(sums_of(data), alpha=alpha)
    assert raised.lower(alpha) >= found.lower(alpha)
    assert raised.upper(alpha) >= found.upper(alpha)
    assert raised.p_at_least(0.0) >= found.p_at_least(0.0)


@pytest.mark.parametrize("groups", [13, 16, 64, 301, MOST_UNITS])
def test_drawn_subsets_have_each_cluster_half_of_the_time_and_are_the_same_ones_again(groups: int) -> None:
    chosen = subsets_of(groups, alpha=0.05)
    assert chosen.shape == (2_000, math.ceil(groups / 8))
    inside = np.unpackbits(chosen, axis=1, bitorder="little")
    assert not inside[:, groups:].any()
    assert not inside[0].any()
    share = inside[1:, :groups].mean(axis=0)
    # The binomial's 5.5 standard deviations: the subsets are given, so this holds or does not.
    assert np.abs(share - 0.5).max() < 5.5 * 0.5 / math.sqrt(1_999)
    together = np.corrcoef(inside[1:, : min(groups, 40)].T)
    assert np.abs(together - np.eye(len(together))).max() < 5.5 / math.sqrt(1_999)
    assert np.array_equal(chosen, subsets_of(groups, alpha=0.05))
    assert not np.array_equal(chosen, subsets_of(groups, alpha=0.05, seed=1))


def test_smaller_tails_and_finer_p_values_draw_more_subsets_but_not_without_end() -> None:
    assert len(subsets_of(20, alpha=4e-5)) == 50_000
    assert len(subsets_of(20, alpha=1e-9)) == 100_000
    assert len(subsets_of(20, alpha=0.0005)) == 4_000
    assert len(subsets_of(20, alpha=0.05, finer=True)) == 20_000
    far = ClusterSums(sums=np.linspace(5.0, 24.0, 20), sizes=np.full(20, 9.0))
    # A tail that no subset reaches has no bound.
    assert subset_means(far, alpha=1e-9).lower(1e-9) == -math.inf
    assert subset_means(far, alpha=1e-9).upper(1e-9) == math.inf


def test_of_more_clusters_some_are_tied_together() -> None:
    groups = MOST_UNITS + 200
    rng = np.random.default_rng(5)
    sums, sizes = rng.normal(size=groups).astype(np.float64), rng.integers(1, 5, groups).astype(float)
    units = units_of(groups)
    tied = ClusterSums(
        sums=np.bincount(units, weights=sums).astype(np.float64),
        sizes=np.bincount(units, weights=sizes).astype(np.float64),
    )
    one, other = subset_means(ClusterSums(sums=sums, sizes=sizes), alpha=0.05), subset_means(tied, alpha=0.05)
    assert tied.groups == MOST_UNITS
    assert one.means.tolist() == other.means.tolist()


@pytest.mark.parametrize(("alpha", "least"), [(0.25, 2), (0.05, 5), (0.03125, 5), (0.025, 6), (0.01, 7), (3e-4, 12)])
def test_so_many_clusters_it_takes_for_any_decision(alpha: float, least: int) -> None:
    assert least_groups(alpha) == least
    ever_better = ClusterSums(sums=np.linspace(1.0, 9.0, least), sizes=np.ones(least))
    assert subset_means(ever_better, alpha=alpha).lower(alpha) > 0.0
    fewer = ClusterSums(sums=ever_better.sums[1:], sizes=ever_better.sizes[1:])
    assert subset_means(fewer, alpha=alpha).lower(alpha) == -math.inf


def test_the_error_is_exact_for_symmetric_clusters_however_unequal() -> None:
    """5 clusters of very different sizes and spreads: of the 32 gaps each has the mean equally often."""
    rng = np.random.default_rng(3)
    sizes = np.array([1.0, 3.0, 10.0, 40.0, 400.0])
    ranks = np.zeros(32)
    for _ in range(6_400):
        sums = sizes * rng.standard_t(3, 5) * np.array([1.0, 0.1, 5.0, 0.3, 1.0])
        ranks[np.searchsorted(subset_means(ClusterSums(sums=sums, sizes=sizes), alpha=0.05).means, 0.0)] += 1
    assert ranks == pytest.approx(np.full(32, 200.0), abs=5 * math.sqrt(200))


def test_nothing_has_no_subsets() -> None:
    with pytest.raises(UndefinedError, match="no clusters"):
        subsets_of(0, alpha=0.05)
    with pytest.raises(UndefinedError, match="alpha"):
        subsets_of(9, alpha=0.5)
    with pytest.raises(UndefinedError, match="alpha"):
        least_groups(0.0)
