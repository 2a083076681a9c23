"""The in-toto statement that a verdict is: made, and read strictly.

Reference: in-toto attestation framework, Statement v1; SVR predicate v0.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from llmgate.attest.envelope import parse_json
from llmgate.attest.fields import Fields
from llmgate.errors import AttestationError, UndefinedError

__all__ = [
    "OVERRIDE_TYPE",
    "STATEMENT_TYPE",
    "SVR_TYPE",
    "VERDICT_TYPE",
    "ChampionFacts",
    "RegistryFacts",
    "SuiteFacts",
    "VerdictStatement",
    "bind",
    "canonical",
    "moment",
    "override_statement",
    "read_statement",
    "svr_statement",
    "written",
]

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
VERDICT_TYPE: Final = "urn:llmgate:verdict:v1"
OVERRIDE_TYPE: Final = "urn:llmgate:override:v1"
SVR_TYPE: Final = "https://in-toto.io/attestation/svr/v0.2"
OUTCOMES: Final = ("PASS", "FAIL", "INCONCLUSIVE")
TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFacts:
    """One version in one registry, and what it asks for.

    Attributes:
        id: The registry's id, from its policy.
        workspace: MLflow's workspace; `default` without any.
        model: Registered model.
        version: Version number, as text.
        created_at: When the version was created, by the registry's clock, to the millisecond.
        source: Where its weights lie.
        alias: The alias, or `stage:NAME`.
    """

    id: str
    workspace: str = "default"
    model: str
    version: str
    created_at: datetime
    source: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionFacts:
    """Who held the alias when the verdict was given, and what it was compared with.

    Attributes:
        version: Version number.
        created_at: When that version was created.
        verdict: Digest of the verdict by which it holds the alias; None where there is none, as before the registry
            was gated.
        weights: Digest of its weights, None where an endpoint answered.
        journal: Digest of the journal of its record in the comparison, None where nothing was compared.
    """

    version: str
    created_at: datetime
    verdict: str | None = None
    weights: str | None = None
    journal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteFacts:
    """Which questions were asked."""

    name: str
    version: str
    digest: str
    dataset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictStatement:
    """A statement that was read. Who signed it is told elsewhere.

    Attributes:
        kind: A gate's verdict, or a person's override.
        outcome: PASS, FAIL or INCONCLUSIVE; OVERRIDE for an override.
        registry: What it is about.
        champion: Whom the candidate was compared with, or who is overridden; None if nobody held the alias.
        subject_is: `weights` if the subject is the weights that were served, `journal` if only the answers are known.
        subject: That digest.
        suites: What was asked; empty for an override.
        records: Digests of the records by name: candidate, baseline, decision.
        attempts: Which attempt it is, by its own account.
        weaker: What its policy asks less for than that of the baseline.
        issued_at: When it was given.
        expires_at: From when on it promotes nothing.
        reason: Why it is overridden.
        by: Who overrides.
        digest: SHA-256 of the payload.
        predicate: All of the predicate, for a reader.
    """

    kind: Literal["gate", "override"]
    outcome: str
    registry: RegistryFacts
    champion: ChampionFacts | None
    subject_is: str
    subject: str
    suites: tuple[SuiteFacts, ...]
    records: Mapping[str, str | None]
    attempts: int
    weaker: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    reason: str
    by: str
    digest: str
    predicate: Mapping[str, Any] = field(repr=False, hash=False, compare=False)

    @property
    def weights(self) -> str | None:
        """Digest of the weights, None where only the answers are known."""
        return self.subject if self.subject_is == "weights" else None


def canonical(statement: Mapping[str, object]) -> bytes:
    """The bytes that are signed: sorted keys, no spaces, no NaN.

    Raises:
        UndefinedError: If a number is not finite.
    """
    try:
        text = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise UndefinedError(f"the verdict holds a number that is not finite ({error})") from error
    return text.encode()


def written(moment: datetime) -> str:
    """A time in a statement: UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """A time as `written` writes it.

    Raises:
        AttestationError: If it is written in any other way.
    """
    if TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise AttestationError(f"{text[:40]!r} is no time in UTC to the millisecond, such as 2026-11-28T20:14:26.123Z")


