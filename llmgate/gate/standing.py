"""What the standing of its judges means for a metric.

A metric whose judge was not admitted cannot make a PASS, unless its policy says `unadmitted: allow`, or people's labels
correct it, which need no trust in a judge. It can still FAIL:
otherwise taking an admission away would be a way out of one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmgate.gate.decision import Problem
from llmgate.gate.wording import one_line
from llmgate.record.policy import Unadmitted

if TYPE_CHECKING:
    from llmgate.gate.measure import Measured
    from llmgate.gate.side import Evidence
    from llmgate.record.admission import AdmissionRecord  # noqa: TC004 - nothing reads this annotation

__all__ = ["Standing", "hold_to_admission", "refused"]

FIX = (
    "Admit it with `llmgate judge admit` and name the record in `judge: {admission: …}` or --judge-admission,"
    " set `role: watch`, or write `unadmitted: labels` to have people label a part of the answers"
    " (`llmgate labels sample`), or `unadmitted: allow`"
)
_LISTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether the judges of a metric were admitted.

    Attributes:
        suite: Suite name.
        metric: Metric name.
        missing: Why not, a reason for each assert that lacks an admission; empty if they were.
        records: The records that admit them.
    """

    suite: str
    metric: str
    missing: tuple[str, ...] = ()
    records: tuple[AdmissionRecord, ...] = ()

    @property
    def admitted(self) -> bool:
        """Whether every judged assert of the metric has its admission."""
        return not self.missing

    @property
    def why(self) -> str:
        """The first reasons."""
        more = len(self.missing) - _LISTED
        return "; ".join(self.missing[:_LISTED]) + (f"; and {more:,} more" if more > 0 else "")


def hold_to_admission(measured: Measured, evidence: Evidence) -> Measured:
    """A metric with what the standing of its judges means for it: a remark, or a problem that bars a PASS.

    Args:
        measured: A metric; one that no judge scores, that labels correct, or that is only watched, stays as it is.
        evidence: The candidate's, which knows the standings. Scores of another origin have none.
    """
    policy = measured.policy
    if not (policy.judged and policy.gates) or measured.corrected:
        return measured
    standing = next(
        (one for one in evidence.standings if (one.suite, one.metric) == (policy.suite, policy.metric)),
        Standing(suite=policy.suite, metric=policy.metric, missing=("nothing says who judged",)),
    )
    if standing.admitted:
        names = ", ".join(dict.fromkeys(_label(record) for record in standing.records))
        note = f"The judge was admitted on {names}."
        return replace(measured, admission="admitted", notes=(*measured.notes, note))
    if policy.unadmitted is Unadmitted.ALLOW:
        note = f"Unadmitted judge, allowed by the policy: a judge score, not human quality ({standing.why})."
        return replace(measured, admission="unadmitted", notes=(*measured.notes, note))
    problem = refused(standing)
    if policy.unadmitted is Unadmitted.LABELS:
        problem = replace(
            problem,
            what=f"nobody labelled these answers, and the judge behind {policy.metric!r} was never admitted",
            fix="Draw some with `llmgate labels sample`, and give the filled-in file to `llmgate decide` with --labels",
        )
    return replace(measured, admission="unadmitted", problem=measured.problem or problem)


def refused(standing: Standing) -> Problem:
    """Why a metric cannot gate."""
    return Problem(
        where=f"{standing.suite}::gate::{standing.metric}",
        what=f"the judge behind {standing.metric!r} was never admitted, so it cannot gate ({standing.why})",
        fix=FIX,
    )


def _label(record: AdmissionRecord) -> str:
    lower = record.results.kappa.lower
    bound = "" if lower is None else f", κ at least {lower:.2f}"
    return f"{record.results.settled:,} labelled items of {one_line(record.labels_name, 80)}{bound}"
