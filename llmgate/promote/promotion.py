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
from llmgate.gate.decision.wording import attempt_words
from llmgate.promote import tags
from llmgate.promote.alias import CHAMPION, alias_problem
from llmgate.promote.earned import keep_evidence, read_earned
from llmgate.promote.evidence import read_evidence
from llmgate.promote.mlflow_client import REFUSED
from llmgate.promote.permission import DEFAULT_MAX_AGE, Permission, Refusal, may_promote
from llmgate.promote.signed import held_now, how_to_sign, newest_verdict, refuse_others, verify
from llmgate.promote.target import PastVerdict, VersionFacts, parse_version_uri
from llmgate.record.policy import Binding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmgate.attest.policy import RegistryPolicy
    from llmgate.attest.statement import VerdictStatement as Signed
    from llmgate.promote.attached import Attached
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
        sentence: The decision that allowed it, taken again from the records; or why it was overridden, and by whom.
        signed: Digest of the signed verdict in the version's tags, None without one.
        changed: False if the version held the alias already.
        kept: Whether the evidence was kept just now as what earned the alias.
        binding: What ties the run that was judged to the version; None for an override, which judged none.
        weaker: What its policy asks less for than the one by which the alias was earned before, and was accepted.
        past: All gate runs of the version; the last one is the one that counted.
        attempt: Which attempt at the candidate it was, with the verdicts before it; "" at the first.
    """

    alias: str
    version: VersionFacts
    over: VersionFacts | None
    sentence: str
    signed: str | None
    changed: bool
    kept: bool
    binding: Binding | None
    weaker: tuple[str, ...]
    past: tuple[PastVerdict, ...]
    attempt: str = ""

    def lines(self) -> list[str]:
        """What else a reader has to know, one line each."""
        claim = "nothing but the run's word says that this version answered"
        weights = "llmgate served the weights that this version has"
        lines = []
        if self.binding is not None:
            lines.append(f"binding: {self.binding}, {weights if self.binding is Binding.WEIGHTS else claim}")
        if self.signed is not None:
            lines.append(f"signed verdict: {self.signed}")
        if self.attempt:
            lines.append(self.attempt)
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
    policy: RegistryPolicy | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Promotion:
    """Give a version the alias, if a PASS verdict for exactly this version can be taken again from its records.

    The alias is read again right before it is set and right after. Between those two reads another client can
    still win or lose: only a registry that checks on its own side excludes that. Such a registry has the last word, and
    what it refuses is quoted.

    Where the version has a signed verdict, the records are held against the digests in it. An override that is signed
    stands in for a verdict that cannot be taken again; it is sent to a registry that checks it, or checked here.

    Args:
        target: The registry.
        uri: `models:/NAME/VERSION`.
        alias: The alias to set.
        redecide: Takes the decision from the records.
        source_digest: Hashes the files at a version's source, None where they cannot be reached.
        max_age: How long a verdict counts.
        accept: Why a policy that asks for less than the one by which the alias was earned will do; for a version that
            holds the alias, why its latest evidence is to replace that which earned it. It is written down.
        policy: The registry's policy, by which the signed verdict is verified here too; None if it is not at hand.
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
    with refusals_named(where):
        version = target.version(name, number)
        holder = target.holder(name, alias)
        signed = newest_verdict(version, alias)
        if policy is not None:
            verify(signed, policy, version, alias, holder=held_now(target, holder, alias), now=now())
        if signed is not None and signed.verdict.kind == "override":
            return overridden(target, signed, version, holder, alias, verified=policy is not None, now=now)
        with tempfile.TemporaryDirectory(prefix="llmgate-promote-") as folder:
            files = target.evidence(version, Path(folder, "own"))
            if files is not None and signed is not None:
                refuse_others(files, signed.verdict)
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
                swap(target, answer, files, now, accept, signed=signed is not None)
        return Promotion(
            alias=alias,
            version=version,
            over=holder,
            sentence=evidence.decision.sentence,
            signed=signed.verdict.digest if signed is not None else None,
            changed=not answer.held,
            kept=answer.keep,
            binding=answer.binding,
            weaker=answer.weaker,
            past=past,
            attempt=attempt_words(evidence.decision.attempt),
        )


