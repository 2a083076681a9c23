"""Who holds an alias, by which verdict, since when, and who is waiting: as the registry tells it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError
from llmgate.promote import tags
from llmgate.promote.alias import CHAMPION
from llmgate.promote.attached import attached_verdicts, attempts_so_far, held_by
from llmgate.promote.counted import tried_before
from llmgate.promote.mirror import MirrorEvent
from llmgate.promote.mlflow_target import noted_verdicts
from llmgate.promote.promotion_facts import instant
from llmgate.promote.refreshed import refresh_note
from llmgate.promote.rollback import former_holders

if TYPE_CHECKING:
    from llmgate.attest.statement import VerdictStatement
    from llmgate.promote.mirror import Mirror
    from llmgate.promote.target import Registry, VersionFacts

__all__ = ["ChampionStatus", "Status", "WaitingVersion", "read_status"]

MOST_WAITING = 10
ROLLBACK_NOTE = re.compile(r"(?P<at>\S+) from (?P<over>\d+) to (?P<to>\d+): (?P<reason>.*)", re.DOTALL)
OUTCOME = re.compile(r"PASS|FAIL|INCONCLUSIVE")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionStatus:
    """Who holds the alias.

    Attributes:
        version: Its number.
        since: When it got the alias, None if nobody wrote that down.
        how: promoted, bootstrapped, overridden or rolled-back; None if nobody wrote that down.
        over: The version that held it before, None if that is not known, or nobody did.
        verdict: Digest of the verdict by which it holds the alias, None without one.
        outcome: What that verdict says.
        issued_at: When it was given.
        sentence: What it says in words; for an override who overrode, and why.
        attempts: How many verdicts were taken on this version.
        tried: Which attempt at this candidate its last verdict is, with those before it; "" at the first.
        reason: Why the alias was rolled back to it, "" if it was not.
        refreshed: When it was asked again since, as a tag says; "" if it was not, None if the tag cannot be read.
    """

    version: str
    since: datetime | None
    how: str | None
    over: str | None
    verdict: str | None
    outcome: str | None
    issued_at: datetime | None
    sentence: str
    attempts: int
    reason: str
    tried: str = ""
    refreshed: str | None = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingVersion:
    """A version that does not hold the alias.

    Attributes:
        version: Its number.
        created_at: When it was registered.
        outcome: What its last verdict says, None if there is none.
        at: When that verdict was given.
        signed: Digest of the signed verdict, None if it was not signed for this alias.
        expires_at: From when on it promotes nothing.
        spent: Whether that verdict has given it the alias before, and promotes no second time.
        attempts: How many verdicts were taken on it.
        tried: Which attempt at this candidate its last verdict is, with those before it; "" at the first.
    """

    version: str
    created_at: datetime
    outcome: str | None
    at: datetime | None
    signed: str | None
    expires_at: datetime | None
    spent: bool
    attempts: int
    tried: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One alias of one model.

    Attributes:
        name: Registered model.
        alias: The alias.
        gated: Whether the registry itself protects the model; None if it does not say.
        ledgered: Whether it shows a ledger of this alias.
        champion: Who holds the alias, None if nobody does.
        ledger_holder: Who holds it by the ledger, where that is somebody else: then it was moved past the gate.
        former: Who held it before, the last one first.
        history: What the ledger shows, newest first.
        waiting: Newer versions, the newest first.
        left_out: How many more of those there are.
    """

    name: str
    alias: str
    gated: bool | None
    ledgered: bool
    champion: ChampionStatus | None
    ledger_holder: str | None
    former: tuple[str, ...]
    history: tuple[MirrorEvent, ...]
    waiting: tuple[WaitingVersion, ...]
    left_out: int


