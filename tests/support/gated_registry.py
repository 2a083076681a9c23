"""A gated registry in this process, with someone who gates and promotes in it as `llmgate promote` would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from llmgate.attest.envelope import read_envelope
from llmgate.attest.statement import ChampionFacts, RegistryFacts
from llmgate.attest.tags import attestation_key, ledger_key
from llmgate.mlflow_quiet import quiet
from llmgate.mlflow_server.events import instant
from llmgate.mlflow_server.policy_file import PolicyFile
from support.verdicts import REGISTRY, Keys, digest_of

# MLflow warns of itself while it is imported.
with quiet():
    from mlflow.entities.model_registry import ModelVersionTag
    from mlflow.exceptions import MlflowException
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    from llmgate.mlflow_server.stores import DatabaseGate, gated

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MODEL", "Registry", "open_plain", "open_store"]

MODEL = "support-bot"


def open_store(uri: str, policy: Path, **named: Any) -> Any:
    """A gated store of a database."""
    return gated(DatabaseGate, SqlAlchemyStore, uri, policy=PolicyFile(policy), **named)


def open_plain(uri: str) -> Any:
    """A store of the same database without a gate, as somebody with the database's password has it."""
    return SqlAlchemyStore(uri)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A store, or a client of a server, and the keys that its policy trusts.

    Attributes:
        store: `set_model_version_tag` and the like of MLflow's stores.
        keys: The policy's.
        workspace: MLflow's.
    """

    store: Any
    keys: Keys
    workspace: str = "default"

    def add(self, source: str = "s3://bucket/v", *, model: str = MODEL, tags: Any = None) -> int:
        """Register a version; the model is made when it is missing."""
        try:
            self.store.get_registered_model(model)
        except MlflowException:
            self.store.create_registered_model(model)
        return int(self.store.create_model_version(model, source, tags=tags).version)

    def facts(self, version: int, *, alias: str = "champion", model: str = MODEL) -> RegistryFacts:
        """A version as a verdict names it."""
        found = self.store.get_model_version(model, str(version))
        return RegistryFacts(
            id=REGISTRY,
            workspace=self.workspace,
            model=model,
            version=str(version),
            created_at=instant(found.creation_timestamp),
            source=found.source,
            alias=alias,
        )

    def champion(self, *, alias: str = "champion", model: str = MODEL) -> ChampionFacts | None:
        """Who holds the alias, with the verdict that the ledger's tag names."""
        found = self.store.get_registered_model(model)
        holder = dict(found.aliases).get(alias)
        if holder is None:
            return None
        version = self.store.get_model_version(model, str(holder))
        moves = [event for event in self.events(alias, model=model) if event["event"] != "verdict"]
        mine = moves[0] if moves and moves[0]["version"] == str(holder) else {}
        return ChampionFacts(
            version=str(holder),
            created_at=instant(version.creation_timestamp),
            verdict=mine.get("verdict"),
            weights=mine.get("weights"),
        )

    def events(self, alias: str = "champion", *, model: str = MODEL) -> list[dict[str, Any]]:
        """What the ledger's tag shows, newest first."""
        shown = self.store.get_registered_model(model).tags.get(ledger_key(alias), "[]")
        events: list[dict[str, Any]] = json.loads(shown)
        return events

    def verdict(self, version: int, *, alias: str = "champion", model: str = MODEL, **told: Any) -> str:
        """A verdict against the present holder."""
        told.setdefault("weights", f"weights of {version}")
        if "champion" not in told:
            told["champion"] = self.champion(alias=alias, model=model)
        return self.keys.verdict(self.facts(version, alias=alias, model=model), **told)

    def put(self, version: int, text: str, *, alias: str = "champion", model: str = MODEL, n: int = 1) -> None:
        """Put a verdict on a version."""
        tag = ModelVersionTag(attestation_key(alias, n), text)  # type: ignore[no-untyped-call]
        self.store.set_model_version_tag(model, str(version), tag)

    def move(self, version: int, *, alias: str = "champion", model: str = MODEL) -> None:
        """Set the alias."""
        self.store.set_registered_model_alias(model, alias, str(version))

    def promote(self, version: int, *, alias: str = "champion", model: str = MODEL, n: int = 1, **told: Any) -> str:
        """Gate a version, put the verdict there, and set the alias; the verdict's digest."""
        text = self.verdict(version, alias=alias, model=model, **told)
        self.put(version, text, alias=alias, model=model, n=n)
        self.move(version, alias=alias, model=model)
        return read_envelope(text).digest

    def holder(self, *, alias: str = "champion", model: str = MODEL) -> int | None:
        """Who holds the alias."""
        found = dict(self.store.get_registered_model(model).aliases).get(alias)
        return None if found is None else int(found)


def moments_ago(**span: float) -> datetime:
    """A time that is past."""
    return datetime.now(UTC) - timedelta(**span)


def weights_of(version: int) -> str:
    """The digest that `Registry.verdict` gives a version's weights."""
    return digest_of(f"weights of {version}")
