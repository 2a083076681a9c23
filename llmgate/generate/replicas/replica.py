"""One of several servers of a model: its client, whether it is asked, and what came of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from llmgate.generate.client import ElsewhereError
from llmgate.generate.replies import Vectors
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmgate.generate.client import ChatClient

__all__ = ["GoneError", "Replica"]

LOST_OUT: Final = 3
"""Attempts in a row that get no answer at all; one alone may be a connection that was kept too long."""
BAD_OUT: Final = 10
"""Attempts in a row with a bad answer, which may be the fault of the request."""
UNANSWERED: Final = frozenset({FailureKind.CONNECTION, FailureKind.TIMEOUT})
WITHIN: Final = frozenset({FailureKind.REQUEST, FailureKind.INCOMPLETE, FailureKind.INTERRUPTED})
"""Failures that say nothing against the server."""

T = TypeVar("T", Generation, Vectors)


class GoneError(Exception):
    """The server was taken out while it was being asked."""


class Replica:
    """One server. Requests that are on their way to it are called back when it is taken out.

    Args:
        client: Asks it.
        clock: Seconds, monotonic.

    Attributes:
        why_out: Why it is not asked, "" while it is.
        for_ever: Whether it will not be asked again whatever it says of its health.
        in_flight: Requests on their way.
        answers: How many it gave.
        moved: Requests that others answered in its place.
        failed_in_row: Attempts that failed since the last one that did not.
        lost_in_row: Those of them that got no answer at all, since the last one that did.
        doubted: Set when an attempt fails, so that somebody looks at its health at once.
    """

    def __init__(self, client: ChatClient, *, clock: Callable[[], float]) -> None:
        self.client = client
        self.why_out = ""
        self.for_ever = False
        self.in_flight = 0
        self.answers = 0
        self.moved = 0
        self.failed_in_row = 0
        self.lost_in_row = 0
        self.times_out = 0
        self.out_s = 0.0
        self.doubted = asyncio.Event()
        self._clock = clock
        self._since = 0.0
        self._tasks: set[asyncio.Task[object]] = set()
        self._called_back: set[asyncio.Task[object]] = set()

    @property
    def url(self) -> str:
        """Its base URL."""
        return self.client.endpoint.url

    @property
    def healthy(self) -> bool:
        """Whether it is asked."""
        return not self.why_out

    @property
    def failing(self) -> bool:
        """Whether so much failed in a row that others should be asked."""
        return self.lost_in_row >= LOST_OUT or self.failed_in_row >= BAD_OUT

    @property
    def closed(self) -> bool:
        """Whether its rate limit lets nobody pass at the moment."""
        return self.client.traffic.closed_s > 0

    def take_out(self, why: str, *, for_ever: bool = False) -> None:
        """Ask it no more, and call back what is on its way to it."""
        self.for_ever = self.for_ever or for_ever
        if self.why_out:
            return
        self.why_out, self._since = why, self._clock()
        self.times_out += 1
        for task in self._tasks - self._called_back:
            self._called_back.add(task)
            task.cancel()

    def bring_back(self) -> None:
        """Ask it again."""
        if self.why_out and not self.for_ever:
            self.out_s += self._clock() - self._since
            self.why_out, self.failed_in_row, self.lost_in_row = "", 0, 0

    def lost_s(self) -> float:
        """How long it was not asked, in seconds."""
        return self.out_s + (self._clock() - self._since if self.why_out else 0.0)

    async def answer(self, send: Callable[[ChatClient], Awaitable[T | Failure]], *, alone: bool) -> T | Failure:
        """Send one request.

        Args:
            send: Sends it by a client.
            alone: Whether no other server could answer, so that nothing is called back.

        Raises:
            ElsewhereError: If another server may answer it.
            GoneError: If the server was taken out meanwhile.
            EndpointError: If it is of no use to ask on.
        """
        task = asyncio.current_task()
        if task is not None and not alone:
            self._tasks.add(task)
        self.in_flight += 1
        try:
            answer = await send(self.client)
            self._note(answer)
        except ElsewhereError as moved:
            self._note(None if moved.waits else moved.failure)
            raise
        except asyncio.CancelledError:
            if task is None or task not in self._called_back or task.uncancel() > 0:
                raise
            raise GoneError(self.why_out) from None
        finally:
            self.in_flight -= 1
            if task is not None:
                self._tasks.discard(task)
                self._called_back.discard(task)
        return answer

    def _note(self, answer: Generation | Vectors | Failure | None) -> None:
        if answer is None or (isinstance(answer, Failure) and answer.kind in WITHIN):
            return
        if isinstance(answer, Failure):
            self.failed_in_row += 1
            self.lost_in_row = self.lost_in_row + 1 if answer.kind in UNANSWERED else 0
            self.doubted.set()
        else:
            self.answers += 1
            self.failed_in_row = self.lost_in_row = 0
