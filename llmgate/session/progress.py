"""What long work says while it goes on."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

__all__ = ["LineProgress", "Progress", "clock_time", "rate_limit_lines", "time_left"]

QUICK_S: Final = 1.0
"""Lines of a log are no closer together."""
LIFE_S: Final = 300.0
"""A log shows life at least so often, however long a tenth of the work takes."""
REDRAW_S: Final = 0.1
SHORT_WAIT_S: Final = 1.0
"""A shorter wait for a rate limit is told in the sum only."""
BETWEEN_WAITS_S: Final = 30.0
"""No more often does a line say that a rate limit is waited for."""


class Progress(Protocol):
    """Receives what happens; must be callable from any thread."""

    def stage(self, text: str) -> None:
        """A new stage begins, or something worth a line happened."""

    def count(self, what: str, done: int, total: int) -> None:
        """Work of the current stage advanced."""

    def check(self) -> None:
        """Called often; raises to end the run."""


def rate_limit_lines(
    progress: Progress, whose: str = "the rate limit", *, clock: Callable[[], float] = time.monotonic
) -> Callable[[float], None]:
    """Say that all requests wait for a rate limit: `waiting for the rate limit, 12 s`, now and then.

    Args:
        progress: Gets the lines.
        whose: Which limit.
        clock: Seconds, monotonic.

    Returns:
        Takes each wait, in seconds.
    """
    last = -BETWEEN_WAITS_S

    def told(wait_s: float) -> None:
        nonlocal last
        if wait_s >= SHORT_WAIT_S and clock() - last >= BETWEEN_WAITS_S:
            last = clock()
            progress.stage(f"waiting for {whose}, {wait_s:.0f} s")

    return told


class LineProgress:
    """Writes a line per stage; on a terminal a bar with the time that is left, in a log a line per tenth of the work.

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
        self._live = bool(self._stream and self._stream.isatty())
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._drawn = 0.0
        self._begun: dict[str, tuple[float, int]] = {}
        self._last: dict[str, tuple[float, int]] = {}

    def stage(self, text: str) -> None:
        """Write one line with the elapsed time."""
        self._end_bars()
        self._line(f"[{clock_time(self._clock() - self._started)}] {text}")

    def count(self, what: str, done: int, total: int) -> None:
        """Move the bar, or write the count if another tenth is done; work that was seen to go on is seen to end."""
        if self._live:
            self._move_bar(what, done, total)
            return
        now, tenths = self._clock(), done * 10 // max(total, 1)
        began, first = self._begun.setdefault(what, (now, done))
        then, seen = self._last.setdefault(what, (now, first * 10 // max(total, 1)))
        ended = done >= total
        due = (tenths > seen and now - then >= QUICK_S) or now - then >= LIFE_S
        if due or (ended and then > began):
            left = (
                "" if ended or done <= first else f", {time_left((now - began) * (total - done) / (done - first))} left"
            )
            counted = f"{done:,} of {total:,} ({done * 100 // max(total, 1)} %{left})"
            self._line(f"[{clock_time(now - self._started)}] {what} {counted}")
            self._last[what] = (now, tenths)
        if ended:
            self._begun.pop(what, None)
            self._last.pop(what, None)

    def check(self) -> None:
        """Nothing ends a run from here."""

    def _move_bar(self, what: str, done: int, total: int) -> None:
        now = self._clock()
        if what in self._tasks and done < total and now - self._drawn < REDRAW_S:
            return
        if self._bars is None:
            self._bars = _new_bars()
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)
        self._drawn = now
        self._bars.refresh()

    def _end_bars(self) -> None:
        """Leave the bars as they are now standing above what follows."""
        if self._bars is not None:
            self._bars.stop()
            self._bars, self._tasks = None, {}

    def _line(self, text: str) -> None:
        if self._write:
            self._write(text)
        elif self._stream:
            self._stream.write(text + "\n")
            self._stream.flush()


def _new_bars() -> Bars:
    """Bars that are drawn when something moves, by whoever moved it: no thread of theirs outlives the work."""
    # Only a terminal pays for these.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=Console(stderr=True),
        auto_refresh=False,
    )


def clock_time(seconds: float) -> str:
    """`02:05`: minutes and seconds."""
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def time_left(seconds: float) -> str:
    """`20 s` or `3 min`."""
    return f"{max(1, round(seconds))} s" if seconds < 90.0 else f"{round(seconds / 60.0)} min"
