"""A record becomes evidence: one score table per metric, and everything that could not be evaluated."""

from __future__ import annotations

import math
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.decision.types import ASK_AGAIN, Problem
from llmgate.gate.decision.wording import count, name_some, verb
from llmgate.gate.evidence.answered_by import answered_otherwise
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.evidence.feature_metrics import watched
from llmgate.gate.evidence.output_features import embedded_answers, feature_score, has_feature, rule_versions_of
from llmgate.gate.judges.admission import status_in
from llmgate.gate.judges.anchors import drift_of
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Aggregate, Inference
from llmgate.record.schema import CaseKey, CaseResult, Failure, Outcome, weighted_mean
from llmgate.record.scores import Items, ScoreTable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from llmgate.record.policy import MetricPolicy, Policy
    from llmgate.record.schema import CheckResult, PlannedCase, Record

__all__ = ["answer_score", "feeds", "gather", "score_checks"]


def gather(
    record: Record,
    policy: Policy,
    only: Mapping[str, Collection[str]] | None = None,
    *,
    beside: Sequence[Record] = (),
) -> Evidence:
    """Score every planned case on every metric of a policy, and list what stands in the way.

    A case is an error on a metric if any of its repeats is missing, failed, unjudged, has no check with a weight on
    that metric, or has one that ended in error. A case that was not answered and judged, a required check that ended
    in error, and answers of another model are problems on their own, so that they bar PASS even where no gated metric
    looks at them.

    Args:
        record: The record.
        policy: The metrics.
        only: Of the suites that it names, the cases that count; of those that were stopped early, the others were
            never asked.
        beside: Other records of the same suites; they may tell whether an assert of an unanswered case must never fail.
    """
    only = only or {}
    optional = optional_cases([record, *beside])
    shared: dict[tuple[str, ...], Items] = {}
    tables = []
    for metric in (*policy.metrics, *watched(policy)):
        asked = only.get(metric.suite)
        cases = [case for case in record.cases if feeds(case, metric) and (asked is None or case.case in asked)]
        key = (metric.suite, *(case.case for case in cases))
        items = shared.setdefault(key, _items(cases))
        tables.append(_table(record, cases, metric, items, optional))
    return Evidence(
        tables=tuple(tables),
        required_failures=_required_failures(record),
        problems=(
            *answered_otherwise(record),
            *_missing_cases(record),
            *_unanswered(record, policy, optional),
            *_required_errors(record),
        ),
        run=record.manifest.run_id,
        digest=record.seal.journal_digest if record.seal else "",
        rule_versions=rule_versions_of(record),
        embedded=embedded_answers(record, policy),
        drift=drift_of(record),
        admission_statuses=tuple(
            status_in(record.manifest, m.suite, m.metric) for m in policy.metrics if m.judged and m.gates
        ),
        forgeable=frozenset(
            (key.suite, check.metric)
            for key, result in _told(record, beside).items()
            for check in result.checks
            if check.forgeable and (check.weight > 0 or check.required)
        ),
    )


def _told(record: Record, beside: Sequence[Record]) -> dict[CaseKey, CaseResult]:
    """A record's results, and those of others in the place of what it has no answer to."""
    others = {key: result for other in beside for key, result in other.scored.items()}
    return others | {key: result for key, result in record.scored.items() if not _why_unanswered(result)}


def optional_cases(records: Sequence[Record]) -> frozenset[tuple[str, str]]:
    """The planned cases, as (suite, case), of which answers show that none of their asserts must never fail.

    An answer to the case itself shows it, or one to another case where all of a suite have the same asserts. A case
    without asserts needs none.
    """
    planned = {(case.suite, case.case): case.metrics is None for record in records for case in record.cases}
    required: dict[tuple[str, str], bool] = {}
    for record in records:
        for key, result in record.scored.items():
            if not _why_unanswered(result):
                name = (key.suite, "" if planned.get((key.suite, key.case)) else key.case)
                required[name] = required.get(name, False) or any(check.required for check in result.checks)
    unchecked = {(case.suite, case.case) for record in records for case in record.cases if case.unchecked}
    return frozenset(
        (suite, case)
        for (suite, case), alike in planned.items()
        if (suite, case) in unchecked or required.get((suite, "" if alike else case)) is False
    )


