"""The order of cases: the same everywhere, clusters whole, every look at a boundary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import make_case

from llmgate.errors import PolicyError
from llmgate.record.looks import LookPlan
from llmgate.record.order import case_order, plan_looks

CLUSTERS = st.lists(st.one_of(st.none(), st.sampled_from("abcdef")), min_size=1, max_size=60)


def test_the_order_is_written_in_stone() -> None:
    """Records of today must read the same on every platform and with every later version."""
    cases = [make_case(f"c{i}") for i in range(8)]
    assert [case.case for case in case_order(cases, seed=0)] == ["c2", "c3", "c4", "c6", "c0", "c7", "c1", "c5"]


@given(clusters=CLUSTERS, seed=st.integers(-5, 5))
def test_clusters_stay_together_and_nothing_gets_lost(clusters: list[str | None], seed: int) -> None:
    cases = [make_case(f"c{i}", cluster=cluster) for i, cluster in enumerate(clusters)]
    order = case_order(cases, seed=seed)
    assert sorted(case.case for case in order) == sorted(case.case for case in cases)
    runs = [case.cluster for i, case in enumerate(order) if i == 0 or case.cluster != order[i - 1].cluster]
    named = [cluster for cluster in runs if cluster is not None]
    assert len(named) == len(set(named))


def test_the_order_does_not_depend_on_how_cases_are_listed() -> None:
    cases = [make_case(f"c{i}", cluster=str(i % 7)) for i in range(40)]
    forward = [case.cluster for case in case_order(cases, seed=3)]
    assert forward == [case.cluster for case in case_order(cases[::-1], seed=3)]
    assert forward != [case.cluster for case in case_order(cases, seed=4)]


@given(clusters=CLUSTERS, looks=st.integers(1, 6))
def test_looks_end_at_whole_clusters(clusters: list[str | None], looks: int) -> None:
    cases = [make_case(f"c{i}", cluster=cluster) for i, cluster in enumerate(clusters)]
    plan = plan_looks(cases, seed=1, fractions=tuple((k + 1) / looks for k in range(looks)))
    assert plan.planned == len(cases)
    assert plan.looks <= looks
    order = case_order(cases, seed=1)
    for size in plan.cases[:-1]:
        before, after = order[size - 1], order[size]
        assert before.cluster is None or before.cluster != after.cluster


def test_looks_are_rounded_up_and_not_past_what_was_meant() -> None:
    cases = [make_case(f"c{i}") for i in range(10)]
    assert plan_looks(cases, seed=0, fractions=(0.2, 0.4, 0.6, 0.8, 1.0)).cases == (2, 4, 6, 8, 10)
    assert plan_looks(cases, seed=0, fractions=(0.25, 1.0)).cases == (3, 10)
    assert plan_looks(cases[:2], seed=0, fractions=(0.2, 0.4, 0.6, 0.8, 1.0)).cases == (1, 2)


@pytest.mark.parametrize("fractions", [(), (0.5,), (0.5, 0.2, 1.0), (0.0, 1.0)])
def test_fractions_that_are_no_plan_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(PolicyError, match="no plan"):
        LookPlan(suite="s", seed=0, fractions=fractions, cases=(1,))


def test_a_plan_of_no_cases_is_refused() -> None:
    with pytest.raises(PolicyError, match="cases at"):
        plan_looks([], seed=0, fractions=(1.0,))
