"""What is known of its judges bars a metric from passing: they were never admitted, or they drifted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.wording import one_line
from llmgate.gate.judges.admission_status import AdmissionStatus
from llmgate.record.policy import Unadmitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.judge_types import JudgeDrift
    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.gate.metrics.metric import MetricTest
    from llmgate.record.judges.admission import AdmissionRecord

__all__ = ["apply_judge_checks", "drifts_of", "require_admission", "require_stable_judge"]

OF_TABLES = (
    "Name other metrics with --metric, or give what people say of the same answers in a plain table: --human; or set"
    " `unadmitted: allow` or `role: watch` in a policy file: --policy"
)
"""What to do about a judge's scores in a table, of which no record says who judged."""
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
        return replace(test, admission="admitted", notes=(*test.notes, note))
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
