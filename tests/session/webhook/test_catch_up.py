"""Versions that no event told of are queued when they are seen for the second time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from support.webhooks import FakeRegistry

from llmgate.promote.webhook.refusal import DeliveryRefusedError
from llmgate.session.webhook.catch_up import CatchUp
from llmgate.session.webhook.memory import Memory

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.promote.webhook.events import VersionCreated


class Queue:
    """Takes so many versions."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.got: list[str] = []

    def offer(self, event: VersionCreated, delivery: str) -> str:
        if len(self.got) == self.room:
            raise DeliveryRefusedError(503, f"no room for {delivery}")
        self.got.append(event.version)
        return "queued"


def test_not_at_first_sight_and_not_more_than_there_is_room_for(tmp_path: Path) -> None:
    memory = Memory(tmp_path, time.time)
    registry, queue, said = FakeRegistry(versions={("bot", "7"), ("bot", "8")}), Queue(1), list[str]()
    catch_up = CatchUp(memory, registry, cast("Any", queue), said.append)
    asyncio.run(catch_up.look(["bot"]))
    assert queue.got == []
    registry.note("bot", "7", "PASS now")  # its run ended between the two looks
    asyncio.run(catch_up.look(["bot"]))
    assert queue.got == ["8"]
    asyncio.run(catch_up.look(["bot"]))
    assert queue.got == ["8"]
    memory.close()


def test_a_registry_that_is_down_is_said(tmp_path: Path) -> None:
    memory, said = Memory(tmp_path, time.time), list[str]()
    asyncio.run(CatchUp(memory, FakeRegistry(down=True), cast("Any", Queue(1)), said.append).look(["bot"]))
    assert "bot: its versions could not be listed" in said[0]
    memory.close()
