"""What long work says while it goes on."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LineProgress", "Progress"]

INTERVAL_S: Final = 5.0
LIVE_INTERVAL_S: Final = 0.2


class Progress(Protocol):
    """Receives what happens; must be callable from any thread."""

    def stage(self, text: str) -> None:
        """A new stage begins, or something worth a line happened."""

    def count(self, what: str, done: int, total: int) -> None:
        """Work of the current stage advanced."""

    def check(self) -> None:
        """Called often; raises to end the run."""


class LineProgress:
    """Writes a line per stage, and counts at most every five seconds.

    On a terminal the counts overwrite each other; in a log they are lines of their own, so that a CI log shows
    life without growing by a line per case.

    Args:
        write: Receives whole lines, without the line end; default: standard error.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, write: Callable[[str], None] | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream: TextIO | None = None if write else sys.stderr
        self._write = write
        self._clock = clock
        self._started = clock()
        self._last = -INTERVAL_S
        self._live = bool(self._stream and self._stream.isatty())
        self._open_line = False
        self._counting = False

    def stage(self, text: str) -> None:
        """Write one line with the elapsed time."""
        self._line(f"[{self._elapsed()}] {text}")
        self._last = self._clock()

    def count(self, what: str, done: int, total: int) -> None:
        """Write the count, unless a line was written just now; work that was seen to go on is seen to end."""
        now = self._clock()
        due = now - self._last >= (LIVE_INTERVAL_S if self._live else INTERVAL_S)
        if not due and not (done >= total and self._counting):
            return
        self._last, self._counting = now, done < total
        text = f"[{self._elapsed()}] {what} {done} / {total}"
        if self._live and self._stream:
            self._stream.write(f"\r\x1b[2K{text}")
            self._stream.flush()
            self._open_line = True
            if done >= total:
                self._finish_line()
        else:
            self._line(text)

    def check(self) -> None:
        """Nothing ends a run from here."""

    def _elapsed(self) -> str:
        seconds = int(self._clock() - self._started)
        return f"{seconds // 60:02d}:{seconds % 60:02d}"

    def _finish_line(self) -> None:
        if self._open_line and self._stream:
            self._stream.write("\n")
            self._open_line = False

    def _line(self, text: str) -> None:
        self._finish_line()
        if self._write:
            self._write(text)
        elif self._stream:
            self._stream.write(text + "\n")
            self._stream.flush()