@contextlib.contextmanager
def refusals_named(where: str) -> Iterator[None]:
    """Say of each refusal what was refused."""
    try:
        yield
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
    *,
    signed: bool,
) -> None:
    """Keep the evidence, set the alias between two looks at it, and write down when."""
    version, alias = permission.version, permission.alias
    if not signed:
        # Before the alias, so that no version ever holds it without what earned it.
        keep_and_set(target, permission, files)
    elif not permission.held:
        # Its signed verdict is what earned it, and the registry may refuse that: then nothing is to be kept.
        refuse_changed(target, version)
        set_alias(target, version, alias, permission.over)
    try:
        kept = keep_evidence(target, version, alias, files) if signed else {}
        target.annotate(version.name, version.version, {**kept, **notes(permission, now, accept)})
    except LlmgateError as error:
        error.add_note(f"The alias {alias!r} is set to version {version.version}; only the note about it is missing.")
        raise


def keep_and_set(target: PromotionTarget, permission: Permission, files: EvidenceFiles) -> None:
    """Keep the evidence and set the alias; where that is refused, no tag says that it was earned."""
    version, alias = permission.version, permission.alias
    earned = keep_evidence(target, version, alias, files)
    refuse_changed(target, version)
    target.annotate(version.name, version.version, earned)
    if permission.held:
        return
    try:
        set_alias(target, version, alias, permission.over)
    except LlmgateError as error:
        with contextlib.suppress(LlmgateError):
            target.annotate(version.name, version.version, dict.fromkeys(earned))
        if isinstance(error, PromotionRefusedError) and error.what.startswith(REFUSED):
            raise PromotionRefusedError(error.what, fix=how_to_sign(first=permission.over is None)) from error
        raise


def refuse_changed(target: PromotionTarget, version: VersionFacts) -> None:
    """The version is what it was when its verdict was read."""
    if target.version(version.name, version.version) != version:
        raise PromotionRefusedError("the version was changed while its verdict was checked, promote it again")


def set_alias(target: PromotionTarget, version: VersionFacts, alias: str, over: VersionFacts | None) -> None:
    """Set the alias if it is still where it was, and look who got it."""
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
        values |= promoted_notes(version, permission.alias, over, now)
    if accept is not None and (permission.weaker or permission.held):
        values[tags.POLICY_CHANGE] = f"{accept} [{'; '.join(permission.weaker)}]"[:MAX_NOTE]
    elif tags.POLICY_CHANGE in version.tags:
        values[tags.POLICY_CHANGE] = None
    return values


def promoted_notes(
    version: VersionFacts, alias: str, over: VersionFacts | None, now: Callable[[], datetime]
) -> dict[str, str | None]:
    """When a version got an alias, and over whom."""
    values: dict[str, str | None] = {
        tags.PROMOTED_AT: now().isoformat(timespec="seconds"),
        tags.PROMOTED_ALIAS: alias,
        tags.PROMOTED_OVER: over.version if over is not None else "none",
    }
    # What an earlier promotion of this version said.
    return {**values, **{key: None for key in (tags.OVERRIDE,) if key in version.tags}}


def overridden(
    target: PromotionTarget,
    signed: Attached,
    version: VersionFacts,
    holder: VersionFacts | None,
    alias: str,
    *,
    verified: bool,
    now: Callable[[], datetime],
) -> Promotion:
    """Set the alias by a signed override, if its signature was checked here, or is by the registry."""
    held = holder is not None and holder.version == version.version
    if not verified and target.mirror(version.name, alias) is None:
        raise PromotionRefusedError(
            "it has an override, and nobody has checked who signed it", fix="Name the policy: --registry-policy FILE"
        )
    if not held:
        set_alias(target, version, alias, holder)
        values = promoted_notes(version, alias, holder, now)
        target.annotate(version.name, version.version, {**values, tags.OVERRIDE: override_note(signed.verdict)})
    return Promotion(
        alias=alias,
        version=version,
        over=holder,
        sentence=f"Overridden by {signed.verdict.by}: {signed.verdict.reason}",
        signed=signed.verdict.digest,
        changed=not held,
        kept=False,
        binding=None,
        weaker=(),
        past=target.verdicts(version),
    )


def override_note(verdict: Signed) -> str:
    """Who overrode, and why, for whoever looks at the version."""
    return f"{verdict.by}: {verdict.reason}"[:MAX_NOTE]


def identity(holder: VersionFacts | None) -> tuple[str, datetime] | None:
    """Tells a holder from a recreated one."""
    return None if holder is None else (holder.version, holder.created_at)
