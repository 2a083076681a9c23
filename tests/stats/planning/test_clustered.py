"""What the cluster rule costs, against the rule itself on simulated clusters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.stats.planning.clustered import decides, effective_clusters, rule_alpha
from llmgate.stats.planning.rules import TRule


def lower_bounds(sums: np.ndarray, size: float, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """The outermost of random subsets, cluster-robust t and Hall's t, of equal clusters: an independent writing."""
    groups = sums.shape[1]
    if groups <= 12:
        subsets = (np.arange(2**groups)[:, None] >> np.arange(groups) & 1).astype(float)
    else:
        subsets = np.vstack([np.zeros(groups), rng.random((1_999, groups)) < 0.5]).astype(float)
    counts = subsets.sum(axis=1)
    means = subsets[counts > 0] @ sums.T / (counts[counts > 0, None] * size)
    rank = math.floor(alpha * len(subsets)) - int((counts == 0).sum())
    hartigan = np.partition(means, rank, axis=0)[rank]
    mean = sums.mean(axis=1) / size
    errors = sums - sums.mean(axis=1, keepdims=True)
    squares = (errors**2).sum(axis=1)
    se = np.sqrt(groups / (groups - 1) * squares) / (groups * size)
    skew = (errors**3).sum(axis=1) / squares**1.5
    t = stats.t.ppf(1 - alpha, groups - 1)
    hall = 3 / skew * (np.cbrt(1 + skew * (t - skew / 6)) - 1)
    return np.asarray(np.min([hartigan, mean - t * se, mean - hall * se], axis=0))


@pytest.mark.parametrize(("groups", "alpha"), [(8, 0.05), (12, 0.05), (18, 0.025), (40, 0.05)])
def test_the_promise_is_kept(groups: int, alpha: float) -> None:
    rng = np.random.default_rng(18)
    size, runs = 10.0, 1_500
    lower = lower_bounds(rng.normal(size=(runs, groups)), size, alpha, rng)
    for distance in (2.0, 3.0):
        margin = distance / (size * math.sqrt(groups))
        rule = TRule(
            variance=1 / size, pairs=int(size * groups), df=groups - 1, alpha=alpha, bounded=False, clusters=groups
        )
        promised = rule.chances(delta=0.0, margin=margin).passed
        found = float((lower > -margin).mean())
        # Four standard errors of the simulation; the promise may be up to 4 points too low.
        room = 4 * math.sqrt(0.25 / runs)
        assert promised - room <= found <= promised + 0.06 + room


def test_too_few_clusters_decide_nothing() -> None:
    assert [decides(g, alpha=0.05) for g in (4, 5)] == [False, True]
    assert [decides(g, alpha=0.025) for g in (5, 6)] == [False, True]
    assert [decides(g, alpha=0.01) for g in (6, 7)] == [False, True]
    rule = TRule(variance=0.01, pairs=1000, df=3, alpha=0.05, clusters=4)
    chances = rule.chances(delta=0.0, margin=0.5)
    assert (chances.passed, chances.failed) == (0.0, 0.0)


@given(st.floats(1, 500), st.floats(1, 500), st.floats(0.001, 0.2))
def test_more_clusters_cost_less_and_none_cost_nothing(one: float, other: float, alpha: float) -> None:
    few, many = sorted((one, other))
    assert 0 < rule_alpha(few, alpha=alpha) <= rule_alpha(many, alpha=alpha) < alpha


def test_alpha_must_be_one() -> None:
    with pytest.raises(UndefinedError):
        rule_alpha(10, alpha=0.0)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_unequal_clusters_tell_as_much_as_fewer(sizes: list[int]) -> None:
    effective = effective_clusters(sizes)
    assert 1 - 1e-9 <= effective <= len(sizes) + 1e-9
    assert effective_clusters([7] * len(sizes)) == pytest.approx(len(sizes))


def test_nothing_tells_nothing() -> None:
    assert effective_clusters([]) == 0.0
