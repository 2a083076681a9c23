"""How many requests may be in flight, where the number may change while they are."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Slots"]


class Slots:
    """A bound on requests in flight; `async with slots:` holds one place.

    Those who came first go first. A lower limit ends nothing that is in flight: no other goes until enough have
    ended. A task that is cancelled while it waits leaves the line, and hands on a place that it was just given.

    Args:
        limit: Requests in flight at most, at least 1.

    Attributes:
        in_flight: Places that are held now; above `limit` only after it was lowered.
        most: The most that were held at once.

    Raises:
        ValueError: For a limit below 1.
    """

    __slots__ = ("_limit", "_line", "in_flight", "most")

    def __init__(self, limit: int) -> None:
        self._limit = _at_least_one(limit)
        self._line: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self.in_flight = 0
        self.most = 0

    @property
    def limit(self) -> int:
        """Requests in flight at most."""
        return self._limit

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._line)

    def set_limit(self, limit: int) -> None:
        """Change the limit; those who may go now, go.

        Raises:
            ValueError: For a limit below 1.
        """
        self._limit = _at_least_one(limit)
        self._let_in()

    async def __aenter__(self) -> None:
        """Wait for a place."""
        if not self._line and self.in_flight < self._limit:
            self._take()
            return
        turn = asyncio.get_running_loop().create_future()
        self._line[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()
            else:
                self._line.pop(turn, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the place to the next in the line."""
        self._give_back()

    def _take(self) -> None:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)

    def _give_back(self) -> None:
        self.in_flight -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._line and self.in_flight < self._limit:
            turn, _ = self._line.popitem(last=False)
            if not turn.done():
                self._take()
                turn.set_result(None)


def _at_least_one(limit: int) -> int:
    if limit < 1:
        raise ValueError(f"at least one request must be allowed in flight, not {limit}")
    return limit
