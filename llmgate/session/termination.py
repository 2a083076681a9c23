"""SIGTERM ends a run as Ctrl-C does: an event loop ends its work first, servers are stopped, and it is said."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["end_as_ctrl_c"]


def end_as_ctrl_c() -> None:
    """Let SIGTERM interrupt, unless somebody else waits for it."""
    # Only the main thread may; in another one there are no signals to wait for.
    with suppress(ValueError):
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, terminated)


def terminated(number: int, frame: FrameType | None) -> None:
    """What Ctrl-C would do now."""
    del number
    interrupt = signal.getsignal(signal.SIGINT)
    if not callable(interrupt):  # a shell starts what it runs in the background without it
        raise KeyboardInterrupt
    interrupt(signal.SIGINT, frame)
