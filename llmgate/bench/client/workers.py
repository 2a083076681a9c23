"""Several processes where one is not enough: each with its share of the slots, or of the arrivals.

One event loop is one processor's worth of work at most, and long before that its requests leave late. All processes of
a Linux host read one monotonic clock, so their times stand side by side.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeVar

from llmgate.bench.client.messages import (
    WorkerBegin,
    WorkerDone,
    WorkerFailed,
    WorkerProgress,
    WorkerTask,
    frame,
    received,
)
from llmgate.bench.client.plan_files import write_bodies, write_tickets
from llmgate.errors import BenchError, UsageError
from llmgate.record.environment import for_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from llmgate.bench.client.share import LoadJob, ShareOutcome
    from llmgate.bench.workload.load import Load

__all__ = ["Workers", "jobs_for", "processes_for"]

IN_FLIGHT_EACH: Final = 128
ARRIVALS_EACH: Final = 200
"""Requests per second."""
WINDOW_S: Final = 1.0
HEAD_START_S: Final = 0.1
"""From telling the workers to the common start."""
ROOT: Final = Path(__file__).parents[3]
LAST_WORDS: Final = 500

T = TypeVar("T")


def processes_for(load: Load, *, cores: int | None = None) -> int:
    """How many processes a load is given where it does not say.

    One per 128 in flight, or per 200 requests that become due in a second, and one processor is left to everybody else.
    A limit on what is in flight in an open loop holds for one process only.

    Args:
        load: What is to be sent.
        cores: Processors that may be used, by default all that this process may.

    Raises:
        UsageError: If the load says a number that it cannot be divided by.
    """
    at_most = min(load.concurrency, load.requests) if load.closed else load.requests
    if load.processes is not None:
        if load.processes > at_most or (not load.closed and load.concurrency and load.processes > 1):
            raise UsageError(
                f"the load cannot be divided among {load.processes} processes",
                where="bench",
                fix="A closed loop has one request in flight per process at least; an open one with a limit of "
                "requests in flight takes one process",
            )
        return load.processes
    if not load.closed and load.concurrency:
        return 1
    wanted = load.concurrency / IN_FLIGHT_EACH if load.closed else _busiest(load.due_s) / ARRIVALS_EACH
    known = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    usable = (cores or known) - 1
    return max(1, min(math.ceil(wanted), usable, at_most))


def _busiest(due_s: Sequence[float]) -> int:
    """Most requests that become due within a second."""
    most, first = 0, 0
    for last, due in enumerate(due_s):
        while due - due_s[first] > WINDOW_S:
            first += 1
        most = max(most, last - first + 1)
    return most


def jobs_for(whole: LoadJob, processes: int) -> tuple[LoadJob, ...]:
    """Divide a job: slots and warm-up evenly, arrivals in turn."""

    def part(number: int, k: int) -> int:
        return number // processes + (k < number % processes)

    return tuple(
        replace(
            whole,
            concurrency=part(whole.concurrency, k) if whole.due is None else whole.concurrency,
            due=None if whole.due is None else whole.due[k::processes],
            warm_up=whole.warm_up[k::processes],
            warm_up_concurrency=max(1, part(whole.warm_up_concurrency, k)),
        )
        for k in range(processes)
    )


class Workers:
    """Does a job by several processes.

    Args:
        jobs: One per process.
        bodies: Of all requests of the plan.
    """

    def __init__(self, jobs: Sequence[LoadJob], bodies: Sequence[bytes]) -> None:
        self._jobs = jobs
        self._planned = len(bodies)
        self._bodies, self._ends = write_bodies(bodies)
        self._tickets = write_tickets(len(bodies))
        self._errors: list[IO[bytes]] = []
        self._processes: list[asyncio.subprocess.Process] = []
        self._ended = [0] * len(jobs)

    async def prepare(self) -> None:
        """Start the processes, which connect and warm up.

        Raises:
            BenchError: If the server cannot be reached, or a process ends.
        """
        for job in self._jobs:
            await self._start(job)
        await _together([self._next(k) for k in range(len(self._jobs))])

    async def run(self, on_ended: Callable[[int], None] | None = None) -> tuple[ShareOutcome, ...]:
        """Measure, all from one moment on.

        Raises:
            BenchError: If a process ends before its time.
        """
        begin = frame(WorkerBegin(start_s=time.perf_counter() + HEAD_START_S))
        for process in self._processes:
            _input(process).write(begin)
        return tuple(await _together([self._outcome(k, on_ended) for k in range(len(self._jobs))]))

    async def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.kill()
            _input(process).close()
        for process in self._processes:
            await process.communicate()
        for file in (self._bodies, self._tickets, *self._errors):
            file.close()

    async def _start(self, job: LoadJob) -> None:
        shared = (self._bodies.fileno(), self._tickets.fileno())
        environment = for_programs()
        path = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._errors.append(errors)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "llmgate.bench.client.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=environment,
            pass_fds=shared,
        )
        self._processes.append(process)
        _input(process).write(frame(WorkerTask(job=job, bodies=shared[0], ends=self._ends, tickets=shared[1])))

    async def _next(self, k: int) -> object:
        process = self._processes[k]
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            message = await received(process.stdout)
        except asyncio.IncompleteReadError as error:
            status = await process.wait()
            self._errors[k].seek(0)
            words = " ".join(self._errors[k].read().decode("utf-8", "replace").split())[-LAST_WORDS:]
            raise BenchError(
                f"a process of the load client ended with status {status} ({words or 'without a word'})",
                where="bench",
                fix="Measure again; if it happens again, send fewer requests at once",
            ) from error
        if isinstance(message, WorkerFailed):
            raise BenchError(message.what, where=str(self._jobs[k].origin), fix=message.fix)
        return message

    async def _outcome(self, k: int, on_ended: Callable[[int], None] | None) -> ShareOutcome:
        while not isinstance(message := await self._next(k), WorkerDone):
            if isinstance(message, WorkerProgress) and on_ended is not None:
                self._ended[k] = message.count
                on_ended(sum(self._ended))
        return message.outcome


async def _together(work: Sequence[Coroutine[None, None, T]]) -> list[T]:
    """The results of all; when one fails, the others are given up before that is told."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _input(process: asyncio.subprocess.Process) -> asyncio.StreamWriter:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    return process.stdin
