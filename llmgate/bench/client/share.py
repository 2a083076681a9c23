"""One process's share of a measurement: its connections, its requests, and how it fared."""

from __future__ import annotations

import asyncio
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from llmgate.bench.client.drive import ClosedLoop, OpenLoop, Sending
from llmgate.bench.client.http import HttpOrigin, trust
from llmgate.bench.client.pool import Pool
from llmgate.bench.client.reading import AnswerReader, ReadAnswer
from llmgate.bench.client.selfcheck import LagProbe, quiet_collector
from llmgate.bench.client.stamps import KernelClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmgate.bench.client.drive import Drive, Tickets

__all__ = ["LoadJob", "LoadShare", "ShareOutcome", "in_order"]

PATH: Final = "/v1/chat/completions"
CONNECTIONS: Final = 16_384
BURST_S: Final = 0.05
LEAST_AHEAD: Final = 4
MOST_AHEAD: Final = 64
"""Idle connections of an open loop, so that opening one is no part of a burst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadJob:
    """What one process does. Plain data: it is sent to worker processes.

    Attributes:
        origin: Where requests go.
        reader: Reads the answers.
        concurrency: In flight in this process; in an open loop the most that may be, 0 for any number.
        due: Of an open loop: index of each request and when it is due, in seconds from the start, ascending; None for a
            closed one.
        warm_up: Bodies to send before, unmeasured.
        warm_up_concurrency: How many of them are in flight.
        timeout_s: Longest time for one request.
    """

    origin: HttpOrigin
    reader: AnswerReader
    concurrency: int
    due: tuple[tuple[int, float], ...] | None
    warm_up: tuple[bytes, ...]
    warm_up_concurrency: int
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareOutcome:
    """What came of it. Times in seconds of `time.perf_counter`.

    Attributes:
        answers: One per request that this process sent, in the order of the plan.
        start_s: When it began.
        end_s: When the last answer had come.
        cpu_s: Processor time of the process in between.
        lag_s: Largest lateness of the event loop, descending.
        blocked_s: Sum of what was harmful.
        resent: Requests sent again, because a kept connection closed before a byte of the answer came.
    """

    answers: tuple[ReadAnswer, ...]
    start_s: float
    end_s: float
    cpu_s: float
    lag_s: tuple[float, ...]
    blocked_s: float
    resent: int


class LoadShare:
    """Does a job.

    Args:
        job: What to do.
        bodies: Of all requests of the plan, this process's or not.
        tickets: Of a closed loop: says which request is next.
    """

    def __init__(self, job: LoadJob, bodies: Sequence[bytes], tickets: Tickets) -> None:
        self._job = job
        self._bodies = bodies
        self._tickets = tickets
        self._clock = KernelClock()
        self._pool = Pool(job.origin, ssl_context=trust(job.origin), clock=self._clock)
        self._wire = job.origin.posts(PATH)

    async def prepare(self) -> None:
        """Open the connections and warm up.

        Raises:
            BenchError: If the server cannot be reached.
        """
        job = self._job
        _make_room_for_connections()
        await self._pool.fill(job.concurrency if job.due is None else _ahead(job.due, job.concurrency))
        if job.warm_up:
            tickets, concurrency = in_order(len(job.warm_up)), job.warm_up_concurrency
            sending = self._sending(job.warm_up, None)
            await ClosedLoop(sending, tickets=tickets, concurrency=concurrency).run(time.perf_counter())
            self._pool.resent = 0

    async def run(self, start_s: float | None = None, on_ended: Callable[[int], None] | None = None) -> ShareOutcome:
        """Measure.

        Args:
            start_s: When to begin, on the clock that all processes share; None for now.
            on_ended: Called with the number of requests that have ended; must return at once.
        """
        job = self._job
        drive: Drive
        sending = self._sending(self._bodies, on_ended)
        if job.due is None:
            drive = ClosedLoop(sending, tickets=self._tickets, concurrency=job.concurrency)
        else:
            self._pool.keep_ahead(_ahead(job.due, job.concurrency))
            drive = OpenLoop(sending, due=job.due, most=job.concurrency)
        probe = LagProbe()
        with quiet_collector():
            if start_s is not None:
                await asyncio.sleep(start_s - time.perf_counter())
            probe.start()
            cpu_s, begun_s = time.process_time(), time.perf_counter()
            await drive.run(begun_s if start_s is None else start_s)
            end_s, cpu_s = time.perf_counter(), time.process_time() - cpu_s
            probe.stop()
            self._pool.keep_ahead(0)
        return ShareOutcome(
            answers=drive.answers(job.reader, None if self._clock.was_set() else self._clock),
            start_s=begun_s if start_s is None else start_s,
            end_s=end_s,
            cpu_s=cpu_s,
            lag_s=probe.worst_s,
            blocked_s=probe.blocked_s,
            resent=self._pool.resent,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()
        self._clock.close()

    def _sending(self, bodies: Sequence[bytes], on_ended: Callable[[int], None] | None) -> Sending:
        return Sending(
            pool=self._pool, bodies=bodies, wire=self._wire, timeout_s=self._job.timeout_s, on_ended=on_ended
        )


def _make_room_for_connections() -> None:
    """A process may open about a thousand files, by default, and more if it asks: an open loop can need them."""
    with suppress(OSError, ValueError):
        least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if least < CONNECTIONS and (most == resource.RLIM_INFINITY or least < most):
            wanted = CONNECTIONS if most == resource.RLIM_INFINITY else min(CONNECTIONS, most)
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def in_order(planned: int) -> Tickets:
    """Tickets 0, 1, … of a plan that one process has for itself."""
    numbers = count()

    def next_one() -> int | None:
        number = next(numbers)
        return number if number < planned else None

    return next_one


def _ahead(due: Sequence[tuple[int, float]], most: int) -> int:
    """Idle connections to keep: as many as requests become due in any 50 ms, within bounds."""
    burst, first = 0, 0
    for last, (_, due_s) in enumerate(due):
        while due_s - due[first][1] > BURST_S:
            first += 1
        burst = max(burst, last - first + 1)
    ahead = min(max(burst, LEAST_AHEAD), MOST_AHEAD)
    return min(ahead, len(due), most or ahead)
