"""Sends requests when they are due: as others end, or at given times.

In a closed loop the next request leaves from within the callback that saw the last byte of the answer before, so a slot
is empty for microseconds. Answers are read after the measurement.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from llmgate.bench.client.backlog import Backlog
from llmgate.bench.client.pool import Pool
from llmgate.bench.client.reading import ReadAnswer
from llmgate.errors import BenchError
from llmgate.record.serving.trace import RequestTrace

if TYPE_CHECKING:
    from llmgate.bench.client.http import Connection
    from llmgate.bench.client.reading import AnswerReader
    from llmgate.bench.client.response import Reply
    from llmgate.bench.client.stamps import KernelClock

__all__ = ["ClosedLoop", "Drive", "OpenLoop", "Sending", "Tickets"]

AT_ONCE: Final = 16
"""Requests that leave at the start before the loop looks at answers again: sending one takes about 50 µs."""

Tickets = Callable[[], int | None]
"""The next request of the plan that nobody has sent yet; None if there is none left."""


@dataclass(slots=True)
class _Request:
    index: int
    queued_s: float
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What every drive needs.

    Attributes:
        pool: Connections.
        bodies: Of all requests of the plan.
        wire: What makes bytes for the socket out of a body.
        timeout_s: Longest time for one request.
        on_ended: Called with the number of requests that have ended; must return at once.
    """

    pool: Pool
    bodies: Sequence[bytes]
    wire: Callable[[bytes], bytes]
    timeout_s: float
    on_ended: Callable[[int], None] | None = None


