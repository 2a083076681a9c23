"""The records of earlier attempts become evidence; a stop of the first one is confirmed again, and never believed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError, NotComparableError
from llmgate.gate.attempts.counting import attempts_of
from llmgate.gate.attempts.earlier import PastAttempt
from llmgate.gate.decision.types import Problem
from llmgate.gate.evidence.comparable import check_comparable, check_decidable
from llmgate.gate.evidence.gather import gather
from llmgate.gate.evidence.pairing import Matches
from llmgate.gate.metrics.judge_bars import apply_judge_checks
from llmgate.gate.metrics.tests import run_test
from llmgate.gate.sequential.stopping_rule import run_test_at
from llmgate.gate.sequential.verify_stop import confirm, looks_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from llmgate.gate.attempts.counting import Attempts
    from llmgate.gate.attempts.earlier import Earlier
    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.gate.metrics.metric import MetricTest
    from llmgate.gate.sequential.verify_stop import SuiteLook
    from llmgate.record.policy import Policy
    from llmgate.record.schema import Record

__all__ = ["metric_tests", "past_attempts", "stops_that_do_not_count"]

TO_THE_END: Final = "Ask the rest: add --resume and --no-stopping, and --out with the folder of the run"


def metric_tests(
    attempts: Attempts, policy: Policy, looks: Mapping[str, SuiteLook], matches: Matches
) -> list[MetricTest]:
    """Every metric of the policy, tested at its attempt, at its look, its judges checked.

    Args:
        attempts: All attempts so far.
        policy: What is asked.
        looks: The suites that could stop early, by name: at which look they are.
        matches: Remembers how items match.
    """
    candidate, champion = attempts.candidate, attempts.champion
    tests = []
    for metric in policy.metrics:
        run = partial(run_test, candidate=candidate, champion=champion, matches=matches)
        if metric.suite in looks:
            point = looks[metric.suite].points[metric.metric]
            run = partial(run_test_at, candidate=candidate, champion=champion, point=point, matches=matches)
        tests.append(apply_judge_checks(attempts.tested(metric, run), candidate, champion))
    return tests


def past_attempts(earlier: Iterable[Earlier], candidate: Record, policy: Policy) -> tuple[PastAttempt, ...]:
    """Earlier attempts, as they count by a policy.

    What cannot be read, belongs to another model or other suites, or may not be compared is lost, with the reason.

    Args:
        earlier: The attempts.
        candidate: The record of the attempt that is decided.
        policy: What is gated.
    """
    return tuple(_past(attempt, candidate, policy) for attempt in earlier)


def stops_that_do_not_count(looks: Mapping[str, SuiteLook], number: int) -> Iterator[Problem]:
    """What is wrong with an attempt after the first that stopped early.

    Args:
        looks: At which look each suite ended.
        number: Which attempt it is.
    """
    for suite, look in sorted(looks.items()):
        if look.stop is not None:
            what = f"attempt {number} stopped at look {look.look} of {look.plan.looks}, and only the first may"
            yield Problem(where=suite, what=what, fix=TO_THE_END)


def _past(attempt: Earlier, candidate: Record, policy: Policy) -> PastAttempt:
    lost = PastAttempt(
        number=attempt.number,
        digest=attempt.digest,
        verdict=attempt.verdict,
        candidate=None,
        lost=attempt.lost or "its record is gone",
    )
    if attempt.candidate is None:
        return lost
    try:
        _check_same_gate(attempt.candidate, candidate)
        check_decidable(attempt.candidate)
        if attempt.champion is not None:
            check_comparable(attempt.candidate, attempt.champion, policy)
        return _counted(lost, attempt.candidate, attempt.champion, policy)
    except LlmgateError as error:
        return replace(lost, lost=error.what)


def _counted(lost: PastAttempt, candidate: Record, champion: Record | None, policy: Policy) -> PastAttempt:
    looks, contradictions = looks_of(candidate, policy)
    problems = list(contradictions)
    stopped = [suite for suite, look in looks.items() if look.stop is not None]
    only = {suite: looks[suite].asked for suite in stopped}
    if stopped and lost.number > 1:
        problems += stops_that_do_not_count(looks, lost.number)
        stopped, only = [], {}
    if stopped:
        tests = metric_tests(
            attempts_of(*_evidence(candidate, champion, policy, only), policy), policy, looks, Matches()
        )
        _, decisions = confirm(tests, looks, policy, champion=champion is not None)
        believed = {look.suite for look in decisions if look.stopped and look.reason}
        # Of a suite that had no reason to stop, what was never asked is missing.
        stopped = [suite for suite in stopped if suite in believed]
    own, _ = _evidence(candidate, champion, policy, {suite: only[suite] for suite in stopped})
    # The champion's run is whole, and the same for attempts that went on.
    _, other = _evidence(candidate, champion, policy, {})
    return replace(
        lost,
        candidate=replace(own, problems=(*own.problems, *problems)),
        champion=other,
        lost="",
        may_stop=frozenset(plan.suite for plan in candidate.manifest.looks),
        stopped=frozenset(stopped),
    )


def _evidence(
    candidate: Record, champion: Record | None, policy: Policy, only: Mapping[str, frozenset[str]]
) -> tuple[Evidence, Evidence | None]:
    records: Sequence[Record] = (candidate,) if champion is None else (candidate, champion)
    own, *others = [gather(record, policy, only, beside=records) for record in records]
    return own, others[0] if others else None


def _check_same_gate(past: Record, candidate: Record) -> None:
    """Refuse the answers of another model, or to other questions."""
    weights, others = candidate.manifest.model.weights_digest, past.manifest.model.weights_digest
    if weights != others:
        raise NotComparableError(f"it was of other weights, {others}, and this one is of {weights}")
    suites = {suite.name: suite.digest for suite in candidate.manifest.suites}
    for suite in past.manifest.suites:
        if suites.get(suite.name) != suite.digest:
            raise NotComparableError(f"the suite {suite.name!r} was another one")
    lacking = suites.keys() - {suite.name for suite in past.manifest.suites}
    if lacking:
        raise NotComparableError(f"it did not run {', '.join(sorted(lacking))}")
