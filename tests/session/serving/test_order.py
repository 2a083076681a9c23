"""The order of runs of two arms, and what is made again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.serving_runs import make_plan, make_trace

from llmgate.record.arms import ArmRun, ServingArms
from llmgate.session.serving.order import (
    attempts_left,
    halves,
    next_step,
    partners,
    planned_order,
    steps_left,
)

if TYPE_CHECKING:
    from llmgate.record.arms import ArmsPlan
    from llmgate.session.serving.order import Step

TRACE = make_trace()
BUSY = "others used the processors"


def plan_of(pairs: int, *, champion: bool = True, seed: int = 3) -> ArmsPlan:
    plan = make_plan(pairs=pairs)
    order = planned_order(pairs, seed=seed, champion=champion)
    return replace(plan, pairs=pairs, order=order, seed=seed, champion=plan.champion if champion else None)


def made(step: Step, discarded: str = "") -> ArmRun:
    return ArmRun(
        suite="support", position=step.position, pair=step.pair, arm=step.arm, started_at="2026-11-28T20:00:00+00:00",
        trace=TRACE, discarded=discarded,
    )  # fmt: skip


def carry_out(plan: ArmsPlan, busy: set[int]) -> list[ArmRun]:
    """Make runs until nothing is left; those at some places are contended."""
    runs: list[ArmRun] = []
    while (step := next_step(plan, runs)) is not None:
        run = made(step, BUSY if step.position in busy else "")
        for partner in partners(runs, step.pair, run.discarded) if run.discarded else ():
            runs[partner.position] = partner
        runs.append(run)
    return runs


@given(pairs=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_every_pair_has_one_run_of_each_arm_and_the_seed_decides(pairs: int, seed: int) -> None:
    order = planned_order(pairs, seed=seed, champion=True)
    assert all(set(order[2 * k : 2 * k + 2]) == {"candidate", "champion"} for k in range(pairs))
    assert order == planned_order(pairs, seed=seed, champion=True)


def test_which_arm_is_first_is_drawn_for_each_pair_whatever_was_drawn_before() -> None:
    first = [planned_order(8, seed=seed, champion=True)[::2] for seed in range(400)]
    for pair in range(8):
        assert 0.4 < sum(order[pair] == "champion" for order in first) / len(first) < 0.6
    for pair in range(7):
        assert 0.4 < sum(order[pair] == order[pair + 1] for order in first) / len(first) < 0.6


def test_without_a_champion_there_are_runs_of_the_candidate_alone() -> None:
    plan = plan_of(6, champion=False)
    runs = carry_out(plan, busy={2})
    assert [(run.pair, bool(run.discarded)) for run in runs] == [
        (0, False), (1, False), (2, True), (2, False), (3, False), (4, False), (5, False),
    ]  # fmt: skip


def test_quiet_runs_follow_the_plan() -> None:
    plan = plan_of(6)
    runs = carry_out(plan, busy=set())
    assert tuple(run.arm for run in runs) == plan.order
    assert [run.pair for run in runs] == [k // 2 for k in range(12)]
    assert steps_left(plan, runs) == 0


def test_a_contended_second_run_takes_its_partner_with_it_and_the_pair_follows_at_once() -> None:
    plan = plan_of(6)
    runs = carry_out(plan, busy={3})
    assert [run.pair for run in runs[:6]] == [0, 0, 1, 1, 1, 1]
    assert [bool(run.discarded) for run in runs[:6]] == [False, False, True, True, False, False]
    assert runs[2].discarded == f"made again with its pair: {BUSY}"
    assert runs[3].discarded == BUSY
    assert [run.arm for run in runs[4:6]] == [run.arm for run in runs[2:4]]
    assert all(None not in pair for pair in ServingArms(plan=plan, runs=tuple(runs)).pairs())


def test_a_contended_first_run_ends_its_attempt() -> None:
    runs = carry_out(plan_of(6), busy={2})
    assert [run.pair for run in runs[:6]] == [0, 0, 1, 1, 1, 2]


def test_both_runs_of_an_attempt_have_prompts_that_no_other_attempt_has() -> None:
    plan, runs, seen = plan_of(6), list[ArmRun](), dict[tuple[int, int], list[str]]()
    while (step := next_step(plan, runs)) is not None:
        seen.setdefault((step.pair, step.attempt), []).append(step.arm)
        run = made(step, BUSY if step.position in {1, 5, 8} else "")
        for partner in partners(runs, step.pair, run.discarded) if run.discarded else ():
            runs[partner.position] = partner
        runs.append(run)
    counted = {(run.pair, run.arm) for run in runs if not run.discarded}
    assert len(counted) == 12
    assert all(len(arms) == len(set(arms)) for arms in seen.values())


@pytest.mark.parametrize("pairs", [1, 6])
def test_a_machine_that_is_always_busy_is_given_up_with_the_comparison_incomplete(pairs: int) -> None:
    plan = plan_of(pairs)
    runs = carry_out(plan, busy=set(range(1000)))
    assert len(runs) == pairs + 1
    assert attempts_left(plan, runs) < 0
    assert steps_left(plan, runs) == 2 * pairs
    assert not any(all(pair) for pair in ServingArms(plan=plan, runs=tuple(runs)).pairs())


def test_whoever_goes_on_later_has_as_many_attempts_again() -> None:
    plan = plan_of(6)
    runs = carry_out(plan, busy=set(range(1000)))
    assert next_step(plan, runs) is None
    step = next_step(plan, runs, since=len(runs))
    assert step is not None
    assert (step.pair, step.position) == (0, 7)
    assert attempts_left(plan, runs, since=len(runs)) == 6


@given(pairs=st.integers(1, 8), seed=st.integers(0, 99), busy=st.sets(st.integers(0, 40)))
def test_whatever_is_discarded_kept_pairs_are_neighbours_and_attempts_are_bounded(
    pairs: int, seed: int, busy: set[int]
) -> None:
    plan = plan_of(pairs, seed=seed)
    runs = carry_out(plan, busy)
    assert len(runs) <= 2 * (2 * pairs + 1)
    for candidate, champion in ServingArms(plan=plan, runs=tuple(runs)).pairs():
        if candidate is not None and champion is not None:
            assert abs(candidate.position - champion.position) == 1
            assert not candidate.discarded
            assert not champion.discarded
    complete = steps_left(plan, runs) == 0
    assert complete or attempts_left(plan, runs) < 0


def test_half_a_pair_of_an_interrupted_measurement_is_made_again() -> None:
    plan = plan_of(6)
    runs = carry_out(plan, busy=set())[:5]
    half = halves(plan, runs)
    assert [run.position for run in half] == [4]
    assert "interrupted" in half[0].discarded
    runs[4] = half[0]
    step = next_step(plan, runs)
    assert step is not None
    assert (step.pair, step.arm, step.position) == (2, plan.order[4], 5)
    assert halves(plan_of(6, champion=False), runs) == ()
