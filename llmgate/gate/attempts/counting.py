"""The attempts of one candidate become one piece of evidence, and each metric learns what this attempt has to reach.

Attempt k is decided on the mean score of each case over attempts 1 to k, at a bound that spends α_k = α·ρ·2^−(k−1) (the
first attempt α·(1 − ρ)), ρ the policy's reserve. Both tests of a metric, "worse by the margin" and "not worse", keep
alpha over all attempts, however many there will be and whatever they are made for:

- PASS asks every gating metric to pass, so it is as rare as the rarest of them (intersection and union).
- FAIL takes p-values that hold over all attempts, adjusted by Holm (see `repeated_alpha`).
- Slices take the shares of their own alpha.

The first attempt may stop early: its looks spend α_1. Further ones run to the end. Where the first has stopped, a case
that it never asked is scored by the others, and the bound is that of α_k alone, which holds whatever they share.

What cannot be pooled is judged by this attempt's figures at α_k alone: serving figures, and metrics that people's
labels on this run's answers correct.

Nothing of an earlier attempt is forgotten: a required check that failed stays failed, and what could not be evaluated
then keeps the verdict from PASS as it did then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.errors import RecordError
from llmgate.gate.attempts.earlier import PastAttempt
from llmgate.gate.attempts.metric_pool import metric_pool
from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.wording import name_some, verb
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.metrics.attempt_point import AttemptPoint, too_coarse
from llmgate.gate.metrics.judge_bars import drifts_of, require_stable_judge
from llmgate.stats.sequential.shares import attempt_shares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llmgate.gate.metrics.metric import HypothesisTest, MetricTest, ServingTest
    from llmgate.record.policy import MetricPolicy, Policy
    from llmgate.record.scores import ScoreTable

__all__ = ["Attempts", "attempts_of"]

ANEW: Final = "Bring the ledger back, or decide on new cases: a new version of the suite starts anew"
WHERE: Final = "attempts"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attempts:
    """All attempts of a candidate so far, as one piece of evidence.

    Attributes:
        number: Which attempt this is, counted from 1.
        reserve: The policy's.
        past: Those before it, in order.
        candidate: This attempt's evidence, with the pooled scores of all.
        champion: The same of the champion, None without one.
        points: By suite and metric, where each gating metric and serving figure stands; empty if nothing is reserved.
        answers: By suite, how many scored cases of the candidate count together, over all attempts.
    """

    number: int
    reserve: float
    past: tuple[PastAttempt, ...]
    candidate: Evidence
    champion: Evidence | None
    points: Mapping[tuple[str, str], AttemptPoint]
    answers: Mapping[str, int]

    def tested(self, metric: MetricPolicy, run: Callable[[MetricPolicy], MetricTest]) -> MetricTest:
        """A metric at this attempt.

        Args:
            metric: What is asked, with the alpha that holds over all attempts.
            run: Tests it, at the alpha of the policy that it is given.
        """
        test = self._at_point(metric, run)
        for attempt in self.past:
            if attempt.candidate is not None:
                drifts = drifts_of(attempt.candidate, attempt.champion)
                test = require_stable_judge(test, drifts, attempt.champion is not None)
        return test

    def _at_point(self, metric: MetricPolicy, run: Callable[[MetricPolicy], MetricTest]) -> MetricTest:
        point = self.points.get((metric.suite, metric.metric))
        if point is None:
            return run(metric)
        test = run(replace(metric, alpha=point.level(metric.alpha)))
        return replace(
            test,
            policy=metric,
            attempt=point,
            comparison=_at(point, test.comparison),
            floor=_at(point, test.floor),
        )

    def tested_serving(self, policy: Policy, run: Callable[[Policy], Sequence[ServingTest]]) -> tuple[ServingTest, ...]:
        """The serving figures at this attempt.

        Args:
            policy: What is asked.
            run: Tests the figures of the policy that it is given, at their alphas, in their order.
        """
        points = [self.points.get((figure.suite, figure.metric)) for figure in policy.serving]
        levels = [
            figure if point is None else replace(figure, alpha=point.level(figure.alpha))
            for figure, point in zip(policy.serving, points, strict=True)
        ]
        return tuple(
            test
            if point is None
            else replace(
                test,
                policy=figure,
                attempt=point,
                comparison=_at(point, test.comparison),
                floor=_at(point, test.floor),
            )
            for test, figure, point in zip(
                run(replace(policy, serving=tuple(levels))), policy.serving, points, strict=True
            )
        )


def attempts_of(
    candidate: Evidence, champion: Evidence | None, policy: Policy, past: Sequence[PastAttempt] = ()
) -> Attempts:
    """Count an attempt among those before it.

    Args:
        candidate: What its run brought.
        champion: What the champion's brought, None without one.
        policy: What is gated, and what is reserved.
        past: The attempts before it, whatever their order.

    Raises:
        RecordError: If an attempt is there twice.
    """
    ordered = tuple(sorted(past, key=lambda attempt: attempt.number))
    _refuse_repeated(ordered)
    number = ordered[-1].number + 1 if ordered else 1
    shares = attempt_shares(number, reserve=policy.reserve)
    alone = AttemptPoint(shares=shares, pooled=number == 1)
    points = {(figure.suite, figure.metric): alone for figure in policy.serving if figure.gates}
    points |= {(metric.suite, metric.metric): alone for metric in policy.metrics if metric.gates}
    if number == 1:
        return Attempts(
            number=1,
            reserve=policy.reserve,
            past=(),
            candidate=candidate,
            champion=champion,
            points=points if policy.reserve else {},
            answers=_scored(candidate, policy),
        )
    answers = Counter[str]()
    problems = [*_lost(ordered, number), *_unreserved(number, policy)]
    tables: dict[tuple[str, str], tuple[ScoreTable, ScoreTable | None]] = {}
    for metric in policy.metrics:
        key = (metric.suite, metric.metric)
        pool = metric_pool(metric, ordered, candidate, champion)
        if isinstance(pool, Problem):
            problems += [pool] if metric.gates else []
        elif pool is not None:
            tables[key] = pool.candidate, pool.champion
            if metric.gates:
                answers[metric.suite] = max(answers[metric.suite], pool.answers)
                points[key] = pool.point(shares)
    return Attempts(
        number=number,
        reserve=policy.reserve,
        past=ordered,
        candidate=_together(candidate, {key: own for key, (own, _) in tables.items()}, ordered, problems),
        champion=_with_tables(champion, {key: other for key, (_, other) in tables.items() if other is not None}),
        points=points if policy.reserve else {},
        answers=answers,
    )


def _at(point: AttemptPoint, hypothesis: HypothesisTest | None) -> HypothesisTest | None:
    """What a test at this attempt's level is worth over all of them."""
    if hypothesis is None:
        return None
    coarse = point.number > 1 and too_coarse(hypothesis.interval)
    return replace(
        hypothesis,
        passed=hypothesis.passed and not coarse,
        worse=hypothesis.worse and not coarse,
        p=point.p(hypothesis.p),
    )


