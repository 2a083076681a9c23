"""Keys, a registry's policy, and signed verdicts, for whoever tests what a registry believes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.attest.envelope import envelope_text, sign_payload
from llmgate.attest.keys import KeySigner, generate, private_key
from llmgate.attest.policy import RegistryPolicy, load_policy
from llmgate.attest.statement import (
    STATEMENT_TYPE,
    VERDICT_TYPE,
    ChampionFacts,
    RegistryFacts,
    bind,
    canonical,
    override_statement,
)

if TYPE_CHECKING:
    from llmgate.attest.keys import Signer

__all__ = ["PROTECT", "REGISTRY", "SUITE", "Keys", "digest_of", "gate_statement", "make_keys", "registry_facts"]

REGISTRY = "test-registry"
SUITE = "support"
PROTECT = """
  - models: ["support-*"]
    aliases: [champion, production]
    stages: [Production]
    suites: {support: "*"}
    max_age: 30d
"""


def digest_of(text: str) -> str:
    """Full SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def registry_facts(**given: Any) -> RegistryFacts:
    """A version of `support-bot`, as a registry tells of it."""
    facts = {
        "id": REGISTRY,
        "model": "support-bot",
        "version": "2",
        "created_at": datetime(2026, 11, 1, 12, tzinfo=UTC),
        "source": "s3://bucket/v2",
        "alias": "champion",
    }
    return RegistryFacts(**{**facts, **given})


def gate_statement(
    *, outcome: str = "PASS", weights: str | None = "v2", suites: tuple[tuple[str, str], ...] = ((SUITE, "1.2.0"),)
) -> dict[str, Any]:
    """What a decision says, bound to no version yet; `weights` is text that stands for weights, None for an endpoint."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "support-bot", "digest": {"sha256": digest_of(weights or "journal")}}],
        "predicateType": VERDICT_TYPE,
        "predicate": {
            "verdict": outcome,
            "sentence": "Ship: the gate passes.",
            "subjectIs": "journal" if weights is None else "weights",
            "suites": [
                {"name": name, "version": version, "digest": digest_of(name), "dataset": digest_of("dataset")}
                for name, version in suites
            ],
            "metrics": [],
        },
    }


@dataclass(frozen=True, kw_only=True)
class Keys:
    """A key per role, and the policy file that trusts them.

    Attributes:
        folder: Where the policy and the keys lie: `policy.yaml`, `gate.pem`, `gate.pub`, …
    """

    folder: Path
    signers: dict[str, KeySigner] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The policy file."""
        return self.folder / "policy.yaml"

    @cached_property
    def policy(self) -> RegistryPolicy:
        """The policy, read from its file."""
        return load_policy(self.path)

    def sign(self, statement: dict[str, Any], *roles: str) -> str:
        """The text of an envelope, signed with the keys of some roles or by the key of a stranger (`stranger`)."""
        signers: list[Signer] = [self.signers[role] for role in roles or ("gate",)]
        return envelope_text(sign_payload(canonical(statement), *signers))

    def verdict(
        self,
        facts: RegistryFacts,
        *,
        champion: ChampionFacts | None = None,
        key: str | None = None,
        issued_at: datetime | None = None,
        lasts: timedelta = timedelta(days=30),
        **told: Any,
    ) -> str:
        """A gate's verdict about a version; signed by the bootstrap key where there is no champion."""
        issued_at = issued_at or datetime.now(UTC)
        statement = bind(
            gate_statement(**told),
            registry=facts,
            champion=champion,
            records={
                "candidate": digest_of("c"),
                "baseline": digest_of("b") if champion else None,
                "decision": "0" * 64,
            },
            attempts=1,
            issued_at=issued_at,
            expires_at=issued_at + lasts,
        )
        return self.sign(statement, key or ("bootstrap" if champion is None else "gate"))

    def override(
        self, facts: RegistryFacts, *, champion: ChampionFacts | None = None, key: str = "override", weights: str = "v2"
    ) -> str:
        """A person's override."""
        now = datetime.now(UTC)
        statement = override_statement(
            registry=facts,
            champion=champion,
            subject=digest_of(weights),
            reason="the champion leaks memory, and this one does not",
            by="ada@example.org",
            issued_at=now,
            expires_at=now + timedelta(hours=4),
        )
        return self.sign(statement, key)


def make_keys(folder: Path, *, protect: str = PROTECT, registry: str = REGISTRY, more: str = "") -> Keys:
    """Keys `gate`, `bootstrap`, `override`, and `stranger`, which the policy does not know."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = Keys(folder=folder)
    lines = ["version: 1", f"registry: {registry}", *([more] if more else []), "keys:"]
    for role in ("gate", "bootstrap", "override", "stranger"):
        private, public = generate()
        (folder / f"{role}.pem").write_text(private, encoding="utf-8")
        (folder / f"{role}.pub").write_text(public, encoding="utf-8")
        keys.signers[role] = private_key(private, where=role)
        if role != "stranger":
            lines += [f"  {role}-key:", f"    file: {role}.pub", f"    roles: [{role}]"]
    keys.path.write_text("\n".join([*lines, f"protect:{protect}"]), encoding="utf-8")
    return keys


def again(facts: RegistryFacts, **changed: Any) -> RegistryFacts:
    """The same facts but for some."""
    return replace(facts, **changed)
