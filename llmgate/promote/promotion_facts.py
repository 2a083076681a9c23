"""Everything that the answer to "may this version have this alias?" depends on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from llmgate.gate.metrics.policy_changes import weaker_than
from llmgate.promote import tags
from llmgate.promote.target import PastVerdict, PromotionEvidence, RecordIdentity, VersionFacts
from llmgate.record.policy import Binding

__all__ = ["AGAIN", "PromotionFacts", "instant", "utc"]

AGAIN = "run the gate again on this version"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionFacts:
    """The facts, as they are at one moment.

    Attributes:
        version: Who wants the alias.
        holder: Who holds it now, None if nobody does.
        evidence: The proof of the version's verdict.
        alias: The alias.
        now: Aware time.
        max_age: How long a verdict counts.
        earned: The record that earned the holder the alias, None if there is no holder or it was not kept.
        past: All gate runs of the version.
        accepted: Whether somebody gave a reason for what would be refused without one.
    """

    version: VersionFacts
    holder: VersionFacts | None
    evidence: PromotionEvidence
    alias: str
    now: datetime
    max_age: timedelta
    earned: RecordIdentity | None
    past: tuple[PastVerdict, ...]
    accepted: bool

    @property
    def held(self) -> bool:
        """Whether the version holds the alias already."""
        return self.holder is not None and self.holder.version == self.version.version

    @property
    def promoted_at(self) -> datetime | None:
        """When the version got the alias, as it was noted; None if it did not, or by other means."""
        told = self.version.tags
        noted = self.held and told.get(tags.PROMOTED_ALIAS) == self.alias
        return instant(told.get(tags.PROMOTED_AT, "")) if noted else None

    @property
    def settled(self) -> bool:
        """Whether it was promoted once, and nothing is asked for but to say so or to keep what earned it."""
        return self.held and not self.renews and (self.earned is not None or self.promoted_at is not None)

    @property
    def renews(self) -> bool:
        """Whether evidence that earned the alias is to be replaced by later evidence of the same version."""
        return self.held and self.accepted and self.earned not in (None, self.evidence.candidate)

    @property
    def binding(self) -> Binding:
        """What ties the run to the version; a tag counts only where it was written for weights that were served."""
        e, model = self.evidence, self.evidence.candidate.manifest.model
        # The files of a version may be an adapter alone; a tag is always about all that was measured.
        known = {model.weights_digest if e.source_digest and model.held_by(e.source_digest) else None}
        if model.registry_uri is None or model.binding is Binding.WEIGHTS:
            known.add(self.version.tags.get(tags.WEIGHTS_DIGEST))
        served = e.candidate.manifest.server.owned and model.weights_digest is not None
        return Binding.WEIGHTS if served and model.weights_digest in known else Binding.CLAIMED

    @property
    def weaker(self) -> tuple[str, ...]:
        """What the policy asks less for than that of the evidence which is to be succeeded."""
        if self.earned is None or (self.held and not self.renews):
            return ()
        return weaker_than(self.earned.manifest, self.evidence.candidate.manifest)


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
