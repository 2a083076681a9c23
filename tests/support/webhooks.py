"""A registry without MLflow, and deliveries as MLflow sends them."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmgate.errors import CannotRunError
from llmgate.promote.webhook.ledger import ModelState
from llmgate.promote.webhook.signature import DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, signature_of
from llmgate.session.webhook.settings import ReceiverSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["SECRET", "FakeRegistry", "created", "headers_of", "ledger_of", "receiver_settings"]

SECRET = "a-secret-that-is-long-enough"


@dataclass
class FakeRegistry:
    """Meets `WatchedRegistry`. While `down`, it answers nothing."""

    versions: set[tuple[str, str]] = field(default_factory=set)
    states: dict[str, ModelState] = field(default_factory=dict)
    notes: list[tuple[str, str, str]] = field(default_factory=list)
    down: bool = False
    refuses: bool = False
    asked: int = 0

    def up(self) -> None:
        self.asked += 1
        if self.down:
            raise CannotRunError("no MLflow server answers there")

    def has_version(self, name: str, version: str) -> bool:
        self.up()
        return (name, version) in self.versions

    def note(self, name: str, version: str, status: str) -> bool:
        self.up()
        self.notes.append((name, version, status.partition(" ")[0]))
        return (name, version) in self.versions

    def model(self, name: str) -> ModelState | None:
        self.up()
        return self.states.get(name)

    def models(self, patterns: Sequence[str]) -> list[str]:
        self.up()
        assert patterns
        return sorted(self.states)

    def ungated(self, name: str, since: float) -> list[str]:
        self.up()
        noted = {(model, version) for model, version, _ in self.notes}
        return sorted(version for model, version in self.versions - noted if model == name and since)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.up()
        if self.refuses:
            raise CannotRunError("MLflow says: llmgate: promotion blocked")
        state = self.states[name]
        self.states[name] = ModelState(name=name, aliases={**state.aliases, alias: version}, tags=state.tags)

    def words(self, name: str, version: str) -> list[str]:
        """What was written on a version, in order."""
        return [word for model, number, word in self.notes if (model, number) == (name, version)]


def receiver_settings(folder: Path, **changed: Any) -> ReceiverSettings:
    """A receiver on a port of its own that neither runs nor polls anything."""
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "secrets": (SECRET,),
        "command": None,
        "environ": {},
        "models": ("*",),
        "aliases": ("champion",),
        "workspace": "default",
        "folder": folder,
        "grace_s": 5.0,
        "poll_s": 0.0,
    }
    return ReceiverSettings(**{**values, **changed})


def headers_of(body: bytes, *, secret: str = SECRET, delivery: str | None = None, ago: float = 0) -> dict[str, str]:
    """The headers of a delivery."""
    delivery = delivery or str(uuid.uuid4())
    timestamp = str(int(time.time() - ago))
    return {
        "Content-Type": "application/json",
        DELIVERY_HEADER: delivery,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: signature_of(secret, delivery, timestamp, body),
    }


def created(name: str = "bot", version: str = "7", *, kind: str = "model_version.created", **more: Any) -> bytes:
    """The body of a delivery."""
    entity, _, action = kind.partition(".")
    data: dict[str, Any] = {"name": name, "version": version, "tags": {}, "description": None}
    told = {"entity": entity, "action": action, "timestamp": "2026-11-28T20:14:26+00:00"}
    told |= {key: value for key, value in more.items() if key == "workspace"}
    return json.dumps({**told, "data": {**data, **{k: v for k, v in more.items() if k != "workspace"}}}).encode()


def ledger_of(*versions: str) -> dict[str, str]:
    """A model's tags whose ledger says that these versions got the alias, one after the other."""
    events = [
        {"event": "promoted", "version": version, "at": f"2026-11-28T20:{minute:02}:00.000Z"}
        for minute, version in enumerate(versions)
    ]
    return {"llmgate.ledger/champion": json.dumps(events[::-1])}
