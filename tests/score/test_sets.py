"""Members of a test or set, combined: oracle is the definition, written out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import SuiteError
from llmgate.score.assertion.check import Finding
from llmgate.score.execute import Member, combine


def member(score: float, *, passed: bool | None = None, weight: float = 1.0) -> Member:
    passed = score >= 0.5 if passed is None else passed
    return Member(finding=Finding(passed, score, "why"), weight=weight, name="x")


@pytest.mark.parametrize("threshold", [0, -1, math.nan, -math.inf])
def test_a_threshold_that_all_outputs_reach_is_refused(threshold: float) -> None:
    with pytest.raises(SuiteError, match="cannot fail"):
        combine([member(1)], threshold)


def test_nothing_is_fully_right_and_weight_zero_counts_nothing() -> None:
    assert combine([], None) == Finding(True, 1.0, "all 0 passed")
    assert combine([member(1, weight=0)], None).score == 0.0


MEMBERS = st.lists(
    st.builds(member, st.floats(0, 1), passed=st.booleans(), weight=st.floats(0.01, 100)), min_size=1, max_size=8
)


@given(MEMBERS, st.floats(0.01, 1))
def test_the_mean_lies_between_its_members_and_decides_alone(members: list[Member], threshold: float) -> None:
    scores = [m.finding.score for m in members]
    found = combine(members, threshold)
    assert min(scores) - 1e-12 <= found.score <= max(scores) + 1e-12
    assert found.passed is (found.score >= threshold)
    assert combine(members, None).passed is all(m.finding.passed for m in members)


@given(MEMBERS, st.integers(0, 7))
def test_a_member_that_gets_worse_never_helps(members: list[Member], index: int) -> None:
    i = index % len(members)
    worse = [*members[:i], member(0.0, passed=False, weight=members[i].weight), *members[i + 1 :]]
    assert combine(worse, None).score <= combine(members, None).score + 1e-12
    assert combine(worse, None).passed <= combine(members, None).passed


def test_a_score_above_1_does_not_make_up_for_a_failure() -> None:
    found = combine([member(100.0), member(0.0, passed=False)], 0.9)
    assert (found.passed, found.score) == (False, 0.5)
