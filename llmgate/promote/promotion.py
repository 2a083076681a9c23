"""Promote: gather facts, ask `may_promote`, set the alias, look again."""

from __future__ import annotations

import contextlib
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
from llmgate.promote.earned import keep_evidence, read_earned
from llmgate.promote.evidence import read_evidence
from llmgate.promote.permission import DEFAULT_MAX_AGE, Permission, Refusal, may_promote
from llmgate.promote.target import PastVerdict, VersionFacts, parse_version_uri
from llmgate.record.policy import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.promote.evidence import Redecide, SourceDigest
    from llmgate.promote.target import EvidenceFiles, PromotionTarget

__all__ = ["Promotion", "promote_version"]

MAX_NOTE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What was done.

    Attributes:
        version: The version that holds the alias now.
        over: Who held it before, None if nobody did.
        decision: The decision that allowed it, taken again from the records.
        changed: False if the version held the alias already.
        kept: Whether the evidence was kept just now as what earned the alias.
        binding: What ties the run that was judged to the version.
        weaker: What its policy asks less for than the one by which the alias was earned before, and was accepted.
        past: All gate runs of the version; the last one is the one that counted.
    """

    alias: str
    version: VersionFacts
    over: VersionFacts | None
    decision: Decision
    changed: bool
    kept: bool
    binding: Binding
    weaker: tuple[str, ...]
    past: tuple[PastVerdict, ...]

    def lines(self) -> list[str]:
        """What else a reader has to know, one line each."""
        claim = "nothing but the run's word says that this version answered"
        weights = "llmgate served the weights that this version has"
        lines = [f"binding: {self.binding}, {weights if self.binding is Binding.WEIGHTS else claim}"]
        if len(self.past) > 1:
            lines.append(f"verdicts: {', '.join(map(str, self.past))}; the latest counts")
        if self.weaker:
            lines.append(f"accepted, though its policy asks for less: {'; '.join(self.weaker)}")
        if self.kept:
            lines.append(f"its evidence is kept as what earned it the alias {self.alias!r}")
        return lines


def promote_version(
    target: PromotionTarget,
    uri: str,
    *,
    alias: str = CHAMPION,
    redecide: Redecide,
    source_digest: SourceDigest,
    max_age: timedelta = DEFAULT_MAX_AGE,
    accept: str | None = None,
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
        accept: Why a policy that asks for less than the one by which the alias was earned will do; for a version that
            holds the alias, why its latest evidence is to replace that which earned it. It is written down.
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
            files = target.evidence(version, Path(folder, "own"))
            evidence = None
            if files is not None:
                evidence = read_evidence(files, redecide=redecide, source=version.source, source_digest=source_digest)
            earned = read_earned(target, holder, alias, Path(folder, "earned")) if holder is not None else None
            past = target.verdicts(version)
            answer = may_promote(
                version=version,
                holder=holder,
                evidence=evidence,
                alias=alias,
                now=now(),
                aliases=target.aliases(name),
                max_age=max_age,
                earned=earned.record if earned is not None else None,
                past=past,
                accepted=accept is not None,
            )
            if isinstance(answer, Refusal):
                raise PromotionRefusedError(answer.reason)
            if files is None or evidence is None:
                raise PromotionRefusedError("this version has no verdict")
            if answer.keep:
                swap(target, answer, files, now, accept)
        return Promotion(
            alias=alias,
            version=version,
            over=holder,
            decision=evidence.decision,
            changed=not answer.held,
            kept=answer.keep,
            binding=answer.binding,
            weaker=answer.weaker,
            past=past,
        )
    except PromotionRefusedError as refusal:
        if refusal.where is not None:
            raise
        raise PromotionRefusedError(refusal.what, where=where, fix=refusal.fix) from refusal


def swap(
    target: PromotionTarget,
    permission: Permission,
    files: EvidenceFiles,
    now: Callable[[], datetime],
    accept: str | None,
) -> None:
    """Keep the evidence, set the alias between two looks at it, and write down when."""
    version, alias = permission.version, permission.alias
    earned = keep_evidence(target, version, alias, files)
    if target.version(version.name, version.version) != version:
        raise PromotionRefusedError("the version was changed while its verdict was checked, promote it again")
    # Before the alias, so that no version ever holds it without what earned it.
    target.annotate(version.name, version.version, earned)
    if not permission.held:
        try:
            set_alias(target, permission)
        except LlmgateError:
            with contextlib.suppress(LlmgateError):
                target.annotate(version.name, version.version, dict.fromkeys(earned))
            raise
    try:
        target.annotate(version.name, version.version, notes(permission, now, accept))
    except LlmgateError as error:
        error.add_note(f"The alias {alias!r} is set to version {version.version}; only the note about it is missing.")
        raise


def set_alias(target: PromotionTarget, permission: Permission) -> None:
    """Set the alias if it is still where it was, and look who got it."""
    version, alias, over = permission.version, permission.alias, permission.over
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


def notes(permission: Permission, now: Callable[[], datetime], accept: str | None) -> dict[str, str | None]:
    """What the version's tags say about the promotion; None takes away what an earlier one said."""
    version, over = permission.version, permission.over
    values: dict[str, str | None] = {tags.BINDING: permission.binding}
    if not permission.held:
        values |= {
            tags.PROMOTED_AT: now().isoformat(timespec="seconds"),
            tags.PROMOTED_ALIAS: permission.alias,
            tags.PROMOTED_OVER: over.version if over is not None else "none",
        }
    if accept is not None and (permission.weaker or permission.held):
        values[tags.POLICY_CHANGE] = f"{accept} [{'; '.join(permission.weaker)}]"[:MAX_NOTE]
    elif tags.POLICY_CHANGE in version.tags:
        values[tags.POLICY_CHANGE] = None
    return values


def identity(holder: VersionFacts | None) -> tuple[str, datetime] | None:
    """Tells a holder from a recreated one."""
    return None if holder is None else (holder.version, holder.created_at)