def bind(
    statement: Mapping[str, Any],
    *,
    registry: RegistryFacts,
    champion: ChampionFacts | None,
    records: Mapping[str, str | None],
    attempts: int,
    issued_at: datetime,
    expires_at: datetime,
) -> dict[str, Any]:
    """A decision's statement, bound to a version in a registry, so that it can promote that one and no other.

    Args:
        statement: As `gate.decision.statement.statement` gives it.
        registry: The version, and the alias that it asks for.
        champion: Who holds the alias now.
        records: SHA-256 of the candidate's record, the baseline's (None without one) and the decision.
        attempts: Which attempt it is, counted from 1.
        issued_at: Aware time.
        expires_at: Aware time.
    """
    more = {
        "records": dict(records),
        "attempts": attempts,
        **bound_facts(registry, champion, issued_at, expires_at),
    }
    subject = [{**entry, "name": registry.model} for entry in statement["subject"]]
    return {**statement, "subject": subject, "predicate": {**statement["predicate"], **more}}


def override_statement(
    *,
    registry: RegistryFacts,
    champion: ChampionFacts | None,
    subject: str,
    subject_is: str = "weights",
    reason: str,
    by: str,
    issued_at: datetime,
    expires_at: datetime,
) -> dict[str, Any]:
    """A person's decision to promote a version that no verdict promotes.

    Args:
        registry: The version, and the alias that it gets.
        champion: Who holds the alias now.
        subject: Digest of the version's weights, or of what stands for them.
        subject_is: `weights` or `journal`.
        reason: Why; it stands in every report.
        by: Who.
        issued_at: Aware time.
        expires_at: Aware time.
    """
    predicate = {
        "subjectIs": subject_is,
        "reason": reason,
        "by": by,
        **bound_facts(registry, champion, issued_at, expires_at),
    }
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": registry.model, "digest": {"sha256": subject}}],
        "predicateType": OVERRIDE_TYPE,
        "predicate": predicate,
    }


def svr_statement(verdict: VerdictStatement, *, verifier: str) -> dict[str, Any]:
    """A Simple Verification Result for tools that know nothing of ours: only a PASS has one.

    Args:
        verdict: A gate's verdict.
        verifier: Who vouches, a URI.

    Raises:
        AttestationError: If it is no PASS.
    """
    if verdict.kind != "gate" or verdict.outcome != "PASS":
        raise AttestationError("only a PASS can be told as a verification result")
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": verdict.registry.model, "digest": {"sha256": verdict.subject}}],
        "predicateType": SVR_TYPE,
        "predicate": {
            "verifier": {"id": verifier},
            "timeCreated": written(verdict.issued_at),
            "properties": [
                "LLMGATE_PASS",
                *(f"LLMGATE_SUITE_{suite.name}@{suite.version}" for suite in verdict.suites),
            ],
        },
    }


def bound_facts(
    registry: RegistryFacts, champion: ChampionFacts | None, issued_at: datetime, expires_at: datetime
) -> dict[str, Any]:
    """What a gate's verdict and an override have in common."""
    return {
        "registry": {
            "id": registry.id,
            "workspace": registry.workspace,
            "model": registry.model,
            "version": registry.version,
            "createdAt": written(registry.created_at),
            "source": registry.source,
            "alias": registry.alias,
        },
        "champion": champion
        and {
            "version": champion.version,
            "createdAt": written(champion.created_at),
            "verdict": champion.verdict,
            "weights": champion.weights,
            "journal": champion.journal,
        },
        "issuedAt": written(issued_at),
        "expiresAt": written(expires_at),
    }


