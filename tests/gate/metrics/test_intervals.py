"""The choice of method where the first choice has no answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.gate.evidence.pairing import Errors, Pairs
from llmgate.gate.metrics.intervals import compare, compare_with_minimum
from llmgate.record.scores import texts

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


def test_where_the_cluster_bootstrap_has_no_answer_the_robust_t_takes_over() -> None:
    clusters = tuple("aabbccddeeff")
    differences = [-0.4, -0.4, 0.01, 0.02, 0.03, 0.04, 0.05, 0.02, 0.03, 0.01, 0.02, 0.04]
    found = compare(graded(differences, clusters), margin=0.03, alpha=TINY)
    assert found.interval.method == "cluster-robust t"
    assert not found.passed


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
