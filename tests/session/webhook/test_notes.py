"""Tags that are written later, and tags that cannot be written."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from support.webhooks import FakeRegistry

from llmgate.errors import CannotRunError
from llmgate.session.webhook.memory import Memory
from llmgate.session.webhook.notes import MOST_FAILURES, StatusNotes

if TYPE_CHECKING:
    from pathlib import Path


class Closed(FakeRegistry):
    """Takes no tags of versions below 10."""

    def note(self, name: str, version: str, status: str) -> bool:
        if int(version) < 10:
            self.asked += 1
            raise CannotRunError("MLflow says: no")
        return super().note(name, version, status)


def test_a_version_that_is_closed_does_not_hold_up_the_others(tmp_path: Path) -> None:
    registry, said = Closed(versions={("bot", "10")}), list[str]()
    memory = Memory(tmp_path, time.time)
    notes = StatusNotes(memory, registry, said.append)
    for version in range(1, MOST_FAILURES + 1):
        notes.put("bot", str(version), "queued")
    notes.put("bot", "10", "queued")
    assert not asyncio.run(notes.flush())
    assert registry.asked == MOST_FAILURES
    assert not asyncio.run(notes.flush())
    assert registry.words("bot", "10") == ["queued"]
    assert len(memory.notes) == MOST_FAILURES
    memory.close()


def test_a_newer_state_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    registry, said = FakeRegistry(versions={("bot", "7")}), list[str]()
    memory = Memory(tmp_path, time.time)
    notes = StatusNotes(memory, registry, said.append)
    for word in ("queued", "running", "PASS"):
        notes.put("bot", "7", word)
    assert asyncio.run(notes.flush())
    assert registry.words("bot", "7") == ["PASS"]
    assert memory.notes == {}
    memory.close()


def test_a_version_that_is_gone_is_said_and_forgotten(tmp_path: Path) -> None:
    said: list[str] = []
    memory = Memory(tmp_path, time.time)
    notes = StatusNotes(memory, FakeRegistry(), said.append)
    notes.put("bot", "7", "PASS")
    assert asyncio.run(notes.flush())
    assert memory.notes == {}
    assert "there is no such version" in said[0]
    memory.close()
