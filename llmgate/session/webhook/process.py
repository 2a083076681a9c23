"""One gate run: a child under a supervisor, a log, a time limit, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, LlmgateError
from llmgate.generate.vllm.process import ServerProcess
from llmgate.record.disk import open_own

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["MAX_LOG_BYTES", "RunEnd", "carry_out"]

TICK_S: Final = 0.1
MAX_LOG_BYTES: Final = 64_000_000
"""What a run says may repeat what a model says, which may have no end."""
WORDS: Final[Mapping[int, str]] = {EXIT_PASS: "PASS", EXIT_FAIL: "FAIL", EXIT_INCONCLUSIVE: "INCONCLUSIVE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended.

    Attributes:
        word: PASS, FAIL, INCONCLUSIVE or ERROR.
        why: One clause for the log.
        stopped: Whether it was ended because the receiver ends; then it is to be run again.
    """

    word: str
    why: str
    stopped: bool = False


async def carry_out(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str],
    log: Path,
    time_limit_s: float,
    grace_s: float,
    stop: asyncio.Event,
    started: Callable[[int], None],
    max_log_bytes: int = MAX_LOG_BYTES,
) -> RunEnd:
    """Run a command to its end, or end it.

    Args:
        argv: The command.
        environ: Its whole environment; the supervisor adds a mark of its own.
        log: Where its output goes; made, for the owner alone.
        time_limit_s: Seconds that it may take.
        grace_s: Seconds that it has to end itself after SIGTERM.
        stop: Set when the receiver ends.
        started: Called with the session of its processes.
        max_log_bytes: What it may write to the log.

    Returns:
        How it ended. All its processes are gone then, or `why` says which are not.
    """
    try:
        log_fd = open_own(log, os.O_WRONLY | os.O_APPEND)
    except OSError as error:
        return RunEnd(word="ERROR", why=f"its log cannot be written ({error.strerror})")
    try:
        process = ServerProcess(argv, env=environ, log_fd=log_fd)
    except OSError as error:
        os.close(log_fd)
        return RunEnd(word="ERROR", why=f"it could not be started ({error.strerror})")
    cut: str | None = None
    left: tuple[int, ...] = ()
    try:
        started(process.session)
        cut = await watched(process, time_limit_s, stop, log_fd, max_log_bytes)
    except LlmgateError as error:
        cut = str(error)
    finally:
        # Shielded: whoever cancels this waits for the processes too.
        left = await asyncio.shield(asyncio.to_thread(process.end, grace_s))
        os.close(log_fd)
    return judged(process, cut, left, stopped=cut == STOPPED)


STOPPED: Final = "the receiver ends"


async def watched(
    process: ServerProcess, time_limit_s: float, stop: asyncio.Event, log_fd: int, max_log_bytes: int
) -> str | None:
    """Wait for the end of a process. Why it has to be ended, None if it has ended."""
    deadline = time.monotonic() + time_limit_s
    while True:
        process.poll()
        if process.ended:
            return None
        if stop.is_set():
            return STOPPED
        if time.monotonic() > deadline:
            return f"it took longer than {time_limit_s:g} s"
        if os.fstat(log_fd).st_size > max_log_bytes:
            return f"it wrote more than {max_log_bytes} bytes to its log"
        await asyncio.sleep(TICK_S)


def judged(process: ServerProcess, cut: str | None, left: Sequence[int], *, stopped: bool) -> RunEnd:
    """What became of it, in words."""
    if left:
        return RunEnd(word="ERROR", why=f"processes {', '.join(map(str, left))} could not be ended")
    if cut is not None:
        return RunEnd(word="ERROR", why=cut, stopped=stopped)
    if process.failed is not None:
        return RunEnd(word="ERROR", why=f"it could not be started ({process.failed})")
    if process.status is None:
        return RunEnd(word="ERROR", why="nobody saw how it ended")
    how = f"exit code {process.status}" if process.status >= 0 else f"signal {-process.status}"
    return RunEnd(word=WORDS.get(process.status, "ERROR"), why=how)
