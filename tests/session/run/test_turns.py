"""Two runs that take turns at one server: never in flight together, none left waiting, close in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.session.run.turns import Turns, turn_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.generate.chat import Chat


class Server:
    """Answers after a moment, and notes who is in flight with whom."""

    def __init__(self) -> None:
        self.in_flight: list[str] = []
        self.order: list[str] = []
        self.mixed = False

    async def ask(self, arm: str) -> None:
        self.in_flight.append(arm)
        self.order.append(arm)
        self.mixed |= len(set(self.in_flight)) > 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.in_flight.remove(arm)


class Client:
    """One run's client."""

    endpoint, stopped, gave_up = "here", None, False

    def __init__(self, server: Server, arm: str) -> None:
        self.server, self.arm = server, arm

    async def ask(self, body: Mapping[str, Any], **_: Any) -> str:
        if body.get("fails"):
            raise RuntimeError("lost")
        await self.server.ask(self.arm)
        return self.arm

    async def embed(self, _: object) -> str:
        await self.server.ask(self.arm)
        return self.arm


def both(sizes: tuple[int, int], *, size: int, ahead: int = 1000) -> Server:
    server, turns = Server(), Turns(size)

    async def one(arm: int) -> None:
        chat = turns.through(arm)(cast("Chat", Client(server, "ab"[arm])))
        slots = asyncio.Semaphore(ahead)

        async def ask() -> None:
            async with slots:
                answer: object = await chat.ask({})
                assert answer == "ab"[arm]

        await asyncio.gather(*(ask() for _ in range(sizes[arm])))

    async def all_of_it() -> None:
        await asyncio.wait_for(asyncio.gather(one(0), one(1)), timeout=20)

    asyncio.run(all_of_it())
    return server


@given(first=st.integers(0, 40), second=st.integers(0, 40), size=st.integers(1, 12), ahead=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_all_is_asked_and_never_together(first: int, second: int, size: int, ahead: int) -> None:
    server = both((first, second), size=size, ahead=ahead)
    assert not server.mixed
    assert (server.order.count("a"), server.order.count("b")) == (first, second)


def test_turns_alternate_until_one_has_nothing_left() -> None:
    order = "".join(both((6, 4), size=2).order)
    assert order == "aabbaabbaa"


def test_who_is_alone_does_not_wait() -> None:
    assert "".join(both((5, 0), size=2).order) == "aaaaa"


def test_what_fails_gives_its_turn_back_and_the_rest_is_seen_through() -> None:
    turns, server = Turns(1), Server()
    chat = turns.through(0)(cast("Chat", Client(server, "a")))
    other = turns.through(1)(cast("Chat", Client(server, "b")))
    seen: tuple[object, ...] = (chat.endpoint, chat.stopped, chat.gave_up)
    assert seen == ("here", None, False)

    async def work() -> None:
        with pytest.raises(RuntimeError, match="lost"):
            await chat.ask({"fails": True})
        vectors: object = await asyncio.wait_for(other.embed([]), timeout=5)
        assert vectors == "b"

    asyncio.run(work())


def test_a_turn_is_some_waves_of_requests_and_no_more_than_a_fifth() -> None:
    assert turn_size(688, 32) == 128
    assert turn_size(100, 8) == 20
    assert turn_size(10, 32) == 32
    assert turn_size(0, 1) == 1
