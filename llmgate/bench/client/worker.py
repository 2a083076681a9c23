"""A worker process of a measurement: `python -m llmgate.bench.client.worker`. It speaks with `workers` by its pipes.

It ends when its standard input does, whatever it is doing: then whoever started it is gone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from typing import IO, TYPE_CHECKING, Final

from llmgate.bench.client.messages import (
    WorkerBegin,
    WorkerDone,
    WorkerFailed,
    WorkerProgress,
    WorkerReady,
    WorkerTask,
    frame,
    received,
)
from llmgate.bench.client.plan_files import MappedBodies, shared_tickets
from llmgate.bench.client.share import LoadShare
from llmgate.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

TELL_S: Final = 0.2
"""Progress is told no more often."""


async def work(own: asyncio.StreamReader, told: IO[bytes]) -> None:
    """One task, from the first message to the last."""

    def tell(message: object) -> None:
        told.write(frame(message))
        told.flush()

    task = await _next(own)
    if not isinstance(task, WorkerTask):
        raise TypeError(type(task).__name__)
    share = LoadShare(task.job, MappedBodies(task.bodies, task.ends), shared_tickets(task.tickets))
    try:
        await share.prepare()
        gc.collect()  # takes tens of milliseconds the first time; the start is the same moment for all
        tell(WorkerReady())
        begin = await _next(own)
        if not isinstance(begin, WorkerBegin):
            raise TypeError(type(begin).__name__)
        orphaned = asyncio.ensure_future(_end_with(own))
        tell(WorkerDone(outcome=await share.run(begin.start_s, _seldom(tell))))
        orphaned.cancel()
    except BenchError as error:
        tell(WorkerFailed(what=error.what, fix=error.fix or ""))
    finally:
        await share.close()


async def _next(own: asyncio.StreamReader) -> object:
    try:
        return await received(own)
    except asyncio.IncompleteReadError:
        os._exit(1)


async def _end_with(own: asyncio.StreamReader) -> None:
    await own.read()
    os._exit(1)


def _seldom(tell: Callable[[object], None]) -> Callable[[int], None]:
    last_s = time.perf_counter()

    def on_ended(count: int) -> None:
        nonlocal last_s
        now = time.perf_counter()
        if now - last_s > TELL_S:
            last_s = now
            tell(WorkerProgress(count=count))

    return on_ended


async def main() -> None:
    """Nothing else may write where messages go, so standard output is turned to standard error first."""
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    own = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(own), sys.stdin)
    await work(own, told)


if __name__ == "__main__":
    asyncio.run(main())
