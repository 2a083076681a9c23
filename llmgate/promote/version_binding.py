"""Was a record measured on this very version, and how is that known?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.promote import tags
from llmgate.promote.promotion_facts import AGAIN, instant, utc
from llmgate.record.policy import Binding

if TYPE_CHECKING:
    from datetime import datetime

    from llmgate.promote.promotion_facts import PromotionFacts
    from llmgate.promote.target import RecordIdentity, VersionFacts

__all__ = ["about_this_version", "binding_problem", "bound", "not_recreated", "recreated_problem"]


def about_this_version(facts: PromotionFacts) -> str | None:
    """The record was measured on this very version."""
    if problem := binding_problem(
        facts.version, facts.evidence.subject, facts.evidence.candidate, facts.evidence.source_digest
    ):
        return f"{problem}, {AGAIN}"
    return None


def bound(facts: PromotionFacts) -> str | None:
    """Weights tie it to this version, or the policy takes the run's word."""
    manifest = facts.evidence.candidate.manifest
    if facts.settled or Binding.WEIGHTS is facts.binding or manifest.policy.binding is Binding.CLAIMED:
        return None
    who = "its digest is not known" if manifest.server.owned else "an endpoint answered"
    return (
        f"that {facts.version.uri} answered is claimed and not shown ({who}); run the gate on its folder with --model, "
        "or write `binding: claimed` into the policy if a claim is enough"
    )


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
    # Where an endpoint answered no weights were measured, and `bound` says what that means.
    measured = model.weights_digest is not None or record.manifest.server.owned
    if measured and source_digest is not None and not model.held_by(source_digest):
        return f"the files at {version.source} are not the weights that were measured"
    if measured and tagged is not None and tagged != model.weights_digest:
        return "the weights digest on the version is not that of the weights that were measured"
    # A run that was started for the registered version is bound by its name; the digests then only confirm.
    if model.registry_uri is None and (model.weights_digest is None or (source_digest or tagged) is None):
        return "nothing ties the weights that were measured to this version"
    return None


def not_recreated(facts: PromotionFacts) -> str | None:
    """The version existed before its verdict did."""
    problem = recreated_problem(facts.version, facts.evidence.candidate, facts.evidence.ended_at)
    return problem and f"{problem}; {AGAIN}"


def recreated_problem(version: VersionFacts, record: RecordIdentity, ended_at: datetime) -> str | None:
    """Why a record was made before the version that it is about, None if it was not.

    Args:
        version: The version.
        record: What was measured on it.
        ended_at: When the registry's run was closed; a version that was registered with its run is older than that.
    """
    named = record.manifest.model.registry_uri is not None
    judged_at = instant(record.seal.sealed_at) if named else ended_at
    if judged_at is None:
        return "the time at which the record was sealed is unreadable"
    # A seal tells whole seconds, and a small suite is done within the second in which its version was made.
    created_at = version.created_at.replace(microsecond=0) if not judged_at.microsecond else version.created_at
    if created_at > judged_at:
        return (
            f"this version was created at {utc(version.created_at)}, after the run that judged it "
            f"({utc(judged_at)}), so the verdict is about a version that was deleted"
        )
    return None
