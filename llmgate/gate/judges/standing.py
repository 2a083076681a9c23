"""Who judged, and was that judge admitted for this? Facts of a record against its admission records. Pure.

An admission counts if it is for this very assert, with this type's prompts, these judges and this sampling, and if its
figures meet what is asked for today. Whatever is not known to be the same is another judge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.wording import one_line
from llmgate.gate.judges.admission import refusals
from llmgate.record.policy import Unadmitted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.gate.metrics.tests import Measured
    from llmgate.record.judges.admission import AdmissionRecord  # noqa: TC004 - nothing reads this annotation
    from llmgate.record.judges.identity import JudgedAssert, JudgeIdentity
    from llmgate.record.manifest import Manifest

__all__ = ["Standing", "hold_to_admission", "refused", "standing_in", "standing_of"]

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


def standing_in(manifest: Manifest, suite: str, metric: str) -> Standing:
    """The standing of a metric in a run."""
    judges = dict(manifest.judges) | ({"": manifest.judge} if manifest.judge is not None else {})
    return standing_of(suite, metric, manifest.judging, manifest.admissions, judges)


def standing_of(
    suite: str,
    metric: str,
    judging: Sequence[JudgedAssert],
    admissions: Sequence[AdmissionRecord],
    judges: Mapping[str, JudgeIdentity] | None,
) -> Standing:
    """The standing of a metric.

    Args:
        suite: Suite name.
        metric: Metric name.
        judging: The judged asserts of a run.
        admissions: What was named for it.
        judges: Who judges, by the names that asserts use; None while that is not known, and is not looked at.
    """
    asserts = [one for one in judging if (one.suite, one.metric) == (suite, metric)]
    if not asserts:
        return Standing(suite=suite, metric=metric, missing=("the record does not say what was asked of which judge",))
    missing, records = [], []
    for one in asserts:
        found = _admission(one, admissions, judges)
        if isinstance(found, str):
            missing.append(f"{one.type} {one_line(one.criterion, 80)!r}: {found}")
        else:
            records.append(found)
    return Standing(
        suite=suite,
        metric=metric,
        missing=tuple(missing),
        records=tuple({record.digest: record for record in records}.values()),
    )


def _admission(
    asked: JudgedAssert, admissions: Sequence[AdmissionRecord], judges: Mapping[str, JudgeIdentity] | None
) -> AdmissionRecord | str:
    """The record that admits the judges of an assert, or why there is none."""
    same = [one for one in admissions if one.instrument.assert_digest == asked.assert_digest and asked.assert_digest]
    if not same:
        others = [one for one in admissions if one.instrument.type == asked.type]
        return "its judge was admitted for another criterion only" if others else "its judge was never admitted"
    reasons = []
    for record in same:
        reason = _unfit(record) or _differs(asked, record.instrument.judges, judges)
        if not reason:
            return record
        reasons.append(reason)
    return reasons[-1]


def _unfit(record: AdmissionRecord) -> str:
    """Why a record admits nobody: its own word, or its figures by the thresholds of today."""
    reasons = record.reasons or refusals(record.results, record.thresholds)
    if reasons or not record.admitted:
        return f"its judge was refused: {one_line(reasons[0], 300) if reasons else 'the record says so'}"
    return ""


def _differs(asked: JudgedAssert, admitted: Sequence[JudgeIdentity], judges: Mapping[str, JudgeIdentity] | None) -> str:
    """Where the judges of the run are not those that were admitted, empty if they are the same."""
    names = asked.judges or ("",)
    if len(admitted) != len(names):
        return f"{len(admitted)} judges were admitted together, and {len(names)} are asked"
    for name, then in zip(names, admitted, strict=True):
        shown = f"the judge {name!r}" if name else "the judge"
        if then.prompt_digest != asked.prompt_digest:
            return f"{shown} was admitted with other prompts"
        if judges is None:
            continue
        now = judges.get(name)
        if now is None:
            return f"the record does not say who {shown} was"
        field = _differing(then, now)
        if field:
            return f"another judge was admitted: {field}"
    return ""


def _differing(then: JudgeIdentity, now: JudgeIdentity) -> str:
    """The first difference between two judges; the weights name a model where both are known."""
    if then.weights_digest != now.weights_digest:
        words = [digest[:12] if digest else "unknown" for digest in (then.weights_digest, now.weights_digest)]
        return f"weights {words[0]}, now {words[1]}"
    if then.weights_digest is None and then.model != now.model:
        return f"{one_line(then.model, 60)!r}, now {one_line(now.model, 60)!r}"
    for key in sorted(then.sampling.keys() | now.sampling.keys()):
        if then.sampling.get(key) != now.sampling.get(key):
            return f"{key} {then.sampling.get(key)}, now {now.sampling.get(key)}"
    return ""
