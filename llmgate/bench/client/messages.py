"""What the process that measures and its workers tell each other."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.bench.client.share import LoadJob, ShareOutcome

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "WorkerBegin",
    "WorkerDone",
    "WorkerFailed",
    "WorkerProgress",
    "WorkerReady",
    "WorkerTask",
    "frame",
    "received",
]

LENGTH_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTask:
    """To a worker: what to do, and where the shared files are."""

    job: LoadJob
    bodies: int
    ends: tuple[int, ...]
    tickets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerBegin:
    """To a worker: measure, from this time of `time.perf_counter` on."""

    start_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReady:
    """From a worker: it is connected and warm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgress:
    """From a worker: so many requests have ended."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDone:
    """From a worker: that was all."""

    outcome: ShareOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFailed:
    """From a worker: the server cannot be reached."""

    what: str
    fix: str


def frame(message: object) -> bytes:
    """A message as it goes through a pipe between two processes of ours."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


async def received(pipe: asyncio.StreamReader) -> object:
    """The next message out of a pipe.

    Raises:
        asyncio.IncompleteReadError: If the other side has ended.
    """
    length = int.from_bytes(await pipe.readexactly(LENGTH_BYTES), "big")
    return pickle.loads(await pipe.readexactly(length))  # noqa: S301 - from a process of our own
