"""May this judge gate? Its figures against the thresholds, and a run's judges against the admissions on record. Pure.

A judge is admitted if the lower bounds of its agreement, of the consistency of both orders and of its repeated answers
reach the thresholds, it caught every canary, there are enough labels of each kind, and the bound of what a difference
between two systems may be off by lies below the margin. A point estimate admits nothing.

Agreement alone admits judges that decide wrongly: a matcher of strings on open questions (κ 0.60, it sees 97 % of what
is wrong) finds 66 % of the right answers of a system that writes 37 words and 85 % of one that writes two, and turns
four comparisons of ten around (data/paired, EVOUNA-NQ; `gate.judges.bias`).

κ decides and AC1 does not: at four passes to one fail a judge that lets everything pass has an AC1 of 0.76 and a κ of
0. κ in turn is low where one label is rare, which is why a number of each label is asked for.

An admission counts if it is for this very assert, with this type's prompts, these judges and this sampling, and if its
figures meet what is asked for today. Whatever is not known to be the same is another judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.wording import one_line
from llmgate.gate.judges.admission_status import AdmissionStatus
from llmgate.record.judges.admission import DEFAULT_THRESHOLDS, AdmissionThresholds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmgate.record.judges.admission import (
        AdmissionRecord,
        AdmissionResults,
        BiasFigures,
        CanaryCount,
        Figure,
        PairBias,
    )
    from llmgate.record.judges.identity import JudgedAssert, JudgeIdentity
    from llmgate.record.manifest import Manifest

__all__ = ["at_least_default", "refusals", "status_in", "status_of"]

_KINDS: Final = {"length": "longer answers", "layout": "answers with headings, lists or code"}
_NEEDED: Final = {"answers": ("pass", "fail"), "pairs": ("1", "2")}
"""The labels of which there must be enough; people need not find ties."""


def refusals(results: AdmissionResults, thresholds: AdmissionThresholds = DEFAULT_THRESHOLDS) -> tuple[str, ...]:
    """Why a judge with these figures may not gate; empty if it may.

    Args:
        results: The figures.
        thresholds: What has to be reached. Whatever is laxer than the defaults counts as the default.
    """
    wanted = at_least_default(thresholds)
    silent = results.unparseable / results.items if results.items else 1.0
    # The bound hangs on the variance too, which a wrong word can make larger than silence does: without this, a wrong
    # verdict on a pair that was lost instead could raise it, by up to 0.002 at 150 items.
    kappa = _unreached("κ between judge and people", results.kappa, wanted.kappa + silent)
    reasons = [*_too_little(results, wanted), *kappa]
    if results.kind == "pairs":
        reasons += _unreached("the share of pairs on which both orders agree", results.order, wanted.order)
    reasons += _unreached("the share of repeated questions answered alike", results.repeat, wanted.repeat)
    if not silent <= wanted.unparseable:
        reasons.append(
            f"the judge gave no verdict on {results.unparseable:,} of {results.items:,} items; at most"
            f" {wanted.unparseable:.0%} are accepted"
        )
    reasons += _canary_reasons(results.canaries)
    reasons += _bias_reasons(results.bias, wanted.margin)
    reasons += [
        f"in the stratum {part.stratum!r} κ is at most {part.kappa.upper:.2f}, below {wanted.kappa:.2f}"
        for part in results.strata
        if part.kappa.upper is not None and part.kappa.upper < wanted.kappa
    ]
    return tuple(reasons)


def at_least_default(thresholds: AdmissionThresholds) -> AdmissionThresholds:
    """The thresholds, of which those that are laxer than the defaults are replaced by them."""
    default = DEFAULT_THRESHOLDS
    return AdmissionThresholds(
        items=max(thresholds.items, default.items),
        per_label=max(thresholds.per_label, default.per_label),
        kappa=max(thresholds.kappa, default.kappa),
        order=max(thresholds.order, default.order),
        repeat=max(thresholds.repeat, default.repeat),
        unparseable=min(thresholds.unparseable, default.unparseable),
        unsettled=min(thresholds.unsettled, default.unsettled),
        alpha=min(thresholds.alpha, default.alpha),
        # No laxness: a gate takes the bound off whatever its own margin is.
        margin=thresholds.margin,
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


def _too_little(results: AdmissionResults, wanted: AdmissionThresholds) -> Iterable[str]:
    if results.settled < wanted.items:
        yield f"{results.settled:,} items have a label that people agree on; at least {wanted.items:,} are needed"
    for label in _NEEDED[results.kind]:
        if results.labels.get(label, 0) < wanted.per_label:
            yield (
                f"people label {results.labels.get(label, 0):,} items {label!r}; at least {wanted.per_label:,} are"
                " needed, so choose items that are stratified by label"
            )
    open_ = 1.0 - results.settled / results.items if results.items else 0.0
    if not open_ <= wanted.unsettled:
        yield (
            f"people do not come to a majority on {results.items - results.settled:,} of {results.items:,} items; at"
            f" most {wanted.unsettled:.0%} are accepted"
        )


def _unreached(what: str, figure: Figure | None, wanted: float) -> Iterable[str]:
    """Pass if proven: a bound that does not exist reaches nothing."""
    if figure is None or figure.lower is None:
        yield f"{what} is not known: {'it was not measured' if figure is None else figure.method}"
    elif not figure.lower >= wanted:
        yield (
            f"{what} is only known to be at least {figure.lower:.2f} (estimate {figure.estimate:.2f},"
            f" {figure.of:,} times); {wanted:.2f} is needed"
        )


def _canary_reasons(counts: Sequence[CanaryCount]) -> Iterable[str]:
    tried = sum(canary.tried for canary in counts)
    passed, lost = sum(canary.passed for canary in counts), sum(canary.lost for canary in counts)
    if not tried:
        yield "no canary was tried"
    if passed:
        names = ", ".join(canary.canary for canary in counts if canary.passed)
        yield f"the judge let {passed:,} of {tried:,} canaries pass ({names})"
    if lost:
        names = ", ".join(canary.canary for canary in counts if canary.lost)
        yield f"the judge gave no verdict on {lost:,} of {tried:,} canaries ({names})"


def _bias_reasons(bias: BiasFigures | None, margin: float) -> Iterable[str]:
    """Why its differences between systems may not be believed."""
    if bias is None:
        yield "how its error differs between systems was not measured"
        return
    if bias.unknown or bias.difference is None:
        yield (
            f"{bias.unknown or 'how its error differs between systems was not measured'}, so nobody can know how far"
            " off its difference between two systems is: name the system of each labelled answer, of two systems at"
            " least, or let it watch"
        )
    elif not bias.difference < margin:
        worst = "" if bias.worst is None else f" ({_seen(bias.worst)})"
        yield (
            f"its difference between two systems may be off by {100.0 * bias.difference:.1f} points{worst};"
            f" less than {100.0 * margin:g} are needed, which is the margin"
        )
    for trait in bias.traits:
        proven = max(trait.bias.lower or 0.0, -(trait.bias.upper or 0.0))
        if proven >= margin and trait.bias.estimate is not None:
            yield (
                f"it gives {_KINDS.get(trait.trait, trait.trait)} {100.0 * trait.bias.estimate:+.1f} points more than"
                f" people do, compared with others ({100.0 * proven:.1f} at least)"
            )


def _seen(worst: PairBias) -> str:
    people, judge = 100.0 * worst.people, 100.0 * worst.judge
    one, other = (one_line(system, 60) for system in worst.systems)
    return f"{one} → {other}: people {people:+.1f}, judge {judge:+.1f}"


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
    if record.admitted and record.results.bias is None:
        return (
            f"its record, made by llmgate {one_line(record.llmgate_version, 20)}, says nothing on how its error differs"
            " between systems; admit it again on labels that name the system of each answer"
        )
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
