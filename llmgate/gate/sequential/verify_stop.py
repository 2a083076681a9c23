"""What a record says about its looks, held against itself: only a stop that its own plan explains leaves cases unasked.

A stop is believed if the answers are exactly the first cases of the recorded order, up to a planned look, and the
decision at that look, taken anew, needs no others. All else that was planned and never asked is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from llmgate.errors import PolicyError
from llmgate.gate.attempts.counting import attempts_of
from llmgate.gate.decision.look_types import LookBounds, LookDecision
from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.wording import count, verb
from llmgate.gate.evidence.comparable import check_comparable
from llmgate.gate.evidence.gather import feeds, gather
from llmgate.gate.evidence.pairing import Matches
from llmgate.gate.metrics.judge_bars import require_admission
from llmgate.gate.metrics.look import LookPoint, look_point
from llmgate.gate.sequential.stopping_rule import run_test_at, settled
from llmgate.record.looks import LookPlan, Stop
from llmgate.record.order import case_order, plan_looks
from llmgate.record.schema import Seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.metrics.metric import MetricTest
    from llmgate.record.policy import Policy
    from llmgate.record.schema import PlannedCase, Record

__all__ = ["SuiteLook", "confirm", "look_at", "looks_of", "reason_to_stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteLook:
    """The look at which a suite is decided.

    Attributes:
        plan: When looks were planned.
        look: Which one it is, counted from 1; the last one unless the run stopped.
        asked: Ids of the cases that it sees.
        saved: Generations beyond it.
        points: Where each metric stands; None where the look sees none of its cases.
        stop: What ended the run here; None if nothing did, or if the record contradicts it.
    """

    plan: LookPlan
    look: int
    asked: frozenset[str]
    saved: int
    points: Mapping[str, LookPoint | None]
    stop: Stop | None = None


def look_at(plan: LookPlan, cases: Sequence[PlannedCase], policy: Policy, *, look: int) -> SuiteLook:
    """A look of a suite.

    Args:
        plan: When looks are planned.
        cases: All cases of the suite.
        policy: Its metrics.
        look: Which one, counted from 1.
    """
    order = case_order(cases, seed=plan.seed)
    points = {}
    for metric in policy.metrics:
        if metric.suite == plan.suite:
            fed = [feeds(case, metric) for case in order]
            points[metric.metric] = look_point([sum(fed[:size]) for size in plan.cases], look=look)
    size = plan.cases[look - 1]
    return SuiteLook(
        plan=plan,
        look=look,
        asked=frozenset(case.case for case in order[:size]),
        saved=sum(case.repeats for case in order[size:]),
        points=points,
    )


def looks_of(record: Record, policy: Policy) -> tuple[Mapping[str, SuiteLook], tuple[Problem, ...]]:
    """The look at which each suite with a plan of looks is decided, and what contradicts that.

    Args:
        record: The candidate's record.
        policy: What is gated.
    """
    looks: dict[str, SuiteLook] = {}
    problems = []
    stops = {} if record.seal is None else {stop.suite: stop for stop in record.seal.stops}
    for plan in record.manifest.looks:
        cases = [case for case in record.cases if case.suite == plan.suite]
        stop = stops.pop(plan.suite, None)
        what = _contradiction(record, plan, cases, stop)
        if what:
            problems.append(Problem(where=plan.suite, what=what, fix="Run the suite anew"))
        number = min(stop.look, plan.looks) if stop and stop.look >= 1 else plan.looks
        if not cases or plan.cases[-1] != len(cases):
            continue
        seen = look_at(plan, cases, policy, look=number)
        looks[plan.suite] = replace(seen, stop=None if what else stop)
    problems += [
        Problem(where=suite, what="the record says that it stopped, and had planned no looks", fix="Run the suite anew")
        for suite in sorted(stops)
    ]
    return looks, tuple(problems)


def confirm(
    tests: Sequence[MetricTest], looks: Mapping[str, SuiteLook], policy: Policy, *, champion: bool
) -> tuple[list[MetricTest], tuple[LookDecision, ...]]:
    """Hold every stop against what the data at its look decide; where they do not, what was never asked is missing.

    Args:
        tests: All metrics.
        looks: By suite.
        policy: What is gated.
        champion: Whether there is one.

    Returns:
        The metrics, with a problem where a stop is not confirmed, and the looks for the decision.
    """
    decisions = []
    confirmed = list(tests)
    for suite, look in sorted(looks.items()):
        own = [test for test in tests if test.policy.suite == suite]
        reason = settled(own, policy, champion=champion) if look.stop else ""
        if look.stop and not reason:
            confirmed = [_unconfirmed(test, look) if test.policy.suite == suite else test for test in confirmed]
        decisions.append(
            LookDecision(
                suite=suite,
                look=look.look,
                seed=look.plan.seed,
                cases=look.plan.cases,
                reserve=look.plan.reserve,
                saved=look.saved - look.stop.discarded if look.stop and reason else 0,
                stopped=look.stop is not None,
                reason=reason,
                bounds=tuple(
                    LookBounds(
                        metric=test.policy.metric,
                        alpha=test.level,
                        fractions=test.look.fractions,
                        z=test.look.bounds(test.level).z,
                        looks=test.look.looks,
                    )
                    for test in own
                    if test.policy.gates and test.look is not None
                ),
            )
        )
    return confirmed, tuple(decisions)


def reason_to_stop(record: Record, champion: Record | None, plan: LookPlan, *, look: int) -> str:
    """Why a run that goes on may stop asking a suite: the question that `confirm` asks again of the finished record.

    Args:
        record: The run as far as it is: at least all answers that the look sees.
        champion: The champion's record, None without one.
        plan: The suite's looks.
        look: Which one, counted from 1.

    Returns:
        In words; empty if the suite has to go on.

    Raises:
        NotComparableError: If the two may not be compared, so that nothing can be decided early.
    """
    policy = record.manifest.policy
    metrics = tuple(metric for metric in policy.metrics if metric.suite == plan.suite)
    own = replace(policy, metrics=metrics, slices=(), waivers=())
    cases = [case for case in record.cases if case.suite == plan.suite]
    seen = look_at(plan, cases, own, look=look)
    only = {plan.suite: seen.asked}
    if champion is not None:
        provisional = replace(record, seal=Seal(sealed_at="", journal_digest="", results=len(record.results)))
        check_comparable(provisional, champion, own)
    evidence, champion_evidence = gather(record, own, only), None if champion is None else gather(champion, own, only)
    matches = Matches()
    # The first attempt: further ones of the same candidate run to the end.
    attempts = attempts_of(evidence, champion_evidence, own)
    tests = [
        attempts.tested(
            metric,
            partial(
                run_test_at,
                candidate=evidence,
                champion=champion_evidence,
                point=seen.points[metric.metric],
                matches=matches,
            ),
        )
        for metric in own.metrics
    ]
    return settled([require_admission(test, evidence) for test in tests], policy, champion=champion is not None)


def _unconfirmed(test: MetricTest, look: SuiteLook) -> MetricTest:
    left = look.plan.planned - len(look.asked)
    problem = Problem(
        where=test.policy.where,
        what=(
            f"the run stopped at look {look.look} of {look.plan.looks}, where this policy decides nothing, so that"
            f" {left:,} of {count(look.plan.planned, 'case')} {verb(left, 'is', 'are')} missing"
        ),
        fix="Decide by the policy of the run, or run the suite with --no-stopping",
    )
    return replace(test, problem=test.problem or problem)


def _contradiction(record: Record, plan: LookPlan, cases: Sequence[PlannedCase], stop: Stop | None) -> str:
    """What is wrong with a plan or a stop, empty if nothing is."""
    try:
        again = plan_looks(cases, seed=plan.seed, fractions=plan.fractions, reserve=plan.reserve)
    except PolicyError as error:
        return error.what
    if again != plan:
        return f"looks at {list(plan.cases)} cases were planned, and the cases give {list(again.cases)}"
    return "" if stop is None else _contradicted(record, plan, case_order(cases, seed=plan.seed), stop)


def _contradicted(record: Record, plan: LookPlan, order: Sequence[PlannedCase], stop: Stop) -> str:
    """What is wrong with a stop, empty if nothing is."""
    if not 1 <= stop.look < plan.looks:
        return f"the record says that it stopped at look {stop.look}, of which {plan.looks - 1} could have ended it"
    first, rest = order[: plan.cases[stop.look - 1]], order[plan.cases[stop.look - 1] :]
    expected = {key for case in first for key in case.keys}
    answered = {key for key in record.results if key.suite == plan.suite}
    if answered != expected:
        return (
            f"the run stopped at look {stop.look} of {plan.looks}, but its answers are not those of the first"
            f" {count(len(first), 'case')}: {len(expected - answered):,} are missing and"
            f" {len(answered - expected):,} do not belong there"
        )
    beyond = sum(case.repeats for case in rest)
    if not 0 <= stop.discarded <= beyond:
        return f"the record says that {stop.discarded:,} generations of {beyond:,} beyond its last look were begun"
    return ""
