"""Who judged, and was that judge admitted for this? Facts of a record against its admission records. Pure.

An admission counts if it is for this very assert, with this type's prompts, these judges and this sampling, and if its
figures meet what is asked for today. Whatever is not known to be the same is another judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.wording import one_line
from llmgate.gate.judges.admission import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.record.judges.admission import AdmissionRecord  # noqa: TC004 - nothing reads this annotation
    from llmgate.record.judges.identity import JudgedAssert, JudgeIdentity
    from llmgate.record.manifest import Manifest

__all__ = ["AdmissionStatus", "status_in", "status_of"]


FIX = (
    "Admit it with `llmgate judge admit` and name the record in `judge: {admission: …}` or --judge-admission,"
    " set `role: watch`, or write `unadmitted: labels` to have people label a part of the answers"
    " (`llmgate labels sample`), or `unadmitted: allow`"
)
_LISTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionStatus:
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

    @property
    def problem(self) -> Problem:
        """Why the metric cannot gate; of one whose judges were not admitted."""
        return Problem(
            where=f"{self.suite}::gate::{self.metric}",
            what=f"the judge behind {self.metric!r} was never admitted, so it cannot gate ({self.why})",
            fix=FIX,
        )


def status_in(manifest: Manifest, suite: str, metric: str) -> AdmissionStatus:
    """Whether the judges of a metric were admitted, by what a run wrote down."""
    judges = dict(manifest.judges) | ({"": manifest.judge} if manifest.judge is not None else {})
    return status_of(suite, metric, manifest.judging, manifest.admissions, judges)


def status_of(
    suite: str,
    metric: str,
    judging: Sequence[JudgedAssert],
    admissions: Sequence[AdmissionRecord],
    judges: Mapping[str, JudgeIdentity] | None,
) -> AdmissionStatus:
    """Whether the judges of a metric were admitted.

    Args:
        suite: Suite name.
        metric: Metric name.
        judging: The judged asserts of a run.
        admissions: What was named for it.
        judges: Who judges, by the names that asserts use; None while that is not known, and is not looked at.
    """
    asserts = [judged for judged in judging if (judged.suite, judged.metric) == (suite, metric)]
    if not asserts:
        return AdmissionStatus(
            suite=suite, metric=metric, missing=("the record does not say what was asked of which judge",)
        )
    missing, records = [], []
    for judged in asserts:
        record = _admission(judged, admissions, judges)
        if isinstance(record, str):
            missing.append(f"{judged.type} {one_line(judged.criterion, 80)!r}: {record}")
        else:
            records.append(record)
    return AdmissionStatus(
        suite=suite,
        metric=metric,
        missing=tuple(missing),
        records=tuple({record.digest: record for record in records}.values()),
    )


def _admission(
    judged: JudgedAssert, admissions: Sequence[AdmissionRecord], judges: Mapping[str, JudgeIdentity] | None
) -> AdmissionRecord | str:
    """The record that admits the judges of an assert, or why there is none."""
    digest = judged.assert_digest
    same = [record for record in admissions if digest and record.instrument.assert_digest == digest]
    if not same:
        others = any(record.instrument.type == judged.type for record in admissions)
        return "its judge was admitted for another criterion only" if others else "its judge was never admitted"
    reasons = []
    for record in same:
        reason = _unfit(record) or _differs(judged, record.instrument.judges, judges)
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


def _differs(
    judged: JudgedAssert, admitted: Sequence[JudgeIdentity], judges: Mapping[str, JudgeIdentity] | None
) -> str:
    """Where the judges of the run are not those that were admitted, empty if they are the same."""
    names = judged.judges or ("",)
    if len(admitted) != len(names):
        return f"{len(admitted)} judges were admitted together, and {len(names)} are asked"
    for name, then in zip(names, admitted, strict=True):
        shown = f"the judge {name!r}" if name else "the judge"
        if then.prompt_digest != judged.prompt_digest:
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
