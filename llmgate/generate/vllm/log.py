"""A server's log: where it goes, its end, and how far a start has come by it (the wordings of vLLM 0.25 to 0.33)."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import ServerError
from llmgate.record.disk import open_own, private_folder

if TYPE_CHECKING:
    from llmgate.generate.vllm.command import ServerSpec

__all__ = ["OnProgress", "ServerPhase", "log_tail", "open_log", "phase_of", "silent"]

LOG_TAIL_BYTES = 1 << 18


class ServerPhase(StrEnum):
    """How far the start has come, in order. A phase may be skipped; none comes back."""

    WAITING = "waiting for another server that is starting"
    IMPORTING = "importing vLLM"
    LOADING = "loading weights"
    COMPILING = "compiling"
    CAPTURING = "profiling memory and capturing graphs"
    WARMING = "warming up"
    READY = "ready"

    @property
    def rank(self) -> int:
        """Position in the order."""
        return list(ServerPhase).index(self)


OnProgress = Callable[[str], None]
"""Receives one line of text per step of a start."""


def silent(text: str) -> None:
    """Show no progress."""
    del text


PHASES: tuple[tuple[ServerPhase, re.Pattern[str]], ...] = (
    (ServerPhase.WARMING, re.compile(r"Starting vLLM (API )?server|Application startup complete")),
    (
        ServerPhase.CAPTURING,
        re.compile(
            r"KV cache (size|memory)|Capturing (CUDA|ACL|XPU)? ?graph|Graph captur|GiB for KV cache|"
            r"Compile and warming up|Warming up (?!model for the comp)",
            re.IGNORECASE,
        ),
    ),
    (
        ServerPhase.COMPILING,
        re.compile(r"torch\.compile|Dynamo bytecode|Compiling a graph|Start compiling|model for the compilation"),
    ),
    (ServerPhase.LOADING, re.compile(r"Starting to load model|Loading .*checkpoint shards|Loading weights took")),
)
SHARDS = re.compile(r"checkpoint shards:.*\| (\d+)/(\d+) ")
COMPILE_OFF = re.compile(r"disabling torch\.compile|torch\.compile (is )?disabled")


def phase_of(line: str) -> tuple[ServerPhase, str] | None:
    """What a log line says about the start.

    Args:
        line: One line of the server's output.

    Returns:
        The phase and a detail, or None if the line says nothing about it.
    """
    if COMPILE_OFF.search(line):
        return None
    for phase, pattern in PHASES:
        if pattern.search(line):
            shards = SHARDS.search(line)
            return phase, f"shard {shards[1]} of {shards[2]}" if shards else ""
    return None


def open_log(spec: ServerSpec) -> tuple[int, Path]:
    """Open the file into which a server writes: the one that was named, emptied, or a temporary one.

    Returns:
        A descriptor for writing, and where it lies.

    Raises:
        ServerError: If it cannot be written.
    """
    if spec.log_path is None:
        fd, name = tempfile.mkstemp(prefix=f"llmgate-vllm-{os.getpid()}-", suffix=".log")
        return fd, Path(name)
    try:
        private_folder(spec.log_path.parent)
        fd = open_own(spec.log_path, os.O_WRONLY | os.O_APPEND)
        os.ftruncate(fd, 0)
        return fd, spec.log_path
    except OSError as error:
        raise ServerError(
            f"the server's log cannot be written: {error}", where=str(spec.log_path), fix="Choose another log path"
        ) from error


def log_tail(path: Path, *, since: int = 0) -> str:
    """The end of a log; what is wrong with it, in the words of an error, if it cannot be read.

    Args:
        path: The log.
        since: Bytes at its beginning that do not matter.
    """
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, since, size - LOG_TAIL_BYTES))
            return log.read().decode("utf-8", errors="replace")
    except OSError as error:
        return f"OSError: the log is gone: {error}"
