"""Starts the program that looks at something during a measurement, and takes what it saw."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from llmgate.bench.watch import sampler
from llmgate.record.environment import for_programs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SamplerRun"]

START_S: Final = 15.0
"""A first look at a GPU may have to load its driver; on a busy machine even a small program takes its time."""
STOP_S: Final = 15.0


class SamplerRun:
    """One run of the sampler. If nobody ends it, it ends with this object or with this process.

    Args:
        job: What to do; see `llmgate.bench.watch.sampler`.

    Attributes:
        note: Why there is nothing, "" if there is something.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.note = ""
        self._job = job
        self._process: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[[subprocess.Popen[bytes]], SamplerRun] | None = None

    @property
    def pid(self) -> int | None:
        """The program's process id, None if it does not run."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the program, and wait until it is ready; why it is not is noted."""
        try:
            # Blocks for a few ms, before anything is measured.
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own program, no shell
                [sys.executable, "-I", "-S", str(Path(sampler.__file__))],
                env=for_programs(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        except OSError as error:
            self.note = f"the sampler cannot be started ({error})"
            return
        self._end = weakref.finalize(self, _kill, self._process)
        word = await self._ask(json.dumps(self._job).encode() + b"\n", START_S)
        if not word.get("ready"):
            self._give_up(str(word.get("error") or "the sampler did not get ready"))

    async def stop(self) -> dict[str, Any] | None:
        """End the program; what it saw, None if there is nothing."""
        if self._process is None:
            return None
        word = await self._ask(b"stop\n", STOP_S)
        self._give_up("" if word else "the sampler ended before its time")
        return word or None

    async def _ask(self, line: bytes, timeout_s: float) -> dict[str, Any]:
        """Write a line, read one; empty if none comes in time."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return {}
        with suppress(OSError, ValueError):
            process.stdin.write(line)
            # In a thread, because the event loop's own pipes belong to a child watcher that not every loop has.
            reading = asyncio.to_thread(_read_line, process.stdout)
            async with asyncio.timeout(timeout_s):
                answer: dict[str, Any] = json.loads(await reading)
                return answer
        return {}

    def _give_up(self, why: str) -> None:
        self.note = self.note or why
        self._process = None
        if self._end is not None:
            self._end()


def _read_line(pipe: IO[bytes]) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n") and (piece := os.read(pipe.fileno(), 65536)):
        data += piece
    return bytes(data)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program, whatever it does, and let go of its pipes."""
    with suppress(OSError):
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
