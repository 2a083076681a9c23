"""Which run comes next. Pure: it follows from the plan and from the runs that were made.

Which arm goes first is drawn for each pair, by a fair coin. So the differences within pairs have signs of their own
whatever disturbs runs in time, and the t test rests on that and on no model of the noise: in A B B A … neighbouring
pairs are correlated where runs are, and a neighbour that comes every four runs hits the same arm for ever
(docs/calibration.md has the figures).

A discarded run takes its partner with it: the pair is made again at once, as a pair, so that its two runs stay
neighbours in time. There are at most as many further attempts as pairs were planned, so that a busy machine ends it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.record.arms import Arm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.arms import ArmRun, ArmsPlan

__all__ = ["Step", "attempts_left", "halves", "next_step", "other", "partners", "planned_order", "steps_left"]

WITH_ITS_PAIR: Final = "made again with its pair: "
INTERRUPTED: Final = "the measurement was interrupted before the other run of the pair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One run to make.

    Attributes:
        pair: The pair that it belongs to.
        attempt: How many runs were discarded before: tells the prompts of one attempt at a pair from those of the next.
        arm: Whose.
        position: Its place among all runs.
    """

    pair: int
    attempt: int
    arm: Arm
    position: int


def other(arm: Arm) -> Arm:
    """The other arm."""
    return "champion" if arm == "candidate" else "candidate"


def planned_order(pairs: int, *, seed: int, champion: bool) -> tuple[Arm, ...]:
    """The arms in the order of the wanted runs.

    Args:
        pairs: Pairs of runs; without a champion, runs.
        seed: Draws which arm is first in each pair.
        champion: Whether there are two arms.
    """
    if not champion:
        alone: tuple[Arm, ...] = ("candidate",)
        return alone * pairs
    draw = random.Random(seed)  # noqa: S311 - an order, no secret
    arms: tuple[Arm, Arm] = ("candidate", "champion")
    order: list[Arm] = []
    for _ in range(pairs):
        first = draw.choice(arms)
        order += [first, other(first)]
    return tuple(order)


def next_step(plan: ArmsPlan, runs: Sequence[ArmRun], *, since: int = 0) -> Step | None:
    """The next run to make.

    Args:
        plan: What is wanted.
        runs: What was made, in order.
        since: How many runs there were when this process began.

    Returns:
        None if every pair is complete, or too many were spoilt.
    """
    if attempts_left(plan, runs, since=since) < 0:
        return None
    kept = {(run.pair, run.arm) for run in runs if not run.discarded}
    for pair, arm in _wanted(plan):
        if (pair, arm) not in kept:
            return Step(pair=pair, attempt=sum(bool(run.discarded) for run in runs), arm=arm, position=len(runs))
    return None


def steps_left(plan: ArmsPlan, runs: Sequence[ArmRun]) -> int:
    """How many runs are still to be made, if none of them is discarded."""
    kept = {(run.pair, run.arm) for run in runs if not run.discarded}
    return sum(wanted not in kept for wanted in _wanted(plan))


def attempts_left(plan: ArmsPlan, runs: Sequence[ArmRun], *, since: int = 0) -> int:
    """How many more attempts may be spoilt; below 0, the comparison stays incomplete.

    Whoever goes on with it later, when the machine is quiet, has as many again: who else used the machine says nothing
    of how fast an arm is, so it biases nothing how often that is waited out.
    """
    return plan.pairs - _spoilt(runs[since:])


def partners(runs: Sequence[ArmRun], pair: int, why: str) -> tuple[ArmRun, ...]:
    """The runs of a pair that counted until its other run was discarded, now discarded too.

    Args:
        runs: What was made before.
        pair: Which pair.
        why: Why the other run is discarded.
    """
    return tuple(
        replace(run, discarded=f"{WITH_ITS_PAIR}{why}") for run in runs if run.pair == pair and not run.discarded
    )


def halves(plan: ArmsPlan, runs: Sequence[ArmRun]) -> tuple[ArmRun, ...]:
    """Runs whose partner was never made because the measurement was interrupted, now discarded: time has passed."""
    if plan.champion is None:
        return ()
    kept = {(run.pair, run.arm) for run in runs if not run.discarded}
    return tuple(
        replace(run, discarded=INTERRUPTED)
        for run in runs
        if not run.discarded and (run.pair, other(run.arm)) not in kept
    )


def _wanted(plan: ArmsPlan) -> list[tuple[int, Arm]]:
    """(pair, arm) of every wanted run, in order."""
    each = 1 if plan.champion is None else 2
    return [(place // each, arm) for place, arm in enumerate(plan.order)]


def _spoilt(runs: Sequence[ArmRun]) -> int:
    """Attempts at a pair that were spoilt: each has one run that was discarded for a reason of its own."""
    return sum(bool(run.discarded) and not run.discarded.startswith(WITH_ITS_PAIR) for run in runs)
