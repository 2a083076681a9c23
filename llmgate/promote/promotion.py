"""Promote: gather facts, ask `may_promote`, set the alias, look again."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import LlmgateError, PromotionRefusedError
from llmgate.gate.decision.types import Decision
from llmgate.promote import tags
from llmgate.promote.alias import CHAMPION, alias_problem
from llmgate.promote.evidence import read_evidence
from llmgate.promote.permission import DEFAULT_MAX_AGE, Permission, Refusal, may_promote
from llmgate.promote.target import VersionFacts, parse_version_uri

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.promote.evidence import Redecide, SourceDigest
    from llmgate.promote.target import PromotionTarget

__all__ = ["Promotion", "promote_version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What was done.

    Attributes:
        version: The version that holds the alias now.
        over: Who held it before, None if nobody did.
        decision: The decision that allowed it, taken again from the records.
        changed: False if the version held the alias already.
    """

    alias: str
    version: VersionFacts
    over: VersionFacts | None
    decision: Decision
    changed: bool


def promote_version(
    target: PromotionTarget,
    uri: str,
    *,
    alias: str = CHAMPION,
    redecide: Redecide,
    source_digest: SourceDigest,
    max_age: timedelta = DEFAULT_MAX_AGE,
    clock: Callable[[], datetime] | None = None,
) -> Promotion:
    """Give a version the alias, if a PASS verdict for exactly this version can be taken again from its records.

    The alias is read again right before it is set and right after. Between those two reads another client can
    still win or lose: only a registry that checks on its own side excludes that.

    Args:
        target: The registry.
        uri: `models:/NAME/VERSION`.
        alias: The alias to set.
        redecide: Takes the decision from the records.
        source_digest: Hashes the files at a version's source, None where they cannot be reached.
        max_age: How long a verdict counts.
        clock: Gives the aware time, for tests.

    Raises:
        PromotionRefusedError: With one sentence: why, and what to do.
        UsageError: If the URI names no single version.
        CannotRunError: If the registry cannot be reached.
    """
    now = clock or partial(datetime.now, UTC)
    name, number = parse_version_uri(uri)
    where = f"{name} v{number} -> {alias}"
    if problem := alias_problem(alias):
        raise PromotionRefusedError(problem, where=where)
    try:
        version = target.version(name, number)
        holder = target.holder(name, alias)
        with tempfile.TemporaryDirectory(prefix="llmgate-promote-") as folder:
            files = target.evidence(version, Path(folder))
            evidence = None
            if files is not None:
                evidence = read_evidence(files, redecide=redecide, source=version.source, source_digest=source_digest)
        answer = may_promote(
            version=version,
            holder=holder,
            evidence=evidence,
            alias=alias,
            now=now(),
            aliases=target.aliases(name),
            max_age=max_age,
        )
        if isinstance(answer, Refusal) or evidence is None:
            raise PromotionRefusedError(answer.reason if isinstance(answer, Refusal) else "this version has no verdict")
        if not answer.held:
            swap(target, answer, now)
        return Promotion(alias=alias, version=version, over=holder, decision=evidence.decision, changed=not answer.held)
    except PromotionRefusedError as refusal:
        if refusal.where is not None:
            raise
        raise PromotionRefusedError(refusal.what, where=where, fix=refusal.fix) from refusal


def swap(target: PromotionTarget, permission: Permission, now: Callable[[], datetime]) -> None:
    """Set the alias between two looks at it, and write down when."""
    version, alias, over = permission.version, permission.alias, permission.over
    if target.version(version.name, version.version) != version:
        raise PromotionRefusedError("the version was changed while its verdict was checked, promote it again")
    if identity(target.holder(version.name, alias)) != identity(over):
        raise PromotionRefusedError(
            "the alias moved while the verdict was checked, run the gate again with the new holder as baseline"
        )
    target.set_alias(version.name, alias, version.version)
    winner = target.holder(version.name, alias)
    if winner is None or winner.version != version.version:
        raise PromotionRefusedError(
            f"another promotion won, version {winner.version if winner else 'none'} holds the alias now; "
            "run the gate again with the new holder as baseline"
        )
    try:
        target.annotate(
            version.name,
            version.version,
            {
                tags.PROMOTED_AT: now().isoformat(timespec="seconds"),
                tags.PROMOTED_ALIAS: alias,
                tags.PROMOTED_OVER: over.version if over is not None else "none",
            },
        )
    except LlmgateError as error:
        error.add_note(f"The alias {alias!r} is set to version {version.version}; only the note about it is missing.")
        raise


def identity(holder: VersionFacts | None) -> tuple[str, datetime] | None:
    """Tells a holder from a recreated one."""
    return None if holder is None else (holder.version, holder.created_at)