def score_checks(checks: Sequence[CheckResult], aggregate: Aggregate, threshold: float | None = None) -> float:
    """The score of one answer on one metric.

    Args:
        checks: Those of this metric, all of them passed or failed.
        aggregate: ALL gives 1 if every check that has a weight or is required passed, else 0. MEAN gives the mean of
            the scores by weight.
        threshold: With ALL, the mean by weight that is enough, whatever checks that are not required say.

    Raises:
        UndefinedError: If the weights add up to 0 or a check ended in error.
    """
    total = math.fsum(c.weight for c in checks)
    if not total > 0.0:
        raise UndefinedError("no check with a weight feeds this metric")
    weighted = []
    for check in checks:
        if check.score is None:
            raise UndefinedError(f"{check.type} ended in error" + (f": {check.reason}" if check.reason else ""))
        weighted.append(check.weight * check.score)
    if aggregate is Aggregate.MEAN:
        return min(1.0, math.fsum(weighted) / total)
    must = [c for c in checks if c.required or (threshold is None and c.weight > 0)]
    passed = all(c.outcome is Outcome.PASS for c in must)
    return float(passed and (threshold is None or weighted_mean(checks) >= threshold))


def feeds(case: PlannedCase, metric: MetricPolicy) -> bool:
    """Whether a case has asserts of a metric, or the output feature that it is about."""
    if metric.trait is not None:
        return case.suite == metric.suite and has_feature(case, metric.trait)
    return case.suite == metric.suite and (case.metrics is None or metric.metric in case.metrics)


def _items(cases: Sequence[PlannedCase]) -> Items:
    """The cases with their clusters and slices; metrics that the same cases feed share them."""
    fields = sorted({name for case in cases for name in case.slices})
    return Items.of(
        [case.case for case in cases],
        clusters=[case.cluster for case in cases],
        slices={name: [case.slices.get(name) for case in cases] for name in fields},
    )


def _table(
    record: Record,
    cases: Sequence[PlannedCase],
    metric: MetricPolicy,
    items: Items,
    optional: Collection[tuple[str, str]],
) -> ScoreTable:
    scores, errors, needed = np.full(len(cases), np.nan), {}, set()
    alone = metric.inference is Inference.BENCHMARK
    sampling = np.full((len(cases), 2), np.nan) if alone else None
    for i, case in enumerate(cases):
        try:
            scores[i] = _case_score(record, case, metric)
            if sampling is not None:
                sampling[i] = _spread_of_answers(record, case, metric)
        except UndefinedError as error:
            errors[i] = error.what
            if (case.suite, case.case) not in optional:
                needed.add(i)
    return ScoreTable(
        suite=metric.suite,
        metric=metric.metric,
        items=items,
        scores=scores,
        errors=errors,
        right_or_wrong=_right_or_wrong(metric) and all(case.repeats == 1 for case in cases),
        needed=frozenset(needed),
        sampling=sampling,
    )


def _spread_of_answers(record: Record, case: PlannedCase, metric: MetricPolicy) -> tuple[float, float]:
    """s²/K of the scores of a case's answers, and K; a single answer has no spread."""
    scores = np.array([answer_score(record.scored.get(key), metric, case) for key in case.keys])
    count = len(scores)
    return (float(np.var(scores, ddof=1)) / count, float(count)) if count > 1 else (math.nan, float(count))


def _right_or_wrong(metric: MetricPolicy) -> bool:
    if metric.trait is not None:
        return metric.trait is not OutputFeature.LENGTH
    return metric.aggregate is Aggregate.ALL


def _case_score(record: Record, case: PlannedCase, metric: MetricPolicy) -> float:
    scores = []
    for key in case.keys:
        try:
            scores.append(answer_score(record.scored.get(key), metric, case))
        except UndefinedError as error:
            at = f" (repeat {key.repeat + 1} of {case.repeats})" if case.repeats > 1 else ""
            raise UndefinedError(f"{error.what}{at}") from error
    if not scores:
        raise UndefinedError("planned without a repeat")
    # The mean of 0/1 scores must stay exactly 0 or 1 where all repeats agree.
    return math.fsum(scores) / len(scores)


