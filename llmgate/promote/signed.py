"""The signed verdict of a version, held against a registry's policy and against the records that were downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.attest.check import Holder, about, may_hold, open_verdict
from llmgate.errors import AttestationError, LlmgateError, PromotionRefusedError
from llmgate.promote.attached import attached_verdicts, held_by, registry_facts
from llmgate.promote.earned import differs

if TYPE_CHECKING:
    from datetime import datetime

    from llmgate.attest.policy import RegistryPolicy
    from llmgate.attest.statement import VerdictStatement
    from llmgate.promote.attached import Attached
    from llmgate.promote.target import EvidenceFiles, PromotionTarget, VersionFacts

__all__ = ["held_now", "how_to_sign", "newest_verdict", "refusal", "refuse_others", "verify"]


def how_to_sign(*, first: bool) -> str:
    """What to do about a version without a signed verdict; nobody holds the alias before the first."""
    key = "a key of the role bootstrap, as nobody holds the alias yet," if first else "a signing key"
    return f"Run the gate with {key} and --registry-id, or sign its run with `llmgate verdict sign`"


def newest_verdict(version: VersionFacts, alias: str) -> Attached | None:
    """The newest verdict in a version's tags, None without one."""
    return next(iter(attached_verdicts(version, alias)), None)


def held_now(target: PromotionTarget, holder: VersionFacts | None, alias: str) -> Holder | None:
    """Who holds the alias, as a verdict has to name it."""
    if holder is None:
        return None
    held = held_by(holder, alias, target.mirror(holder.name, alias))
    return Holder(version=holder.version, created_at=holder.created_at, verdict=held.digest, weights=held.weights)


def verify(
    signed: Attached | None,
    policy: RegistryPolicy,
    version: VersionFacts,
    alias: str,
    *,
    holder: Holder | None,
    now: datetime,
) -> None:
    """Hold a version's verdict against the registry's policy, as the registry itself does.

    Args:
        signed: The newest verdict in the version's tags.
        policy: The registry's policy.
        version: The version.
        alias: What it asks for.
        holder: Who holds it now.
        now: Aware time.

    Raises:
        PromotionRefusedError: If it does not let the version have the alias.
    """
    rule = policy.rule_for(version.name)
    if rule is None or not rule.protects(alias):
        return
    if holder is not None and (holder.version, holder.created_at) == (version.version, version.created_at):
        return
    if signed is None:
        raise PromotionRefusedError(
            "this version has no signed verdict for this alias", fix=how_to_sign(first=holder is None)
        )
    try:
        opened = open_verdict(signed.text, policy=policy, model=version.name, now=now)
        about(opened.verdict, registry_facts(version, alias, policy.registry))
        may_hold(opened, rule=rule, holder=holder, now=now)
    except AttestationError as error:
        raise refusal(error) from error


def refusal(error: AttestationError, *, where: str | None = None) -> PromotionRefusedError:
    """What the rules say, as a refusal; a server has a semicolon before what to do, where here a sentence begins."""
    fix = error.fix and error.fix[:1].upper() + error.fix[1:]
    return PromotionRefusedError(error.what, where=where, fix=fix)


def refuse_others(files: EvidenceFiles, verdict: VerdictStatement) -> None:
    """Refuse records that are not those that a verdict was signed for.

    Raises:
        PromotionRefusedError: If they are not, or cannot be read.
    """
    try:
        problem = differs(files, verdict)
    except LlmgateError as error:
        where = (error.where or "").replace(f"{files.decision.parent}/", "")
        problem = f"{where}: {error.what}" if where else error.what
    if problem is not None:
        raise PromotionRefusedError(
            f"{files.where} does not hold what the signed verdict {verdict.digest[:12]} names ({problem}); "
            "restore it, or run the gate again on this version"
        )
