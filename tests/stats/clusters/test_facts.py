"""What is said of clusters before any value is seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import UndefinedError
from llmgate.stats.clusters.facts import facts_of


def test_equal_clusters_weigh_as_many_as_they_are() -> None:
    found = facts_of(np.arange(400) // 10, alpha=0.05)
    assert found.groups == 40
    assert (found.effective, found.largest_share) == pytest.approx((40.0, 0.025))
    # 0.95 of 40 draws without a kind that is so frequent.
    assert (1.0 - found.unseen) ** 40 == pytest.approx(0.05)
    assert not found.few


def test_one_cluster_with_half_of_the_cases_leaves_hardly_four() -> None:
    found = facts_of(["big"] * 400 + [f"k{i // 10}" for i in range(400)], alpha=0.05)
    assert found.groups == 41
    assert found.largest_share == 0.5
    assert found.effective == pytest.approx(1.0 / (0.25 + 40 * (10 / 800) ** 2))
    assert found.few


def test_eighteen_clusters_may_lack_a_kind_of_fifteen_percent() -> None:
    assert facts_of(list(range(18)), alpha=0.05).unseen == pytest.approx(0.153, abs=1e-3)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_the_effective_number_lies_between_the_reciprocal_of_the_largest_share_and_the_number(keys: list[int]) -> None:
    found = facts_of(keys, alpha=0.05)
    assert found.groups == len(set(keys))
    assert 1.0 / found.largest_share - 1e-9 <= found.effective <= found.groups + 1e-9
    assert 0.0 < found.unseen < 1.0


def test_no_cases_have_no_clusters() -> None:
    with pytest.raises(UndefinedError, match="no cases"):
        facts_of([], alpha=0.05)
