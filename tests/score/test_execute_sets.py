"""Members of a test or set, combined: oracle is the definition, written out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import SuiteError
from llmgate.score.assertion.check import Finding
from llmgate.score.execute import combine
from llmgate.suite.asserts import AssertSpec

Member = tuple[AssertSpec, Finding]


def combined(members: list[Member], threshold: float | None) -> Finding:
    return combine([spec for spec, _ in members], [finding for _, finding in members], threshold)


def member(score: float, *, passed: bool | None = None, weight: float = 1.0) -> Member:
    passed = score >= 0.5 if passed is None else passed
    return AssertSpec(type="x", weight=weight), Finding(passed, score, "why")


@pytest.mark.parametrize("threshold", [0, -1, math.nan, -math.inf])
def test_a_threshold_that_all_outputs_reach_is_refused(threshold: float) -> None:
    with pytest.raises(SuiteError, match="cannot fail"):
        combined([member(1)], threshold)


def test_nothing_is_fully_right_and_weight_zero_counts_nothing() -> None:
    assert combined([], None) == Finding(True, 1.0, "all 0 passed")
    assert combined([member(1, weight=0)], None).score == 0.0


MEMBERS = st.lists(
    st.builds(member, st.floats(0, 1), passed=st.booleans(), weight=st.floats(0.01, 100)), min_size=1, max_size=8
)


@given(MEMBERS, st.floats(0.01, 1))
def test_the_mean_lies_between_its_members_and_decides_alone(members: list[Member], threshold: float) -> None:
    scores = [finding.score for _, finding in members]
    found = combined(members, threshold)
    assert min(scores) - 1e-12 <= found.score <= max(scores) + 1e-12
    assert found.passed is (found.score >= threshold)
    assert combined(members, None).passed is all(finding.passed for _, finding in members)


@given(MEMBERS, st.integers(0, 7))
def test_a_member_that_gets_worse_never_helps(members: list[Member], index: int) -> None:
    i = index % len(members)
    worse = [*members[:i], member(0.0, passed=False, weight=members[i][0].weight), *members[i + 1 :]]
    assert combined(worse, None).score <= combined(members, None).score + 1e-12
    assert combined(worse, None).passed <= combined(members, None).passed


def test_a_score_above_1_does_not_make_up_for_a_failure() -> None:
    found = combined([member(100.0), member(0.0, passed=False)], 0.9)
    assert (found.passed, found.score) == (False, 0.5)
