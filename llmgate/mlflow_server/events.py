"""What a ledger holds: verdicts that were shown to the registry, and who held a protected alias when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

from llmgate.attest.check import Granted, Holder

__all__ = ["EPOCH", "Held", "History", "PromotionRow", "StoredVersion", "VerdictRow", "instant", "millis"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Event = Granted | Literal["rolled-back"]


def instant(milliseconds: int) -> datetime:
    """A time of MLflow's, without the rounding of a float."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def millis(moment: datetime) -> int:
    """Milliseconds since 1970, as MLflow counts; what is below a millisecond is dropped."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """A version as the registry has it.

    Attributes:
        version: Its number.
        created: When it was created, milliseconds since 1970.
        source: Where its weights lie.
        stage: Its stage, in MLflow's spelling.
        tags: The tags that llmgate or MLflow's prompts use.
    """

    version: int
    created: int
    source: str
    stage: str
    tags: dict[str, str]


# Rows are tuples: a registry with hundreds of promotions reads hundreds of rows at each.
class Held(NamedTuple):
    """Somebody who held an alias.

    Attributes:
        version: Version number.
        created: When that version was created, milliseconds since 1970.
        verdict: Digest of the verdict by which it did, None if it held the alias before the registry was gated.
        weights: Digest of the weights in that verdict, None where it has none.
    """

    version: int
    created: int
    verdict: str | None
    weights: str | None

    def same_version(self, other: Held | StoredVersion) -> bool:
        """Whether both are one version, and not two that had one number."""
        return (self.version, self.created) == (other.version, other.created)

    def holder(self) -> Holder:
        """The same in the words of a verdict."""
        return Holder(
            version=str(self.version), created_at=instant(self.created), verdict=self.verdict, weights=self.weights
        )


class VerdictRow(NamedTuple):
    """A verdict that was verified when somebody put it on a version.

    Attributes:
        seq: Its place among all events of the model, counted from 1.
        version: Version number.
        created: When that version was created, milliseconds since 1970.
        alias: The alias, or `stage:NAME`, that it is for.
        digest: SHA-256 of what was signed.
        outcome: PASS, FAIL, INCONCLUSIVE or OVERRIDE.
        weights: Digest of the weights, None where only answers are known.
        issued: When it was given, milliseconds since 1970.
        expires: From when on it promotes nothing.
        attempt: Which verdict on this version, or on the same weights, it is for this alias; counted from 1.
        signers: The names of the keys, for people.
        at: When the registry saw it.
    """

    seq: int
    version: int
    created: int
    alias: str
    digest: str
    outcome: str
    weights: str | None
    issued: int
    expires: int
    attempt: int
    signers: str
    at: int


class PromotionRow(NamedTuple):
    """An alias that moved.

    Attributes:
        seq: Its place among all events of the model, counted from 1.
        alias: The alias, or `stage:NAME`.
        event: How it moved.
        to: Who holds it since.
        over: Who held it before, None if nobody did.
        at: When, milliseconds since 1970.
        reason: Of an override, with who gave it; empty otherwise.
    """

    seq: int
    alias: str
    event: Event
    to: Held
    over: Held | None
    at: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that the ledger has on one alias of one model, oldest first.

    Attributes:
        verdicts: For this alias, of all versions.
        promotions: Of this alias.
        last: The place of the model's last event, whatever alias it was about; 0 before the first.
        whole: Whether no event of the model is missing between the first and the last.
        since: From which place on nothing is left out, 0 if nothing is at all. Some of what is older may be there, and
            the last promotion is in any case.
    """

    verdicts: tuple[VerdictRow, ...] = ()
    promotions: tuple[PromotionRow, ...] = ()
    last: int = 0
    whole: bool = True
    since: int = 0

    def if_cut(self, verdicts: int, promotions: int) -> History:
        """The same if so many at most were read, the newest of each kind: then older ones may be left out."""
        kinds = ((self.verdicts, verdicts), (self.promotions, promotions))
        return replace(self, since=max(rows[0].seq if len(rows) == most else 0 for rows, most in kinds))

    def of(self, version: int, created: int) -> tuple[VerdictRow, ...]:
        """The verdicts on one version."""
        return tuple(row for row in self.verdicts if (row.version, row.created) == (version, created))

    def earned(self) -> frozenset[str]:
        """The digests of the verdicts that have promoted; each does so once."""
        return frozenset(
            row.to.verdict for row in self.promotions if row.event != "rolled-back" and row.to.verdict is not None
        )

    def held(self, version: int, created: int) -> bool:
        """Whether a version holds the alias or ever did."""
        everyone = [held for row in self.promotions for held in (row.to, row.over) if held is not None]
        return any((held.version, held.created) == (version, created) for held in everyone)
