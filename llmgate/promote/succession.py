"""May this version take the alias over from whoever holds it?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from llmgate.promote.promotion_facts import AGAIN, utc

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision
    from llmgate.promote.promotion_facts import PromotionFacts
    from llmgate.promote.target import RecordIdentity

__all__ = ["NOTE_ROUNDING", "against_the_holder", "as_strict", "kept", "two_models", "with_what_earned_it"]

NOTE_ROUNDING = timedelta(seconds=1)
"""The note of when a version was promoted has no fractions of seconds."""
ANEW = "remove the alias, and promote it anew by thresholds (min:)"


def two_models(facts: PromotionFacts) -> str | None:
    """Candidate and baseline did not come from the same place."""
    baseline = facts.evidence.baseline
    if baseline is None or facts.held:
        return None
    here, there = (record.manifest for record in (facts.evidence.candidate, baseline))
    places = {(side.server.url.rstrip("/"), side.model.name, side.server.deployment) for side in (here, there)}
    if not (here.server.owned or there.server.owned) and len(places) == 1:
        return (
            f"candidate and baseline were both answered by {here.model.name!r} at {here.server.url}, so nothing shows "
            "that they are two models; serve this version under a name of its own, or name each with --deployment, "
            f"and {AGAIN}"
        )
    return None


def kept(facts: PromotionFacts) -> str | None:
    """What earned the alias so far is known."""
    if facts.holder is None or facts.earned is not None:
        return None
    if facts.held:
        return not_replaced(facts)
    return (
        f"version {facts.holder.version} holds the alias, but what earned it was not kept: an older llmgate set the "
        f"alias, or something else did; run `llmgate promote {facts.holder.uri} --alias {facts.alias}` first, and the "
        f"gate with {baseline_uri(facts)} as baseline"
    )


def against_the_holder(facts: PromotionFacts) -> str | None:
    """It was compared with whoever holds the alias today, or is the first."""
    e, holder = facts.evidence, facts.holder
    if facts.held and not facts.renews:
        return None
    if e.baseline is None and (holder is None or facts.renews):
        return by_threshold(facts)
    if holder is None:
        return "nobody holds the alias any more, so the comparison is stale; run the gate again without a baseline"
    if e.baseline is None:
        return (
            f"version {holder.version} holds the alias but the candidate was not compared with it, "
            f"run the gate with {baseline_uri(facts)} as baseline"
        )
    return None if judged_by(e.decision, "champion") else f"no metric was compared with the baseline, {AGAIN}"


def with_what_earned_it(facts: PromotionFacts) -> str | None:
    """The baseline is what earned the alias, or the same weights served again for a suite that has changed since."""
    baseline, earned = facts.evidence.baseline, facts.earned
    if baseline is None or earned is None or (facts.held and not facts.renews):
        return None
    if baseline == earned or same_weights(baseline, earned):
        return None
    return (
        f"the baseline is run {baseline.manifest.run_id!r} and not the one that earned "
        f"version {facts.holder and facts.holder.version} the alias, so the verdict is stale; "
        f"run the gate with {baseline_uri(facts)} as baseline"
    )


def baseline_uri(facts: PromotionFacts) -> str:
    """How the gate is told to compare with whoever holds the alias."""
    return f"models:/{facts.version.name}@{facts.alias}"


def by_threshold(facts: PromotionFacts) -> str | None:
    """Where there is nothing to compare with, an absolute threshold was kept."""
    if judged_by(facts.evidence.decision, "threshold"):
        return None
    return f"no metric was held to a threshold, set min: and {AGAIN}"


def not_replaced(facts: PromotionFacts) -> str | None:
    """What a version that holds the alias shows today is still what earned it.

    An older llmgate noted when it promoted, and kept nothing; a gate run after that replaced what there was.
    """
    if facts.promoted_at is None:
        return by_threshold(facts) and f"nothing shows what earned this version the alias; {ANEW}"
    if facts.evidence.ended_at >= facts.promoted_at + NOTE_ROUNDING:
        return (
            f"{facts.evidence.where} judged this version after it got the alias at {utc(facts.promoted_at)}, and what "
            f"earned it was not kept; {ANEW}"
        )
    return None


def judged_by(decision: Decision, reference: Literal["champion", "threshold"]) -> bool:
    """Whether any gating metric was judged that way. How fast answers come says nothing of what they are worth."""
    return any(m.gates and m.reference == reference and not m.unit for m in decision.metrics)


def same_weights(baseline: RecordIdentity, earned: RecordIdentity) -> bool:
    """Whether llmgate served the same weights in the same way."""
    before, after = earned.manifest, baseline.manifest
    return (
        before.server.owned
        and after.server.owned
        and after.model.weights_digest is not None
        and after.model.weights_digest == before.model.weights_digest
        and (after.server.engine, after.server.flags) == (before.server.engine, before.server.flags)
    )


def as_strict(facts: PromotionFacts) -> str | None:
    """Its policy asks for no less than that of what earned the alias so far, or somebody says why."""
    if facts.weaker and not facts.accepted:
        return (
            f"its policy asks for less than the one by which the alias was earned ({'; '.join(facts.weaker)}); "
            'judge it by that one, or say why this one will do: --accept-policy-change "reason"'
        )
    return None
