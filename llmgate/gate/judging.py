"""Who judged, and was that judge admitted for this? Facts of a record against its admission records. Pure.

An admission counts if it is for this very assert, with this type's prompts, these judges and this sampling, and if its
figures meet what is asked for today. Whatever is not known to be the same is another judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.admission import refusals
from llmgate.gate.standing import Standing
from llmgate.gate.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.record.admission import AdmissionRecord
    from llmgate.record.judge import JudgedAssert, JudgeIdentity
    from llmgate.record.manifest import Manifest

__all__ = ["standing_in", "standing_of"]


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
