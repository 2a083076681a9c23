"""May this version have this alias? A pure function of facts; every refusal says why and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Decision, Verdict
from llmgate.gate.decision.wording import attempt_words
from llmgate.promote.alias import alias_problem
from llmgate.promote.counted import noted_attempts
from llmgate.promote.promotion_facts import AGAIN, PromotionFacts, instant, utc
from llmgate.promote.succession import against_the_holder, as_strict, kept, two_models, with_what_earned_it
from llmgate.promote.target import VersionFacts
from llmgate.promote.version_binding import about_this_version, bound, not_recreated
from llmgate.record.policy import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.promote.target import PastVerdict, PromotionEvidence, RecordIdentity

__all__ = ["DEFAULT_MAX_AGE", "Permission", "Refusal", "may_promote"]

DEFAULT_MAX_AGE = timedelta(days=30)
"""How long a verdict counts: servers, judges and traffic move on."""
CLOCK_SKEW = timedelta(minutes=5)
"""How far a record may lie in the future before the clocks are not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """The alias may be set.

    Attributes:
        over: The version that holds the alias now, None if nobody does.
        held: Whether the version already holds it, so that nothing needs to be set.
        keep: Whether its evidence is to be kept as what earned the alias.
        binding: What ties the run that was judged to the version.
        weaker: What its policy asks less for than that of the evidence which earned the alias so far, and was
            accepted.
    """

    alias: str
    version: VersionFacts
    over: VersionFacts | None
    held: bool
    keep: bool
    binding: Binding
    weaker: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The alias must not be set. `reason` is one sentence without its full stop: why, and what to do."""

    reason: str


def may_promote(
    *,
    version: VersionFacts,
    holder: VersionFacts | None,
    evidence: PromotionEvidence | None,
    alias: str,
    now: datetime,
    aliases: frozenset[str] = frozenset(),
    max_age: timedelta = DEFAULT_MAX_AGE,
    earned: RecordIdentity | None = None,
    past: tuple[PastVerdict, ...] = (),
    accepted: bool = False,
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
        earned: The record that earned the holder the alias, None if there is no holder or it was not kept.
        past: All gate runs of this version.
        accepted: Whether somebody gave a reason for a policy that asks for less than the holder's did, or, for a
            version that holds the alias, for replacing the evidence that earned it.

    Returns:
        The permission, or the first reason against it.
    """
    if problem := alias_problem(alias, aliases):
        return Refusal(reason=problem)
    if not version.ready:
        return Refusal(reason="the registry has not finished creating this version, wait until its status is READY")
    if evidence is None:
        return Refusal(reason="this version has no verdict, run the gate on it first")
    facts = PromotionFacts(
        version=version,
        holder=holder,
        evidence=evidence,
        alias=alias,
        now=now,
        max_age=max_age,
        earned=earned,
        past=past,
        accepted=accepted,
    )
    for check in CHECKS:
        if problem := check(facts):
            return Refusal(reason=problem)
    return Permission(
        alias=alias,
        version=version,
        over=holder,
        held=facts.held,
        keep=not facts.held or earned is None or facts.renews,
        binding=facts.binding,
        weaker=facts.weaker,
    )


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
        decision.attempt.digests if decision.attempt is not None else (),
    )


def passed(facts: PromotionFacts) -> str | None:
    """The verdict is PASS, and something gated."""
    d = facts.evidence.decision
    tried = f" ({words})" if (words := attempt_words(d.attempt)) else ""
    if d.verdict is Verdict.FAIL:
        return (
            f"the verdict is FAIL{tried}, repair the regression that the report in {facts.evidence.where} shows and "
            f"{AGAIN}"
        )
    if d.verdict is Verdict.INCONCLUSIVE:
        return (
            f"the verdict is INCONCLUSIVE{tried}, which never allows a promotion; "
            f"evaluate more cases or clear the errors in the report in {facts.evidence.where}"
        )
    gating = [m for m in d.metrics if m.gates and not m.waived]
    if any(part.failed and not part.waived for part in d.slices):
        return f"the verdict is PASS although a slice in {facts.evidence.where} failed, {AGAIN}"
    if d.barring or d.required_failures or any(m.verdict is not Verdict.PASS for m in gating):
        return f"the verdict is PASS although the evidence in {facts.evidence.where} is not, {AGAIN}"
    if not gating:
        return "no metric gates, so the verdict proves nothing; give the suite's policy a primary metric"
    return None


def latest(facts: PromotionFacts) -> str | None:
    """No other verdict of this version came after it."""
    e = facts.evidence
    later = [past for past in facts.past if past.run != e.run and past.ended_at >= e.ended_at]
    if later:
        return (
            f"{e.where} is not the latest gate run of this version: {len(later)} came after it, the last one with "
            f"{later[-1]}; {AGAIN}"
        )
    return None


def counted(facts: PromotionFacts) -> str | None:
    """The attempts that the version's tags tell of were counted, if they were made before this one was sealed."""
    e = facts.evidence
    noted = noted_attempts(facts.version)
    own = noted.get(e.run)
    sealed_at = instant(e.candidate.seal.sealed_at)
    if own is None or sealed_at is None:
        return None
    known = {own.id, *(e.decision.attempt.digests if e.decision.attempt is not None else ())}
    ended = {past.run: past for past in facts.past}
    left_out = [
        ended[run]
        for run, other in noted.items()
        if other.key == own.key and other.id not in known and run in ended and ended[run].ended_at < sealed_at
    ]
    if not left_out:
        return None
    return (
        f"{e.where} calls itself attempt {own.number} and does not count {len(left_out)} that came before it "
        f"({', '.join(map(str, left_out))}); {AGAIN} with --mlflow-uri, so that they count together"
    )


def explained(facts: PromotionFacts) -> str | None:
    """What is unusually lax has a reason."""
    if facts.settled:
        return None
    for where, problem in facts.evidence.candidate.manifest.policy.unexplained:
        return f"{where}: {problem}; add `reason:` to the policy or tighten it, and {AGAIN}"
    return None


def in_time(facts: PromotionFacts) -> str | None:
    """The verdict is neither too old nor from the future."""
    sealed_at = instant(facts.evidence.candidate.seal.sealed_at)
    if sealed_at is None:
        return f"the time at which the record of {facts.evidence.where} was sealed is unreadable, {AGAIN}"
    if sealed_at > facts.now + CLOCK_SKEW:
        return f"the record was sealed at {utc(sealed_at)}, which is still to come, set the clocks right and {AGAIN}"
    # What holds the alias already earned it when its verdict was fresh.
    if facts.now - sealed_at > facts.max_age and not facts.settled:
        return f"the verdict of {utc(sealed_at)} is older than {facts.max_age.days} days and has expired, {AGAIN}"
    return None


CHECKS: tuple[Callable[[PromotionFacts], str | None], ...] = (
    complete,
    untampered,
    passed,
    latest,
    counted,
    about_this_version,
    not_recreated,
    bound,
    explained,
    in_time,
    two_models,
    kept,
    against_the_holder,
    with_what_earned_it,
    as_strict,
)
"""In the order in which a reader wants to hear of them; each returns one clause or None."""
