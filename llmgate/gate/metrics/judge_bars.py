"""What is known of its judges: they were never admitted, they drifted, or their differences may be off by so much."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.wording import one_line
from llmgate.gate.judges.admission_status import AdmissionStatus
from llmgate.gate.metrics.metric import HypothesisTest
from llmgate.record.policy import Unadmitted
from llmgate.stats import special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.judge_types import JudgeDrift
    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.gate.metrics.metric import MetricTest
    from llmgate.record.judges.admission import AdmissionRecord
    from llmgate.record.policy import MetricPolicy

__all__ = [
    "NARROWER",
    "allow_for_bias",
    "apply_judge_checks",
    "drifts_of",
    "require_admission",
    "require_stable_judge",
    "too_biased",
]

OF_TABLES = (
    "Name other metrics with --metric, or give what people say of the same answers in a plain table: --human; or set"
    " `unadmitted: allow` or `role: watch` in a policy file: --policy"
)
"""What to do about a judge's scores in a table, of which no record says who judged."""
NARROWER = (
    "Admit it on more labels, set a wider margin, or have people label a part of these answers"
    " (`llmgate labels sample`)"
)
FIX = "Take the judge that the anchors were frozen with; for a new one freeze anew, and run the champion again"


def drifts_of(candidate: Evidence, champion: Evidence | None) -> tuple[JudgeDrift, ...]:
    """What became of the anchors on both sides, where there are any."""
    sides = {"candidate": candidate} if champion is None else {"candidate": candidate, "champion": champion}
    return tuple(replace(evidence.drift, side=side) for side, evidence in sides.items() if evidence.drift is not None)


def apply_judge_checks(test: MetricTest, candidate: Evidence, champion: Evidence | None) -> MetricTest:
    """A metric with what its judges mean for it: whether they were admitted, and whether they drifted.

    Args:
        test: A metric.
        candidate: The candidate's evidence.
        champion: The champion's, None without one.
    """
    drifts = drifts_of(candidate, champion)
    return require_stable_judge(require_admission(test, candidate), drifts, champion is not None)


def require_admission(test: MetricTest, evidence: Evidence) -> MetricTest:
    """A metric with what the admission of its judges means for it: a remark, or a problem that bars a PASS.

    Args:
        test: A metric; one that no judge scores, that labels correct, or that is only watched, stays as it is.
        evidence: The candidate's, which knows whether judges were admitted. Scores of another origin do not.
    """
    policy = test.policy
    if not (policy.judged and policy.gates) or test.corrected:
        return test
    known = {(status.suite, status.metric): status for status in evidence.admission_statuses}
    unknown = AdmissionStatus(suite=policy.suite, metric=policy.metric, missing=("nothing says who judged",))
    status = known.get((policy.suite, policy.metric), unknown)
    if status.admitted:
        labels = ", ".join(dict.fromkeys(_labels(record) for record in status.records))
        note = f"The judge was admitted on {labels}."
        allowed = allow_for_bias(test, status)
        return replace(allowed, admission="admitted", notes=(*allowed.notes, note))
    if policy.unadmitted is Unadmitted.ALLOW:
        note = f"Unadmitted judge, allowed by the policy: a judge score, not human quality ({status.why})."
        return replace(test, admission="unadmitted", notes=(*test.notes, note))
    problem = status.problem
    if policy.unadmitted is Unadmitted.LABELS:
        problem = replace(
            problem,
            what=f"nobody labelled these answers, and the judge behind {policy.metric!r} was never admitted",
            fix="Draw some with `llmgate labels sample`, and give the filled-in file to `llmgate decide` with --labels",
        )
    if not evidence.run:
        problem = replace(problem, fix=OF_TABLES)
    return replace(test, admission="unadmitted", problem=test.problem or problem)