def read_statement(payload: bytes, digest: str) -> VerdictStatement:
    """Read what was signed.

    Args:
        payload: The envelope's payload.
        digest: Its SHA-256.

    Raises:
        AttestationError: If it is no verdict of ours, of another major version, or bound to no registry.
    """
    top = Fields(parse_json(payload, "the statement"), "statement")
    if top.text("_type") != STATEMENT_TYPE:
        raise AttestationError("this is no in-toto statement of version 1")
    kind = {VERDICT_TYPE: "gate", OVERRIDE_TYPE: "override"}.get(top.text("predicateType"))
    if kind is None:
        raise AttestationError(f"the statement is a {top.text('predicateType')[:80]!r} and no verdict of llmgate")
    predicate = top.object("predicate")
    subject_is = predicate.one_of("subjectIs", ("weights", "journal"))
    issued_at, expires_at = moment(predicate.text("issuedAt")), moment(predicate.text("expiresAt"))
    if expires_at <= issued_at:
        raise AttestationError("the verdict expires before it was given")
    gate = kind == "gate"
    return VerdictStatement(
        kind="gate" if gate else "override",
        outcome=predicate.one_of("verdict", OUTCOMES) if gate else "OVERRIDE",
        registry=read_registry(predicate),
        champion=read_champion(predicate),
        subject_is=subject_is,
        subject=read_subject(top),
        suites=tuple(map(read_suite, predicate.objects("suites"))) if gate else (),
        records=read_records(predicate) if gate else MappingProxyType({}),
        attempts=predicate.whole("attempts", least=1) if gate else 0,
        weaker=predicate.texts("weakerPolicy") if gate and "weakerPolicy" in predicate.values else (),
        issued_at=issued_at,
        expires_at=expires_at,
        reason="" if gate else predicate.text("reason", empty=False),
        by="" if gate else predicate.text("by", empty=False),
        digest=digest,
        predicate=MappingProxyType(predicate.values),
    )


def read_subject(top: Fields) -> str:
    """The one subject's digest."""
    subjects = top.objects("subject")
    if len(subjects) != 1:
        raise AttestationError(f"the statement has {len(subjects)} subjects, and a verdict is about one")
    return subjects[0].object("digest").sha256("sha256")


def read_registry(predicate: Fields) -> RegistryFacts:
    """Which version it is about."""
    facts = predicate.optional("registry")
    if facts is None:
        raise AttestationError(
            "the verdict is bound to no version of a registry",
            fix="Sign it for one: `llmgate verdict sign RUN --version models:/NAME/VERSION`",
        )
    return RegistryFacts(
        id=facts.text("id", empty=False),
        workspace=facts.text("workspace", empty=False),
        model=facts.text("model", empty=False),
        version=facts.text("version", empty=False),
        created_at=moment(facts.text("createdAt")),
        source=facts.text("source"),
        alias=facts.text("alias", empty=False),
    )


def read_champion(predicate: Fields) -> ChampionFacts | None:
    """Whom it was compared with."""
    facts = predicate.optional("champion")
    if facts is None:
        return None
    return ChampionFacts(
        version=facts.text("version", empty=False),
        created_at=moment(facts.text("createdAt")),
        verdict=facts.maybe_sha256("verdict"),
        weights=facts.maybe_sha256("weights"),
        journal=facts.maybe_sha256("journal"),
    )


def read_suite(suite: Fields) -> SuiteFacts:
    """One suite."""
    return SuiteFacts(
        name=suite.text("name", empty=False),
        version=suite.text("version"),
        digest=suite.text("digest"),
        dataset=suite.text("dataset"),
    )


def read_records(predicate: Fields) -> Mapping[str, str | None]:
    """Digests of what the verdict can be taken again from."""
    records = predicate.object("records")
    return MappingProxyType(
        {
            "candidate": records.sha256("candidate"),
            "baseline": records.maybe_sha256("baseline"),
            "decision": records.sha256("decision"),
        }
    )