def answer_score(result: CaseResult | None, metric: MetricPolicy, case: PlannedCase) -> float:
    """The score of one answer on a metric.

    Args:
        result: What happened; None if nothing did.
        metric: The metric.
        case: The case.

    Raises:
        UndefinedError: If it could not be evaluated, with the reason.
    """
    why = _why_unanswered(result)
    if result is None or why:
        raise UndefinedError(why)
    if metric.trait is not None:
        return feature_score(result, case, metric.trait)
    return score_checks([c for c in result.checks if c.metric == metric.metric], metric.aggregate, case.threshold)


def _why_unanswered(result: CaseResult | None) -> str:
    if result is None:
        return "no result"
    if isinstance(result.answer, Failure):
        return f"{result.answer.kind.value}: {result.answer.message}"
    return "" if result.judged else "not judged"


def _required_failures(record: Record) -> tuple[str, ...]:
    failed = (
        f"{key.suite}::{key.case}"
        for key, result in record.scored.items()
        if any(c.required and c.outcome is Outcome.FAIL for c in result.checks)
    )
    return tuple(sorted(set(failed)))


def _required_errors(record: Record) -> list[Problem]:
    broken: dict[str, list[str]] = {}
    errors = (
        (key, check)
        for key, result in record.scored.items()
        for check in result.checks
        if check.required and check.outcome is Outcome.ERROR
    )
    for key, check in sorted(errors, key=itemgetter(0)):
        broken.setdefault(key.suite, []).append(f"{key.case} ({check.type}: {check.reason or 'error'})")
    return [
        Problem(
            where=suite,
            what=f"{count(len(cases), 'required check')} could not be evaluated: {name_some(cases)}",
            fix=ASK_AGAIN,
        )
        for suite, cases in sorted(broken.items())
    ]


def _unanswered(record: Record, policy: Policy, optional: Collection[tuple[str, str]]) -> list[Problem]:
    """Cases without a complete answer that no gated metric reports: of suites without one, or which must never fail."""
    planned = Counter(case.suite for case in record.cases)
    gating = [metric for metric in policy.metrics if metric.gates]
    gated = {metric.suite for metric in gating}
    lost: dict[str, list[str]] = {}
    for case in record.cases:
        reasons = [why for why in (_why_unanswered(record.scored.get(key)) for key in case.keys) if why]
        needed = (case.suite, case.case) not in optional and not any(feeds(case, metric) for metric in gating)
        if reasons and (case.suite not in gated or needed):
            lost.setdefault(case.suite, []).append(f"{case.case} ({reasons[0]})")
    problems = []
    for suite, cases in sorted(lost.items()):
        some = f"{len(cases):,} of {count(planned[suite], 'case')} {verb(len(cases), 'has', 'have')}"
        problems.append(Problem(where=suite, what=f"{some} no complete answer: {name_some(cases)}", fix=ASK_AGAIN))
    return problems


def _missing_cases(record: Record) -> list[Problem]:
    """The suite says how many cases exist; a record that planned fewer, or answered others, is not whole."""
    planned = Counter(case.suite for case in record.cases)
    problems = []
    for suite in record.manifest.suites:
        cases = planned[suite.name]
        if cases != suite.cases:
            what = f"{cases:,} of {count(suite.cases, 'case')} {verb(cases, 'is', 'are')} in the record"
            problems.append(Problem(where=suite.name, what=what, fix="Run the whole suite"))
    wanted = {key for case in record.cases for key in case.keys}
    strays = sorted(str(key) for key in record.scored if key not in wanted)
    if strays:
        some = f"{count(len(strays), 'result')} {verb(len(strays), 'belongs', 'belong')}"
        what = f"{some} to no planned case: {name_some(strays)}"
        problems.append(Problem(where=record.manifest.run_id, what=what, fix="Run the suite anew"))
    return problems