class Drive(ABC):
    """Sends requests and keeps what comes back.

    A request is sent once, with one exception: when a connection that has carried another exchange closes before a
    single byte of the answer has come, the server meant to close it, and the request is sent again, on a fresh one. Its
    `sent_s` is then the second time, its `queued_s` stays.
    """

    def __init__(self, sending: Sending) -> None:
        self._pool = sending.pool
        self._bodies = sending.bodies
        self._wire = sending.wire
        self._timeout_s = sending.timeout_s
        self._on_ended = sending.on_ended
        self._backlog = Backlog()
        self._unsent: list[RequestTrace] = []
        self._in_flight = 0
        self._ended = 0
        self._lost: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._all_ended: asyncio.Future[None] = self._loop.create_future()

    async def run(self, start_s: float) -> None:
        """Send everything, from `start_s` of `time.perf_counter` on, and wait for the last answer."""
        try:
            self._begin(start_s)
            self._look()
            await self._all_ended
        finally:
            self._stop()

    def answers(self, reader: AnswerReader, clock: KernelClock | None) -> tuple[ReadAnswer, ...]:
        """What came, in the order of the plan; once."""
        read = [reader.read(index, queued_s, reply, clock) for index, queued_s, reply in self._backlog.drain()]
        return tuple(sorted((*read, *(ReadAnswer(trace=t) for t in self._unsent)), key=lambda a: a.trace.index))

    @abstractmethod
    def _begin(self, start_s: float) -> None:
        """Send, or arrange for sending."""

    @abstractmethod
    def _freed(self, free_s: float) -> None:
        """A request ended at `free_s`."""

    @abstractmethod
    def _more(self) -> bool:
        """Whether there are requests left to be sent."""

    def _stop(self) -> None:
        """Nothing more is to be sent."""
        for task in self._tasks:
            task.cancel()

    def _dispatch(self, index: int, queued_s: float) -> None:
        """Send a request that became due at `queued_s`."""
        self._in_flight += 1
        request = _Request(index, queued_s)
        connection = self._pool.take() if self._lost is None else None
        if self._lost is not None:
            self._fail(request, f"not sent: {self._lost}")
        elif connection is not None:
            self._send(connection, request)
        else:
            self._open_for(request)

    def _send(self, connection: Connection, request: _Request) -> None:
        wired = self._wire(self._bodies[request.index])
        connection.send(wired, partial(self._answered, connection, request), timeout_s=self._timeout_s)

    def _open_for(self, request: _Request) -> None:
        task = self._loop.create_task(self._send_fresh(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_fresh(self, request: _Request) -> None:
        try:
            try:
                connection = await self._pool.fresh()
            except BenchError as error:
                self._lost = self._lost or error.what
                self._fail(request, f"not sent{' again' if request.again else ''}: {error.what}")
            else:
                self._send(connection, request)
        except Exception as error:  # noqa: BLE001 - as in _answered
            self._give_up(error)

    def _answered(self, connection: Connection, request: _Request, reply: Reply) -> None:
        try:
            if reply.dropped and reply.reused and not request.again:
                request.again = True
                self._pool.dropped(connection)
                self._open_for(request)
                return
            self._pool.give(connection)
            self._in_flight -= 1
            self._freed(reply.end_s)
            self._backlog.add(request.index, request.queued_s, reply)
            self._count()
        except Exception as error:  # noqa: BLE001 - the event loop would only log it, and the run never end
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if not self._all_ended.done():
            self._all_ended.set_exception(error)

    def _fail(self, request: _Request, why: str) -> None:
        now = time.perf_counter()
        self._unsent.append(
            RequestTrace(
                index=request.index, queued_s=request.queued_s, sent_s=now, token_events_s=(), end_s=now, error=why
            )
        )
        # Not a direct call: thousands of requests that cannot be sent would be as many nested calls.
        self._loop.call_soon(self._failed, now)

    def _failed(self, now: float) -> None:
        try:
            self._in_flight -= 1
            self._freed(now)
            self._count()
        except Exception as error:  # noqa: BLE001 - as in _answered
            self._give_up(error)

    def _count(self) -> None:
        self._ended += 1
        if self._on_ended is not None:
            self._on_ended(self._ended)
        self._look()

    def _look(self) -> None:
        """See whether that was all."""
        if not self._in_flight and not self._more() and not self._all_ended.done():
            self._all_ended.set_result(None)


class ClosedLoop(Drive):
    """A number of requests in flight: one is due when another has ended.

    Args:
        sending: As for `Drive`.
        tickets: Says which request is next.
        concurrency: How many are in flight.
    """

    def __init__(self, sending: Sending, *, tickets: Tickets, concurrency: int) -> None:
        super().__init__(sending)
        self._tickets = tickets
        self._concurrency = concurrency
        self._left = True
        self._unstarted = concurrency

    def _begin(self, start_s: float) -> None:
        try:
            for _ in range(min(AT_ONCE, self._unstarted)):
                self._unstarted -= 1
                self._freed(start_s)
            if self._unstarted and self._left:
                self._loop.call_soon(self._begin, start_s)
        except Exception as error:  # noqa: BLE001 - as in _answered
            self._give_up(error)

    def _freed(self, free_s: float) -> None:
        index = self._tickets() if self._left else None
        if index is None:
            self._left = False
        else:
            self._dispatch(index, free_s)

    def _more(self) -> bool:
        return self._left and self._unstarted > 0


class OpenLoop(Drive):
    """Requests leave at their times, whether or not answers came.

    A timer of the event loop fires up to a millisecond late, never early; that shows as time in the client's queue.

    Args:
        sending: As for `Drive`.
        due: Index of each request and when it is due, in seconds from the start, ascending.
        most: In flight at once, 0 for any number; who finds no room waits, and is due all the same.
    """

    def __init__(self, sending: Sending, *, due: Sequence[tuple[int, float]], most: int) -> None:
        super().__init__(sending)
        self._due = due
        self._most = most
        self._at = 0
        self._start_s = 0.0
        self._waiting: deque[tuple[int, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def _begin(self, start_s: float) -> None:
        self._start_s = start_s
        self._tick()

    def _tick(self) -> None:
        try:
            for _ in range(AT_ONCE):
                if self._at >= len(self._due):
                    return
                index, due_s = self._due[self._at]
                queued_s = self._start_s + due_s
                left_s = queued_s - time.perf_counter()
                if left_s > 0:
                    self._timer = self._loop.call_later(left_s, self._tick)
                    return
                self._at += 1
                self._waiting.append((index, queued_s))
                self._let_in()
            self._timer = self._loop.call_later(0, self._tick)
        except Exception as error:  # noqa: BLE001 - as in _answered
            self._give_up(error)

    def _let_in(self) -> None:
        while self._waiting and (not self._most or self._in_flight < self._most):
            self._dispatch(*self._waiting.popleft())

    def _freed(self, free_s: float) -> None:
        del free_s  # a request is due when it is due
        self._let_in()

    def _more(self) -> bool:
        return bool(self._waiting) or self._at < len(self._due)

    def _stop(self) -> None:
        super()._stop()
        if self._timer is not None:
            self._timer.cancel()
