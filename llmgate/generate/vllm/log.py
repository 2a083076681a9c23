"""How far a server's start has come, read from vLLM's log (the wordings of 0.25 to 0.33)."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

__all__ = ["OnProgress", "ServerPhase", "phase_of", "silent"]


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
