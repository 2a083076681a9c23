"""`llmgate verdict verify`: whose verdict it is, about what, and whether it would promote now."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.attest.check import Holder, about, may_hold, open_verdict
from llmgate.attest.envelope import verified_by
from llmgate.attest.keys import public_key
from llmgate.attest.policy import RegistryPolicy, load_policy
from llmgate.errors import AttestationError, CannotRunError, UsageError
from llmgate.promote.attached import held_by, registry_facts
from llmgate.promote.registries import open_registry
from llmgate.promote.target import parse_version_uri
from llmgate.record.disk import read_regular
from llmgate.record.run.loading import record_digest
from llmgate.session.decide.github import DECISION_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from llmgate.attest.check import Signed
    from llmgate.attest.statement import VerdictStatement
    from llmgate.promote.target import Registry, VersionFacts
    from llmgate.session.commands.verdict.read import ReadVerdict

__all__ = ["Trust", "checked", "compare_records", "trust_from"]

MAX_BYTES: Final = 200_000
GATE_ONLY: Final = "an override is about no record"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose signature counts: a registry's policy, or one public key.

    With neither, somebody has verified the signature already, and `who` says whose it is.
    """

    policy: RegistryPolicy | None = None
    key: Path | None = None
    who: str = ""


def trust_from(policy: Path | None, key: Path | None) -> Trust:
    """Whose signature counts.

    Raises:
        UsageError: If neither or both are named.
        PolicyError: If the policy cannot be used.
    """
    if (policy is None) == (key is None):
        raise UsageError(
            "name whose signature counts" if policy is None else "name one of them",
            where="--policy, --key",
            fix="Give the registry's policy with --policy, a key with --key, or --identity for a Sigstore bundle",
        )
    return Trust(policy=load_policy(policy) if policy is not None else None, key=key)


def checked(
    read: ReadVerdict,
    trust: Trust,
    *,
    version: str | None,
    alias: str | None,
    mlflow_uri: str | None,
    now: datetime,
) -> Iterator[str]:
    """Verify, step by step.

    Args:
        read: The verdict.
        trust: Whose signature counts.
        version: `models:/NAME/VERSION` for which it is to be used; None to look at the signature alone.
        alias: The alias for which; None for the one that it names.
        mlflow_uri: Where that version is.
        now: Aware time.

    Yields:
        The names of the keys that signed it first, then a line for each thing that holds.

    Raises:
        AttestationError: At the first thing that does not hold.
    """
    verdict = read.verdict
    signed = None
    if trust.policy is not None:
        signed = open_verdict(read.text, policy=trust.policy, model=verdict.registry.model, now=now)
        yield ", ".join(f"{key.name} ({key.key.keyid})" for key in signed.keys)
        if verdict.registry.id != trust.policy.registry:
            raise AttestationError(
                f"the verdict is for the registry {verdict.registry.id!r}, and the policy is that of "
                f"{trust.policy.registry!r}",
                where=read.where,
            )
    else:
        yield signed_by_key(read, trust.key) if trust.key is not None else trust.who
    if version is None:
        return
    registry = open_registry(mlflow_uri)
    found = registry.version(*parse_version_uri(version))
    asked = alias or verdict.registry.alias
    about(verdict, registry_facts(found, asked, trust.policy.registry if trust.policy else verdict.registry.id))
    yield f"It is about {version} as the registry has it, and asks for {asked}"
    if trust.policy is not None and signed is not None:
        yield promotable(signed, trust.policy, registry, found, alias=asked, now=now)


def signed_by_key(read: ReadVerdict, path: Path) -> str:
    """The one key that was named signed it."""
    try:
        pem = read_regular(path, limit=MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the public key cannot be read", where=str(path)) from error
    key = public_key(pem, where=str(path))
    if not verified_by(read.envelope, [key]):
        raise AttestationError("this key did not sign the verdict", where=read.where, fix="Name the key that did")
    return f"{path.name} ({key.keyid})"


def promotable(
    signed: Signed, policy: RegistryPolicy, registry: Registry, version: VersionFacts, *, alias: str, now: datetime
) -> str:
    """Whether the registry would let it have the alias now, as far as can be seen from here."""
    rule = policy.rule_for(version.name)
    if rule is None or not rule.protects(alias):
        return f"The policy does not protect {alias} of {version.name}: no verdict is needed"
    holder = registry.holder(version.name, alias)
    if holder is not None and (holder.version, holder.created_at) == (version.version, version.created_at):
        return f"The version holds {alias} already"
    held = None
    if holder is not None:
        mirror = registry.mirror(version.name, alias)
        by = held_by(holder, alias, mirror, gated=registry.gated(version.name))
        held = Holder(version=holder.version, created_at=holder.created_at, verdict=by.digest, weights=by.weights)
    granted = may_hold(signed, rule=rule, holder=held, now=now)
    return f"It may have {alias} now ({granted}), unless the registry's ledger has a newer verdict"


def compare_records(verdict: VerdictStatement, run: Path, baseline: Path | None) -> Iterator[str]:
    """Hold the files of a run against what was signed.

    Args:
        verdict: Verified.
        run: The run's folder.
        baseline: The baseline's record, None if it is not at hand.

    Yields:
        A line for each thing that is as it was signed, or was not looked at.

    Raises:
        AttestationError: If something is not what was signed.
        RecordError: If a record cannot be read, or is not what its own seal says.
    """
    if verdict.kind != "gate":
        raise AttestationError(GATE_ONLY, fix="Leave --records out")
    same(record_digest(run), verdict.records["candidate"], run, "record")
    yield f"The record in {run} is the one that was signed"
    decision = run / DECISION_NAME
    try:
        same(hashlib.sha256(read_regular(decision)).hexdigest(), verdict.records["decision"], decision, "decision")
        yield "So is the decision beside it"
    except FileNotFoundError:
        yield "There is no decision beside it to compare"
    except OSError as error:
        raise CannotRunError(f"cannot be read ({error.strerror})", where=str(decision)) from error
    signed = verdict.records["baseline"]
    if baseline is not None:
        if signed is None:
            raise AttestationError("nothing was compared, so there is no baseline", where=str(baseline))
        same(record_digest(baseline), signed, baseline, "baseline")
        yield f"So is the baseline in {baseline}"
    elif signed is not None:
        yield "The baseline's record was not looked at; name it with --baseline"


def same(found: str, signed: str | None, where: Path, what: str) -> None:
    """Refuse what was swapped."""
    if found != signed:
        raise AttestationError(
            f"this is not the {what} that was signed: its digest is {found}, and the verdict names {signed}",
            where=str(where),
            fix="Restore what was signed, or run the gate again",
        )
