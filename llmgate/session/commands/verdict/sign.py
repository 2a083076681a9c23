"""`llmgate verdict sign` and `override`: what a registry says of a version, or what was told of it, and a signature."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.attest.envelope import envelope_text, sign_payload
from llmgate.attest.policy import age
from llmgate.attest.statement import (
    ChampionFacts,
    RegistryFacts,
    VerdictStatement,
    canonical,
    override_statement,
    read_statement,
)
from llmgate.attest.tags import STAGE
from llmgate.errors import PromotionRefusedError, UsageError
from llmgate.promote import tags
from llmgate.promote.attached import attached_verdicts, attempts_so_far, champion_facts, keys_to_post, registry_facts
from llmgate.promote.registries import open_registry
from llmgate.promote.target import Registry, VersionFacts, parse_version_uri
from llmgate.record.disk import read_regular
from llmgate.session.decide.attestation import REGISTRY_ID
from llmgate.session.decide.github import PUBLISHED_NAME
from llmgate.session.decide.origin import refuse_strangers
from llmgate.session.decide.promote import source_digest
from llmgate.session.decide.promote_elsewhere import elsewhere_facts
from llmgate.session.decide.records import BASELINE_NAME, decide_folders, noted_baseline
from llmgate.session.decide.sign import sign_statement, statement_of_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.attest.keys import Signer
    from llmgate.promote.target import PastVerdict
    from llmgate.session.decide.sign import SignedRun

__all__ = [
    "OVERRIDE_LASTS",
    "OVERRIDE_NAME",
    "Overridden",
    "SigningQuestion",
    "Situation",
    "compared_run",
    "logged_run",
    "look_up",
    "look_up_elsewhere",
    "override",
    "own_workspace",
    "post",
    "registry_id",
    "sign",
    "span",
    "statement",
]

OVERRIDE_NAME: Final = "override.dsse.json"
OVERRIDE_LASTS: Final = "4h"
"""Long enough to promote by it, too short to be found lying around."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningQuestion:
    """Which version is to get which alias, in which registry."""

    uri: str
    alias: str
    registry: str

    @property
    def name(self) -> str:
        """The model."""
        return parse_version_uri(self.uri)[0]

    @property
    def number(self) -> str:
        """The version's number."""
        return parse_version_uri(self.uri)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known of a version before anything is signed about it.

    Attributes:
        facts: The version.
        champion: Who holds the alias, None if nobody does or the version itself does.
        tagged: Digest of the weights by the version's tags, None without one.
        attempts: Which attempt at the version the next verdict is.
        subject: Digest of the last signed verdict's subject, and what it is; None without one.
        registry: Where it was looked up, None where it was told.
        version: The version there.
        keys: The tags into which a verdict may be put, in this order.
    """

    facts: RegistryFacts
    champion: ChampionFacts | None
    tagged: str | None = None
    attempts: int = 1
    subject: tuple[str, str] | None = None
    registry: Registry | None = None
    version: VersionFacts | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overridden:
    """A signed override."""

    envelope: str
    verdict: VerdictStatement


def registry_id(given: str | None, environ: Mapping[str, str]) -> str:
    """The registry's id.

    Raises:
        UsageError: If nobody names it.
    """
    told = (given if given is not None else environ.get(REGISTRY_ID, "")).strip()
    if not told:
        raise UsageError(
            "the registry has no name, and a verdict counts in one registry only",
            where="--registry-id",
            fix=f"Give the `registry:` of its policy, or set {REGISTRY_ID}",
        )
    return told


def own_workspace(environ: Mapping[str, str]) -> str:
    """The workspace that MLflow's own client would use."""
    return environ.get("MLFLOW_WORKSPACE", "").strip() or "default"