def allow_for_bias(test: MetricTest, status: AdmissionStatus) -> MetricTest:
    """A metric of an admitted judge, with bounds that people's difference lies within, not only the judge's.

    The admission bounds |judge's − people's|; so people's difference lies above L − bound and below U + bound, and
    these are held against the margin and against nothing.

    Args:
        test: A metric that no label corrects.
        status: What admits its judges.
    """
    bias, rate = status.bias, status.rate_bias
    if not test.hypotheses:
        return test
    comparison = (
        None if test.comparison is None else _with_bias(test, test.comparison, bias, -(test.margin or 0.0), 0.0)
    )
    floor = None
    if test.floor is not None:
        limit = test.policy.floor or 0.0
        floor = _with_bias(test, test.floor, rate, limit, limit)
    shown = f"{100.0 * bias:.1f} points" if comparison is not None else f"{100.0 * rate:.1f} points"
    note = f"By the labels of its admission the judge may be off by {shown}; the bounds include that."
    problem = test.problem
    if comparison is not None and (what := too_biased(test.policy, test.margin, status)):
        problem = problem or Problem(where=test.policy.where, what=what, fix=NARROWER)
    elif test.counted is not None:
        what = f"{test.counted.what}; beside a judge's bias they are not counted against the candidate"
        problem = problem or replace(test.counted, what=what, counted=False)
    return replace(
        test,
        comparison=comparison,
        floor=floor,
        judge_bias=bias if comparison is not None else rate,
        notes=(*test.notes, note),
        problem=problem,
        counted=None if problem is not None else test.counted,
    )


def too_biased(policy: MetricPolicy, margin: float | None, status: AdmissionStatus) -> str:
    """Why a metric's margin leaves no room for what its judges may be off by; "" if it does, or there is none."""
    if margin is None or status.bias < margin:
        return ""
    return (
        f"the judge behind {policy.metric!r} may be off by {100.0 * status.bias:.1f} points between two systems, and"
        f" the margin is {100.0 * margin:g}"
    )


def _with_bias(test: MetricTest, hypothesis: HypothesisTest, bias: float, above: float, below: float) -> HypothesisTest:
    """A hypothesis whose limits are held against bounds that are wider by a bias on either side."""
    interval = hypothesis.interval
    least = -1.0 if hypothesis is test.comparison else 0.0
    lower, upper = max(least, interval.lower - bias), min(1.0, interval.upper + bias)
    passed = lower > above if hypothesis is test.comparison else lower >= above
    # The method's own step between estimate and upper bound, as a standard error, carries its p-value to the new limit.
    tail = (
        special.ndtri(1.0 - interval.alpha)
        if interval.df is None
        else special.stdtrit(interval.df, 1.0 - interval.alpha)
    )
    step = (interval.upper - interval.estimate) / tail
    t = -math.inf if step <= 0.0 else (interval.estimate + bias - below) / step
    nominal = special.ndtr(t) if interval.df is None else special.stdtr(interval.df, t)
    p = max(hypothesis.p, nominal if test.look is None else test.look.p(min(1.0 - 1e-12, max(nominal, 1e-300))))
    return HypothesisTest(
        interval=replace(
            interval, lower=lower, upper=upper, p_negative=p, method=f"{interval.method}, and judge's bias"
        ),
        passed=hypothesis.passed and passed,
        worse=hypothesis.worse and upper < below,
        p=p,
    )


def require_stable_judge(test: MetricTest, drifts: Sequence[JudgeDrift], compared: bool) -> MetricTest:
    """A metric with a problem that bars a PASS, if it hangs on a judge that drifted.

    A metric that people's labels correct hangs on no judge. One side with anchors and the other without is a problem
    too: leaving them out must not be a way to pass.

    Args:
        test: A metric; one that no judge scores, or that is only watched, stays as it is.
        drifts: What became of the anchors.
        compared: Whether there is a champion.
    """
    policy = test.policy
    if not (policy.judged and policy.gates) or test.corrected or not drifts:
        return test
    what = next((f"the judge drifted ({drift.side}'s run): {drift.drifted}" for drift in drifts if drift.drifted), "")
    if not what and compared and len(drifts) == 1:
        what = f"only the {drifts[0].side}'s run judged anchors"
    if not what and len({drift.digest for drift in drifts}) > 1:
        what = "the two runs judged different anchors"
    if not what:
        return test
    problem = Problem(where=policy.where, what=what, fix=FIX)
    return replace(test, problem=test.problem or problem)


def _labels(record: AdmissionRecord) -> str:
    lower = record.results.kappa.lower
    bound = "" if lower is None else f", κ at least {lower:.2f}"
    return f"{record.results.settled:,} labelled items of {one_line(record.labels_name, 80)}{bound}"
