"""May this version have this alias? A pure function of facts; every refusal says why and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from llmgate.errors import UsageError
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.promote import tags
from llmgate.promote.alias import alias_problem
from llmgate.promote.target import PromotionEvidence, RecordIdentity, VersionFacts, parse_version_uri

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_MAX_AGE", "Permission", "Refusal", "binding_problem", "may_promote"]

DEFAULT_MAX_AGE = timedelta(days=30)
"""How long a verdict counts: servers, judges and traffic move on."""
CLOCK_SKEW = timedelta(minutes=5)
"""How far a record may lie in the future before the clocks are not believed."""

AGAIN = "run the gate again on this version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """The alias may be set.

    Attributes:
        over: The version that holds the alias now, None if nobody does.
        held: Whether the version already holds it, so that nothing needs to be set.
    """

    alias: str
    version: VersionFacts
    over: VersionFacts | None
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The alias must not be set. `reason` is one sentence without its full stop: why, and what to do."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionFacts:
    """Everything that the answer depends on."""

    version: VersionFacts
    holder: VersionFacts | None
    evidence: PromotionEvidence
    now: datetime
    max_age: timedelta


def may_promote(
    *,
    version: VersionFacts,
    holder: VersionFacts | None,
    evidence: PromotionEvidence | None,
    alias: str,
    now: datetime,
    aliases: frozenset[str] = frozenset(),
    max_age: timedelta = DEFAULT_MAX_AGE,
) -> Permission | Refusal:
    """Decide on a promotion.

    Args:
        version: Who wants the alias.
        holder: Who holds it now, None if nobody does.
        evidence: The proof of the version's verdict, None if there is no verdict.
        alias: The alias, as the caller wrote it.
        now: Aware time.
        aliases: All aliases of the model, to tell look-alikes.
        max_age: How long after its record was sealed a verdict counts.

    Returns:
        The permission, or the first reason against it.
    """
    if problem := alias_problem(alias, aliases):
        return Refusal(reason=problem)
    if not version.ready:
        return Refusal(reason="the registry has not finished creating this version, wait until its status is READY")
    if evidence is None:
        return Refusal(reason="this version has no verdict, run the gate on it first")
    facts = PromotionFacts(version=version, holder=holder, evidence=evidence, now=now, max_age=max_age)
    for check in CHECKS:
        if problem := check(facts):
            return Refusal(reason=problem)
    held = holder is not None and holder.version == version.version
    return Permission(alias=alias, version=version, over=holder, held=held)


def complete(facts: PromotionFacts) -> str | None:
    """The decision was taken from exactly the records that lie there."""
    e = facts.evidence
    sides: list[tuple[str, RecordIdentity, str | None, str | None]] = [
        ("candidate", e.candidate, e.decision.candidate_run, e.decision.candidate_digest)
    ]
    if e.baseline is not None:
        sides.append(("baseline", e.baseline, e.decision.champion_run, e.decision.champion_digest))
    elif e.decision.champion_run is not None or e.claimed.champion_run is not None:
        return f"the baseline record of {e.where} is missing, {AGAIN}"
    for side, record, run, digest in sides:
        if run != record.manifest.run_id or digest != record.seal.journal_digest:
            return f"the decision was not taken from the {side} record of {e.where}, {AGAIN}"
    return None


def untampered(facts: PromotionFacts) -> str | None:
    """The stored decision is the one that the records give."""
    stored, again = facts.evidence.claimed, facts.evidence.decision
    if stored.verdict is not again.verdict:
        return (
            f"the stored decision says {stored.verdict} but its records give {again.verdict}, "
            f"so the evidence in {facts.evidence.where} was altered; {AGAIN}"
        )
    if essence(stored) != essence(again):
        return f"the stored decision differs from the one that its records give, {AGAIN}"
    return None


def essence(decision: Decision) -> tuple[object, ...]:
    """What another version of llmgate, which may word and round differently, must still agree on."""
    return (
        decision.candidate_run,
        decision.candidate_digest,
        decision.champion_run,
        decision.champion_digest,
        tuple((m.suite, m.metric, m.verdict, m.waived) for m in decision.metrics),
        tuple((part.name, part.failed, part.waived) for part in decision.slices),
        decision.required_failures,
    )


def passed(facts: PromotionFacts) -> str | None:
    """The verdict is PASS, and something gated."""
    d = facts.evidence.decision
    if d.verdict is Verdict.FAIL:
        return f"the verdict is FAIL, repair the regression that the report in {facts.evidence.where} shows and {AGAIN}"
    if d.verdict is Verdict.INCONCLUSIVE:
        return (
            "the verdict is INCONCLUSIVE, which never allows a promotion; "
            f"evaluate more cases or clear the errors in the report in {facts.evidence.where}"
        )
    gating = [m for m in d.metrics if m.gates and not m.waived]
    if any(part.failed and not part.waived for part in d.slices):
        return f"the verdict is PASS although a slice in {facts.evidence.where} failed, {AGAIN}"
    if d.problems or d.required_failures or any(m.verdict is not Verdict.PASS for m in gating):
        return f"the verdict is PASS although the evidence in {facts.evidence.where} is not, {AGAIN}"
    if not gating:
        return "no metric gates, so the verdict proves nothing; give the suite's policy a primary metric"
    return None


def about_this_version(facts: PromotionFacts) -> str | None:
    """The record was measured on this very version."""
    if problem := binding_problem(
        facts.version, facts.evidence.subject, facts.evidence.candidate, facts.evidence.source_digest
    ):
        return f"{problem}, {AGAIN}"
    return None


def binding_problem(
    version: VersionFacts, subject: str | None, record: RecordIdentity, source_digest: str | None = None
) -> str | None:
    """Why a record was not measured on this very version, None if it was.

    Args:
        version: The version.
        subject: The version that the registry's run names.
        record: What the record itself says.
        source_digest: SHA-256 over the files at the version's source, None where they were not looked at.
    """
    model, tagged = record.manifest.model, version.tags.get(tags.WEIGHTS_DIGEST)
    for judged in (subject, model.registry_uri):
        if judged is not None and judged != version.uri:
            return f"the verdict is about {judged} and not about {version.uri}"
    if subject is None:
        return "the run that holds the verdict does not say which version it judged"
    if source_digest is not None and source_digest != model.weights_digest:
        return f"the files at {version.source} are not the weights that were measured"
    if tagged is not None and tagged != model.weights_digest:
        return "the weights digest on the version is not that of the weights that were measured"
    # A run that was started for the registered version is bound by its name; the digests then only confirm.
    if model.registry_uri is None and (model.weights_digest is None or (source_digest or tagged) is None):
        return "nothing ties the weights that were measured to this version"
    return None


def not_recreated(facts: PromotionFacts) -> str | None:
    """The version existed before its verdict did."""
    e = facts.evidence
    bound = e.candidate.manifest.model.registry_uri is not None
    judged_at = instant(e.candidate.seal.sealed_at) if bound else e.ended_at
    if judged_at is None:
        return f"the time at which the record of {e.where} was sealed is unreadable, {AGAIN}"
    if facts.version.created_at > judged_at:
        return (
            f"this version was created at {utc(facts.version.created_at)}, after the run that judged it "
            f"({utc(judged_at)}), so the verdict is about a version that was deleted; {AGAIN}"
        )
    return None


def in_time(facts: PromotionFacts) -> str | None:
    """The verdict is neither too old nor from the future."""
    sealed_at = instant(facts.evidence.candidate.seal.sealed_at)
    if sealed_at is None:
        return f"the time at which the record of {facts.evidence.where} was sealed is unreadable, {AGAIN}"
    if sealed_at > facts.now + CLOCK_SKEW:
        return f"the record was sealed at {utc(sealed_at)}, which is still to come, set the clocks right and {AGAIN}"
    if facts.now - sealed_at > facts.max_age:
        return f"the verdict of {utc(sealed_at)} is older than {facts.max_age.days} days and has expired, {AGAIN}"
    return None


def against_the_holder(facts: PromotionFacts) -> str | None:
    """It was compared with whoever holds the alias today."""
    e, holder = facts.evidence, facts.holder
    if holder is not None and holder.version == facts.version.version:
        return None
    if holder is None and e.baseline is None:
        return (
            None if judged_by(e.decision, "threshold") else f"no metric was held to a threshold, set min: and {AGAIN}"
        )
    if e.baseline is None:
        return (
            f"version {holder and holder.version} holds the alias but the candidate was not compared with it, "
            "run the gate with it as baseline"
        )
    if holder is None:
        return "nobody holds the alias any more, so the comparison is stale; run the gate again without a baseline"
    if not judged_by(e.decision, "champion"):
        return f"no metric was compared with the baseline, {AGAIN}"
    return baseline_is(e.baseline, holder)


def judged_by(decision: Decision, reference: Literal["champion", "threshold"]) -> bool:
    """Whether any gating metric was judged that way."""
    return any(m.gates and m.reference == reference for m in decision.metrics)


def baseline_is(baseline: RecordIdentity, holder: VersionFacts) -> str | None:
    """The baseline's record was measured on the version that holds the alias now."""
    model, tagged = baseline.manifest.model, holder.tags.get(tags.WEIGHTS_DIGEST)
    if model.weights_digest is not None and tagged is not None and tagged != model.weights_digest:
        problem: str | None = f"the baseline's weights are not those of version {holder.version}"
    elif model.registry_uri is not None:
        problem = measured_on(model.registry_uri, instant(baseline.seal.sealed_at), holder)
    elif holder.tags.get(tags.RUN_ID) == baseline.manifest.run_id and model.weights_digest is not None:
        # The holder was registered after its own gate run, and that run's record is the baseline.
        problem = None
    else:
        problem = f"nothing shows that the baseline is version {holder.version}"
    if problem is None:
        return None
    return f"{problem}, which holds the alias now, so the verdict is stale; run the gate with {holder.uri} as baseline"


def measured_on(registry_uri: str, sealed_at: datetime | None, holder: VersionFacts) -> str | None:
    """Why a baseline that was started for a registered version is not the holder's, None if it is."""
    try:
        name, version = parse_version_uri(registry_uri)
    except UsageError:
        return f"the baseline is {registry_uri}, which may by now be another model than version {holder.version}"
    if (name, version) != (holder.name, holder.version):
        return f"the candidate was compared with {registry_uri} and not with version {holder.version}"
    if sealed_at is None or holder.created_at > sealed_at:
        return f"the baseline was measured before the creation of version {holder.version}"
    return None


def instant(text: str) -> datetime | None:
    """The time that a record states, None if it is unreadable or has no zone."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    return value if value.tzinfo is not None else None


def utc(value: datetime) -> str:
    """For a reader: to the second, with its zone."""
    return value.isoformat(sep=" ", timespec="seconds")


CHECKS: tuple[Callable[[PromotionFacts], str | None], ...] = (
    complete,
    untampered,
    passed,
    about_this_version,
    not_recreated,
    in_time,
    against_the_holder,
)
"""In the order in which a reader wants to hear of them; each returns one clause or None."""