def span(text: str, option: str = "--expires") -> timedelta:
    """A time span such as `30d`.

    Raises:
        UsageError: If it is none.
    """
    try:
        value = age(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time span", where=option, fix="Write 30d, 12h or 2w") from error
    assert isinstance(value, timedelta)  # noqa: S101 - for the type checker
    return value


def look_up(asked: SigningQuestion, *, mlflow_uri: str | None, run: str | None = None) -> Situation:
    """Ask MLflow what the version is and who holds the alias, by which verdict.

    Args:
        asked: The version.
        mlflow_uri: Tracking server or store; None for MLFLOW_TRACKING_URI.
        run: MLflow's id of the gate run that is to be signed, None if it was not logged; it is no earlier attempt.

    Raises:
        UsageError: If it asks for a stage, whose holder MLflow's client cannot tell for sure.
        CannotRunError: If MLflow cannot be reached, or has no such version.
    """
    if asked.alias.startswith(STAGE):
        raise UsageError("who holds a stage is not looked up", where=asked.alias, fix="Tell the facts, with --offline")
    registry = open_registry(mlflow_uri)
    version = registry.version(asked.name, asked.number)
    holder = registry.holder(asked.name, asked.alias)
    mirror = registry.mirror(asked.name, asked.alias)
    past: tuple[PastVerdict, ...] = tuple(one for one in registry.verdicts(version) if one.run != run)
    champion = None
    if holder is not None and (holder.version, holder.created_at) != (version.version, version.created_at):
        champion = champion_facts(holder, asked.alias, mirror, gated=registry.gated(asked.name))
    attached = attached_verdicts(version, asked.alias)
    gate = next((one.verdict for one in attached if one.verdict.kind == "gate"), None)
    return Situation(
        facts=registry_facts(version, asked.alias, asked.registry),
        champion=champion,
        tagged=version.tags.get(tags.WEIGHTS_DIGEST),
        attempts=attempts_so_far(version, asked.alias, mirror, past) + 1,
        subject=(gate.subject, gate.subject_is) if gate is not None else None,
        registry=registry,
        version=version,
        keys=keys_to_post(version, asked.alias, mirror),
    )


def look_up_elsewhere(asked: SigningQuestion, *, verdicts_at: str | None, tagged: str | None) -> Situation:
    """Ask another registry than MLflow the same.

    Args:
        asked: The version.
        verdicts_at: Where SageMaker and Vertex AI keep verdicts.
        tagged: Digest of the version's weights, as the caller knows it: these registries tell none.

    Raises:
        CannotRunError: If it cannot be reached, or its client is not installed.
    """
    facts, champion = elsewhere_facts(asked.uri, asked.alias, registry_id=asked.registry, verdicts_at=verdicts_at)
    return Situation(facts=facts, champion=champion, tagged=tagged)


def compared_run(out: Path, given: Path | None) -> Path | None:
    """The record that a run was compared with: the one that was named, else the one that was noted beside it.

    Raises:
        RecordError: If there is a note that cannot be read.
    """
    if given is not None or not (out / BASELINE_NAME).exists():
        return given
    noted = noted_baseline(out)
    return Path(noted.folder) if noted is not None else None


def logged_run(out: Path) -> str | None:
    """MLflow's id of a run that was logged, None if there is no note of one."""
    try:
        noted = json.loads(read_regular(out / PUBLISHED_NAME))
        return str(noted["mlflow_run"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def sign(
    out: Path,
    situation: Situation,
    *,
    baseline: Path | None,
    signer: Signer,
    expires: timedelta,
    environ: Mapping[str, str] = os.environ,
) -> SignedRun:
    """Take the decision again from the record and sign it; `statement` has the arguments, but for who signs."""
    payload = statement(out, situation, baseline=baseline, expires=expires, environ=environ)
    return sign_statement(payload, signer)


def statement(
    out: Path,
    situation: Situation,
    *,
    baseline: Path | None,
    expires: timedelta,
    environ: Mapping[str, str] = os.environ,
) -> bytes:
    """What is to be signed about a run, on a decision that is taken again from its record.

    Args:
        out: The run's folder.
        situation: What is known of the version.
        baseline: The champion's record, None if nothing was compared.
        expires: After how long it promotes nothing.
        environ: Says where the code comes from.
    """
    # Before anything is read: what a fork brings along is not looked at.
    refuse_strangers(environ)
    return statement_of_run(
        out,
        decide_folders(out, baseline),
        baseline=baseline,
        registry=situation.facts,
        champion=situation.champion,
        now=datetime.now(UTC),
        attempts=situation.attempts,
        expires=expires,
        tagged=situation.tagged,
        environ=environ,
    )


def override(
    situation: Situation,
    *,
    reason: str,
    by: str,
    signer: Signer,
    expires: timedelta,
    weights: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Overridden:
    """Sign a person's decision to promote a version that no verdict promotes.

    Args:
        situation: What is known of the version.
        reason: Why. It is shown wherever the version is.
        by: Who; the signature shows whose key it was.
        signer: A key of the role override.
        expires: After how long it promotes nothing.
        weights: Digest of the version's weights, where nothing else tells it.
        environ: Says where the code comes from.

    Raises:
        UsageError: If reason or name are empty, or nothing tells which weights the version has.
        AttestationError: If a fork's code may be running.
    """
    refuse_strangers(environ)
    for option, text in (("--reason", reason), ("--by", by)):
        if not text.strip():
            raise UsageError(
                "an override says why, and who", where=option, fix="Write it for whoever reads it in a year"
            )
    subject, subject_is = subject_of(situation, weights)
    now = datetime.now(UTC)
    made = override_statement(
        registry=situation.facts,
        champion=situation.champion,
        subject=subject,
        subject_is=subject_is,
        reason=reason.strip(),
        by=by.strip(),
        issued_at=now,
        expires_at=now + expires,
    )
    envelope = sign_payload(canonical(made), signer)
    return Overridden(envelope=envelope_text(envelope), verdict=read_statement(envelope.payload, envelope.digest))


def subject_of(situation: Situation, weights: str | None) -> tuple[str, str]:
    """What the override is about, by the strongest of what is known: the files themselves first."""
    actual = source_digest(situation.facts.source)
    if actual is not None:
        if weights is not None and weights != actual:
            raise UsageError("the files there have another digest", where=situation.facts.source)
        return actual, "weights"
    if weights is not None:
        return weights, "weights"
    if situation.subject is not None:
        return situation.subject
    if situation.tagged is not None:
        return situation.tagged, "weights"
    raise UsageError(
        "nothing tells which weights this version has, and an override is about those alone",
        where=situation.facts.source,
        fix="Give their digest with --weights; `llmgate verify` prints it",
    )


def post(situation: Situation, envelope: str) -> str:
    """Put a signed verdict into the version's tag.

    Returns:
        The tag.

    Raises:
        UsageError: If the version was not looked up in MLflow.
        PromotionRefusedError: If the registry does not take it.
    """
    if situation.registry is None or situation.version is None:
        raise UsageError(
            "only MLflow takes a verdict before it promotes",
            where="--post",
            fix="Leave it out; `llmgate promote URI --verdict FILE` attaches it",
        )
    *earlier, last = situation.keys
    for key in earlier:
        try:
            situation.registry.post_verdict(situation.version, key, envelope)
        except PromotionRefusedError:
            # It earned an alias, which only the registry knows: the next tag is free.
            continue
        return key
    situation.registry.post_verdict(situation.version, last, envelope)
    return last