def _scored(candidate: Evidence, policy: Policy) -> Counter[str]:
    answers = Counter[str]()
    for metric in policy.metrics:
        table = candidate.table(metric.suite, metric.metric) if metric.gates else None
        if table is not None:
            answers[metric.suite] = max(answers[metric.suite], int(np.sum(~np.isnan(table.scores))))
    return answers


def _refuse_repeated(past: Sequence[PastAttempt]) -> None:
    """An attempt that counts twice would be evidence out of nothing."""
    numbers, digests = Counter(a.number for a in past), Counter(a.digest for a in past)
    wrong = [f"attempt {number}" for number, times in numbers.items() if times > 1 or number < 1]
    wrong += [f"attempt {digest[:12]}" for digest, times in digests.items() if times > 1]
    if wrong:
        raise RecordError(
            f"{name_some(wrong)} {verb(len(wrong), 'is', 'are')} there more than once",
            where=WHERE,
            fix="Count each attempt once, from 1; deciding again on the same run is the same attempt",
        )


def _lost(past: Sequence[PastAttempt], number: int) -> Iterator[Problem]:
    known = {attempt.number for attempt in past}
    for missing in sorted(set(range(1, number)) - known):
        what = f"attempt {missing} of {number} is not in the ledger, so nobody knows what it said"
        yield Problem(where=WHERE, what=what, fix=ANEW)
    for attempt in past:
        if attempt.candidate is None:
            why = attempt.lost or "its scores are gone"
            what = f"attempt {attempt.number} ({attempt.verdict}) cannot be counted together with this one: {why}"
            yield Problem(where=WHERE, what=what, fix=ANEW)


def _unreserved(number: int, policy: Policy) -> Iterator[Problem]:
    if not policy.reserve:
        what = f"this is attempt {number} of the same candidate, and only the first could pass: nothing is reserved"
        fix = "Decide on new cases: a new version of the suite starts anew; `gate: {reserve: 0.1}` keeps something back"
        yield Problem(where=WHERE, what=what, fix=fix)


def _together(
    candidate: Evidence,
    pooled: Mapping[tuple[str, str], ScoreTable],
    past: Sequence[PastAttempt],
    problems: Sequence[Problem],
) -> Evidence:
    """This attempt's evidence with the pooled scores, and with all that stood in the way of earlier ones."""
    known = [(attempt.number, attempt.candidate, attempt.champion) for attempt in past]
    before = [
        replace(problem, where=f"attempt {number}, {prefix}{problem.where}")
        for number, own, other in known
        for prefix, side in (("", own), ("champion, ", other))
        if side is not None
        for problem in side.problems
    ]
    failed = {case for _, own, _ in known if own is not None for case in own.required_failures}
    whole = _with_tables(candidate, pooled)
    return replace(
        candidate if whole is None else whole,
        required_failures=tuple(sorted({*failed, *candidate.required_failures})),
        problems=(*problems, *before, *candidate.problems),
    )


def _with_tables(evidence: Evidence | None, pooled: Mapping[tuple[str, str], ScoreTable]) -> Evidence | None:
    if evidence is None:
        return None
    tables = tuple(pooled.get((table.suite, table.metric), table) for table in evidence.tables)
    # What is known of noise is that of one attempt; pooled scores spread less.
    return replace(evidence, tables=tables, noise=())