def read_status(registry: Registry, name: str, alias: str = CHAMPION) -> Status:
    """Ask a registry about one alias. Changes nothing.

    Args:
        registry: The registry.
        name: Registered model.
        alias: The alias.

    Raises:
        CannotRunError: If the registry cannot be reached, or shows a ledger that cannot be read.
    """
    registry.aliases(name)  # says so if there is no such model; a look-up by alias does not
    holder = registry.holder(name, alias)
    mirror = registry.mirror(name, alias)
    gated = registry.gated(name)
    former = former_holders(registry, holder, alias, mirror) if holder is not None else ()
    moved = mirror.holding if mirror is not None else None
    expected = moved.version if moved is not None and (holder is None or holder.version != moved.version) else None
    others = [
        version
        for version in registry.versions(name)
        if holder is None or (version.version != holder.version and version.version not in former)
    ]
    newer = [version for version in others if holder is None or int(version.version) > int(holder.version)]
    return Status(
        name=name,
        alias=alias,
        gated=gated,
        ledgered=mirror is not None,
        champion=champion_status(holder, alias, mirror, gated=gated) if holder is not None else None,
        ledger_holder=expected,
        former=former,
        history=mirror.events if mirror is not None else (),
        waiting=tuple(waiting(version, alias, mirror) for version in newer[:MOST_WAITING]),
        left_out=max(0, len(newer) - MOST_WAITING),
    )


def champion_status(holder: VersionFacts, alias: str, mirror: Mirror | None, *, gated: bool | None) -> ChampionStatus:
    """The holder, by the ledger where there is one, else by the version's tags."""
    held = held_by(holder, alias, mirror, gated=gated)
    verdict = held.attached.verdict if held.attached is not None else None
    move = mirror.holding if mirror is not None else None
    rolled_back = rollback_note(holder, alias)
    told = holder.tags
    noted = told.get(tags.PROMOTED_ALIAS) == alias
    since, how, over = None, None, None
    if move is not None and move.version == holder.version:
        since, how, over = move.at, move.event, move.over
    elif rolled_back is not None:
        since, how, over = instant(rolled_back["at"]), "rolled-back", rolled_back["over"]
    elif noted:
        since, how = instant(told.get(tags.PROMOTED_AT, "")), "promoted"
        over = told.get(tags.PROMOTED_OVER)
    return ChampionStatus(
        version=holder.version,
        since=since,
        how=how,
        over=over if over is not None and over.isdecimal() else None,
        verdict=held.digest,
        outcome=verdict.outcome if verdict is not None else told.get(tags.VERDICT),
        issued_at=verdict.issued_at if verdict is not None else None,
        sentence=sentence_of(verdict) if verdict is not None else "",
        attempts=attempts_so_far(holder, alias, mirror, tuple(noted_verdicts(holder))),
        reason=rolled_back["reason"] if rolled_back is not None and how == "rolled-back" else "",
        tried=tried_before(holder),
        refreshed=refreshed_at(holder, alias),
    )


def refreshed_at(holder: VersionFacts, alias: str) -> str | None:
    """When the champion was asked again, as its tag says."""
    try:
        note = refresh_note(holder, alias)
    except CannotRunError:
        return None
    return note.at if note is not None else ""


def rollback_note(version: VersionFacts, alias: str) -> re.Match[str] | None:
    """The note of a rollback to a version, None if there is none or it was to another one."""
    match = ROLLBACK_NOTE.fullmatch(version.tags.get(f"{tags.ROLLBACK}/{alias}", ""))
    return match if match is not None and match["to"] == version.version else None


def sentence_of(verdict: VerdictStatement) -> str:
    """What a verdict says in words."""
    if verdict.kind == "override":
        return f"Overridden by {verdict.by}: {verdict.reason}"
    return str(verdict.predicate.get("sentence", ""))


def waiting(version: VersionFacts, alias: str, mirror: Mirror | None) -> WaitingVersion:
    """A version with its last verdict, signed or not."""
    signed = next((one.verdict for one in attached_verdicts(version, alias)), None)
    past = sorted(noted_verdicts(version), key=lambda one: one.ended_at)
    noted = past[-1] if past else None
    # A gate run that was not signed may have come after the one that was.
    newest = signed is not None and (
        noted is None or noted.verdict == signed.outcome or noted.ended_at <= signed.issued_at
    )
    outcome, at = (signed.outcome, signed.issued_at) if newest and signed is not None else (None, None)
    if not newest and noted is not None and OUTCOME.fullmatch(noted.verdict):
        outcome, at = noted.verdict, noted.ended_at
    return WaitingVersion(
        version=version.version,
        created_at=version.created_at,
        outcome=outcome,
        at=at,
        signed=signed.digest if newest and signed is not None else None,
        expires_at=signed.expires_at if newest and signed is not None else None,
        spent=newest and signed is not None and mirror is not None and signed.digest in mirror.earned,
        attempts=attempts_so_far(version, alias, mirror, tuple(past)),
        tried=tried_before(version),
    )
