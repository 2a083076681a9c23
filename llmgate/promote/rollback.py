"""Back to who held the alias before."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import LlmgateError, PromotionRefusedError, UsageError
from llmgate.promote import tags
from llmgate.promote.alias import CHAMPION
from llmgate.promote.earned import read_earned
from llmgate.promote.promotion import MAX_NOTE, refusals_named, set_alias
from llmgate.promote.target import VersionFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.promote.evidence import SourceDigest
    from llmgate.promote.mirror import Mirror
    from llmgate.promote.target import PromotionTarget

__all__ = ["RolledBack", "former_holders", "roll_back"]

NOBODY = "none"
"""What the note of a first promotion has in place of a version."""
MOST_STEPS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """What was done.

    Attributes:
        alias: The alias.
        version: Who holds it again.
        over: Who held it until now.
        weights: Whether the files at its source were hashed just now and are those by which it held the alias; None
            if they cannot be reached from here.
        ledgered: Whether the registry's own ledger said that it held the alias, and records the rollback.
    """

    alias: str
    version: VersionFacts
    over: VersionFacts
    weights: bool | None
    ledgered: bool

    def lines(self) -> list[str]:
        """What a reader has to know, one line each."""
        known = "by the registry's ledger, which records the rollback" if self.ledgered else "by the versions' tags"
        hashed = "unchanged" if self.weights else "not compared, they or their digest cannot be had from here"
        return [f"held the alias before: {known}", f"weights: {hashed}"]


def roll_back(
    target: PromotionTarget,
    name: str,
    *,
    alias: str = CHAMPION,
    to: str | None = None,
    reason: str,
    source_digest: SourceDigest,
    clock: Callable[[], datetime] | None = None,
) -> RolledBack:
    """Give the alias back to a version that held it.

    A gated registry decides by its ledger whether that is allowed, and records it. For one that is not, the notes of
    earlier promotions say who held the alias, and what earned it then must still be there.

    Args:
        target: The registry.
        name: Registered model.
        alias: The alias.
        to: A version number; None for whoever held it last.
        reason: Why; it is written down.
        source_digest: Hashes the files at a version's source, None where they cannot be reached.
        clock: Gives the aware time, for tests.

    Raises:
        UsageError: If the reason is empty.
        PromotionRefusedError: With one sentence: why, and what to do.
        CannotRunError: If the registry cannot be reached.
    """
    if not reason.strip():
        raise UsageError("the reason is empty", where="--reason", fix="Say why the champion has to go")
    with refusals_named(f"{name} {alias}"):
        over = target.holder(name, alias)
        if over is None:
            raise PromotionRefusedError("nobody holds the alias, so there is nothing to roll back")
        mirror = target.mirror(name, alias)
        number = chosen(target, over, alias, mirror, to)
        version = target.version(name, number)
    with refusals_named(f"{name} v{number} -> {alias}"):
        ledgered = mirror is not None and bool(mirror.former or moved_past(mirror, over))
        digest = known_weights(target, version, alias, mirror, by_tags=not ledgered)
        found = source_digest(version.source)
        if found is not None and digest is not None and not holds(target, version, alias, digest, found):
            raise PromotionRefusedError(
                f"the files at {version.source} are not the weights by which version {number} held the alias",
                fix="Restore them, or register them as a new version and run the gate on it",
            )
        set_alias(target, version, alias, over)
    when = (clock or partial(datetime.now, UTC))()
    note = f"{when.isoformat(timespec='seconds')} from {over.version} to {number}: {' '.join(reason.split())}"[
        :MAX_NOTE
    ]
    try:
        for one in (version, over):
            target.annotate(name, one.version, {f"{tags.ROLLBACK}/{alias}": note})
    except LlmgateError as error:
        error.add_note(f"The alias {alias!r} is set to version {number}; only the note about it is missing.")
        raise
    return RolledBack(
        alias=alias,
        version=version,
        over=over,
        weights=None if found is None or digest is None else True,
        ledgered=ledgered,
    )


def holds(target: PromotionTarget, version: VersionFacts, alias: str, digest: str, found: str) -> bool:
    """Whether the files of a version are what held the alias.

    Of an adapter the files are the adapter alone, and the digest is that of adapter and base: the record that earned
    the alias knows both.

    Args:
        target: The registry.
        version: The version.
        alias: The alias.
        digest: Of the weights by which the version held it.
        found: Of its files.
    """
    if found == digest:
        return True
    try:
        with tempfile.TemporaryDirectory(prefix="llmgate-rollback-") as folder:
            earned = read_earned(target, version, alias, Path(folder))
    except PromotionRefusedError:
        return False
    if earned is None:
        return False
    model = earned.record.manifest.model
    return model.weights_digest == digest and model.held_by(found)


def moved_past(mirror: Mirror, holder: VersionFacts) -> str | None:
    """The version that holds the alias by the ledger, if somebody moved it past the gate; else None."""
    held = mirror.holding
    return held.version if held is not None and held.version != holder.version else None


def chosen(target: PromotionTarget, holder: VersionFacts, alias: str, mirror: Mirror | None, to: str | None) -> str:
    """The version to go back to.

    Raises:
        PromotionRefusedError: If there is none, or the one that was named never held the alias.
    """
    former = former_holders(target, holder, alias, mirror)
    if not former:
        raise PromotionRefusedError(
            f"nothing shows who held the alias before version {holder.version}",
            fix="Run the gate on the version that you want, with the present holder as baseline, and promote it",
        )
    if to is None:
        return former[0]
    if to == holder.version:
        raise PromotionRefusedError(f"version {to} holds the alias already")
    if to not in former:
        raise PromotionRefusedError(
            f"nothing shows that version {to} held the alias; those that did: {', '.join(former)}",
            fix="Name one of them with --to, or run the gate on this version and promote it",
        )
    return to


def former_holders(target: PromotionTarget, holder: VersionFacts, alias: str, mirror: Mirror | None) -> tuple[str, ...]:
    """Who held an alias before its present holder, the last one first.

    The ledger says so where the registry shows one; otherwise the notes of promotions, which anybody may edit.
    """
    if mirror is not None and (past := moved_past(mirror, holder)) is not None:
        return (past, *mirror.former)
    if mirror is not None and mirror.former:
        return mirror.former
    found: list[str] = []
    version = holder
    while len(found) < MOST_STEPS:
        over = version.tags.get(tags.PROMOTED_OVER, NOBODY)
        if version.tags.get(tags.PROMOTED_ALIAS) != alias or not over.isdecimal():
            break
        if over in {holder.version, *found}:
            break
        found.append(over)
        try:
            version = target.version(holder.name, over)
        except LlmgateError:
            # It was deleted, so nobody can go back to it or past it.
            return tuple(found[:-1])
    return tuple(found)


def known_weights(
    target: PromotionTarget, version: VersionFacts, alias: str, mirror: Mirror | None, *, by_tags: bool
) -> str | None:
    """Digest of the weights by which a version held the alias, None where none is known.

    Raises:
        PromotionRefusedError: If nothing but tags says that it held the alias, and what earned it is gone, or a later
            gate run did not pass.
    """
    if not by_tags:
        move = mirror.move_to(version.version) if mirror is not None else None
        return move.weights if move is not None else None
    with tempfile.TemporaryDirectory(prefix="llmgate-rollback-") as folder:
        earned = read_earned(target, version, alias, Path(folder))
    if earned is None:
        raise PromotionRefusedError(
            f"nothing is kept of what earned version {version.version} the alias",
            fix=f"Run the gate on it with models:/{version.name}@{alias} as baseline, and promote it",
        )
    later = [past for past in target.verdicts(version) if past.ended_at > earned.files.ended_at]
    if bad := [past for past in later if past.verdict != "PASS"]:
        raise PromotionRefusedError(
            f"version {version.version} held the alias before, and has got {bad[-1]} since",
            fix="Run the gate on it again, with the present holder as baseline",
        )
    return earned.record.manifest.model.weights_digest
