"""The choice of method where the first choice has no answer."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.gate.evidence.pairing import Errors, Pairs
from llmgate.gate.metrics.intervals import compare, compare_with_minimum
from llmgate.record.scores import texts
from llmgate.stats.clusters.rule import METHOD, cluster_interval

TINY = 1e-7
"""So small an alpha asks the bootstrap for a percentile that its correction cannot give."""


def graded(differences: list[float], clusters: tuple[str, ...] | None = None) -> Pairs:
    return Pairs(
        item_ids=texts([str(i) for i in range(len(differences))]),
        candidate=0.5 + np.array(differences),
        champion=np.full(len(differences), 0.5),
        clusters=None if clusters is None else np.unique(clusters, return_inverse=True)[1],
        expected=len(differences),
        errors=Errors(),
        slices={},
    )


def test_without_a_champion_there_is_no_comparison() -> None:
    lonely = Pairs(
        item_ids=texts(["a"]), candidate=np.array([1.0]), champion=None, clusters=None, expected=1, errors=Errors(), slices={}
    )  # fmt: skip
    with pytest.raises(UndefinedError, match="no champion"):
        compare(lonely, margin=0.03, alpha=0.05)


def test_without_a_case_there_is_no_estimate() -> None:
    nothing = Pairs(
        item_ids=texts([]), candidate=np.array([]), champion=np.array([]), clusters=None, expected=0, errors=Errors(), slices={}
    )  # fmt: skip
    with pytest.raises(UndefinedError):
        compare(nothing, margin=0.03, alpha=0.05)
    with pytest.raises(UndefinedError):
        compare_with_minimum(nothing, minimum=0.5, alpha=0.05)


def test_where_the_bootstrap_has_no_answer_t_takes_over() -> None:
    found = compare(graded([-0.4, 0.01, 0.02, 0.03, 0.04, 0.05]), margin=0.03, alpha=TINY)
    assert found.interval.method == "paired t"
    assert not found.passed


SIX_CLUSTERS = tuple("aabbccddeeff")
LOST = [-0.4, -0.4, 0.01, 0.02, 0.03, 0.04, 0.05, 0.02, 0.03, 0.01, 0.02, 0.04]


@pytest.mark.parametrize("alpha", [TINY, 4e-5, 0.01])
def test_clusters_that_are_too_few_for_alpha_are_refused_and_say_how_many_it_takes(alpha: float) -> None:
    least = math.ceil(-math.log2(alpha))
    with pytest.raises(UndefinedError, match=f"6 clusters, which are too few to decide: .* it takes {least}"):
        compare(graded(LOST, SIX_CLUSTERS), margin=0.9, alpha=alpha)
    # Nor do they where all differences are equal.
    with pytest.raises(UndefinedError, match="too few"):
        compare(graded([0.1] * 12, SIX_CLUSTERS), margin=0.9, alpha=alpha)


def test_clusters_take_their_own_rule_within_the_range_of_scores() -> None:
    found = compare(graded(LOST, SIX_CLUSTERS), margin=0.03, alpha=0.03)
    assert found.interval.method == METHOD
    assert -1.0 <= found.interval.lower < -0.4
    assert not found.passed
    assert found.interval.upper <= 1.0


def test_where_the_mean_lies_on_the_margin_rounding_does_not_pass_it() -> None:
    """Ten clusters of ten that all lose 3 of 10: every subset has exactly the mean of the margin, but for one digit."""
    clusters = tuple(f"k{i // 10}" for i in range(100))
    lost = [-1.0, -1.0, -1.0, *([0.0] * 7)] * 9 + [-0.999, -1.0, -1.0, *([0.0] * 7)]
    found = compare(graded_at(lost, clusters), margin=0.3, alpha=0.05)
    assert not found.passed
    assert found.interval.lower <= -0.3


def graded_at(differences: list[float], clusters: tuple[str, ...]) -> Pairs:
    pairs = graded(differences, clusters)
    return replace(pairs, candidate=1.0 + np.array(differences), champion=np.ones(len(differences)))


def test_a_minimum_of_clusters_is_held_against_their_bound() -> None:
    rng = np.random.default_rng(4)
    keys = np.arange(1_000) // 100
    scores = rng.uniform(0.6, 0.9, 10)[keys] + rng.uniform(-0.1, 0.1, 1_000)
    pairs = replace(graded([0.0] * 1_000), candidate=scores, champion=None, clusters=keys)
    found = compare_with_minimum(pairs, minimum=0.6, alpha=0.05)
    wanted = cluster_interval(scores, keys, alpha=0.05, floor=0.0)
    assert found.passed
    assert found.interval.lower == pytest.approx(wanted.lower)
    assert found.interval.upper == pytest.approx(wanted.upper)
    assert compare_with_minimum(pairs, minimum=wanted.lower + 1e-6, alpha=0.05).passed is False


@pytest.mark.parametrize("cases", [60, 400])
def test_a_graded_minimum_is_a_t_test_against_it(cases: int) -> None:
    scores = np.random.default_rng(cases).uniform(0.6, 0.9, cases)
    pairs = Pairs(
        item_ids=texts([str(i) for i in range(cases)]), candidate=scores, champion=None, clusters=None, expected=cases,
        errors=Errors(), slices={},
    )  # fmt: skip
    found = compare_with_minimum(pairs, minimum=0.76, alpha=0.05)
    assert found.p == pytest.approx(stats.ttest_1samp(scores, 0.76, alternative="less").pvalue)
    low, high = stats.ttest_1samp(scores, 0.76).confidence_interval(0.9)
    # What may have stayed unseen only ever widens.
    assert found.interval.lower <= low + 1e-12
    assert found.interval.upper >= high - 1e-12


def test_the_seed_belongs_to_the_data() -> None:
    one, two = graded([0.1, 0.2]), graded([0.1, 0.3])
    assert one.seed == graded([0.1, 0.2]).seed
    assert one.seed != two.seed
    assert one.seed != graded([0.1, 0.2], ("a", "a")).seed
