"""Two runs that ask one server by turns: close in time, and never in flight together.

So neither has the server at a better hour, and no answer of the one is computed in one batch with the other's weights.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from llmgate.generate.chat import Chat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from llmgate.errors import EndpointError
    from llmgate.generate.client import Endpoint
    from llmgate.generate.replies import Vectors
    from llmgate.record.schema import Failure, Generation

__all__ = ["Turns", "turn_size"]

WAVES = 4
"""So many times the requests in flight make a turn: at its end the server runs dry, which costs about one wave."""
TURNS = 5
"""At least so often both take turns, where there are cases enough."""


def turn_size(answers: int, in_flight: int) -> int:
    """Requests of one turn.

    Args:
        answers: Of one run.
        in_flight: At once.
    """
    return max(1, in_flight, min(WAVES * in_flight, answers // TURNS))


class Turns:
    """Whose turn it is. One event loop at a time.

    A run that has nothing to ask gives its turn away, so nobody waits for a judge of the other's.

    Args:
        size: Requests that are begun in one turn.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._arm = 0
        self._begun = 0
        self._in_flight = 0
        self._waiting = [0, 0]
        self._changed = asyncio.Condition()

    def through(self, arm: int) -> Callable[[Chat], Chat]:
        """Puts a run's requests into its turns.

        Args:
            arm: 0 for who begins, 1 for the other.
        """
        return lambda chat: _InTurn(chat, self, arm)

    @asynccontextmanager
    async def turn(self, arm: int) -> AsyncIterator[None]:
        """Wait until a request of a run may be in flight; it is until the block ends."""
        async with self._changed:
            self._waiting[arm] += 1
            try:
                while not self._may_begin(arm):
                    await self._changed.wait()
            finally:
                self._waiting[arm] -= 1
            self._begun += 1
            self._in_flight += 1
        try:
            yield
        finally:
            # No await before the count: whoever is cancelled here is not in flight any more either.
            self._in_flight -= 1
            if not self._in_flight:
                async with self._changed:
                    self._changed.notify_all()

    def _may_begin(self, arm: int) -> bool:
        ended = self._begun >= self._size
        if not self._in_flight and (ended or not self._waiting[self._arm]):
            # Where the other has nothing to ask now, the turn is followed by another one.
            if self._waiting[1 - self._arm]:
                self._arm = 1 - self._arm
                ended = True
            if ended:
                self._begun = 0
                self._changed.notify_all()
        return arm == self._arm and self._begun < self._size


class _InTurn(Chat):
    """Asks in its run's turns only."""

    def __init__(self, chat: Chat, turns: Turns, arm: int) -> None:
        self._chat = chat
        self._turns = turns
        self._arm = arm

    @property
    def endpoint(self) -> Endpoint:
        return self._chat.endpoint

    @property
    def stopped(self) -> EndpointError | None:
        return self._chat.stopped

    @property
    def gave_up(self) -> bool:
        return self._chat.gave_up

    async def ask(self, body: Mapping[str, Any], **told: Any) -> Generation | Failure:
        async with self._turns.turn(self._arm):
            return await self._chat.ask(body, **told)

    async def embed(self, texts: Sequence[str]) -> Vectors | Failure:
        async with self._turns.turn(self._arm):
            return await self._chat.embed(texts)
