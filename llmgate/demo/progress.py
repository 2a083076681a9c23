"""How far the whole demo is: one bar over all its stages, whose shares of the time were measured beforehand."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from llmgate.session.progress import clock_time, time_left

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

__all__ = ["DemoProgress"]

COUNTED: Final = {"answers": "answers", "judged": "verdicts", "serving requests": "serving"}
"""What a run counts, and the stage of the demo that it is."""
UNTOLD: Final = 0.95
"""A stage that counts nothing gets no further than this by its time alone."""
REUSED: Final = 0.1
"""A stage that took less than this share of its time found its work done, and says nothing about the machine."""
BELIEVED_S: Final = 30.0
"""So much weight has the machine that was measured in the pace, against what is seen here."""
REDRAW_S: Final = 0.2
BAR, LEFT = 20, 11
ROOM: Final = BAR + LEFT + 8
"""What the bar and its figures take of a line."""


class DemoProgress:
    """One bar on a terminal, a line per tenth in a log. A stage that never begins is taken out of the whole.

    Use as a context manager, so that the bar ends with the demo.

    Args:
        expected: Stages in their order, each with its seconds on a quiet machine of two cores.
        stream: Where it is shown.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        expected: Mapping[str, float],
        stream: TextIO | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.expected = expected
        self.took: dict[str, float] = {}
        self._clock = clock
        self._stream = stream or sys.stderr
        self._started = self._begun = self._drawn = clock()
        self._current = self._said = ""
        self._share = 0.0
        self._tenths = 0
        self._bar: Progress | None = None
        if self._stream.isatty():
            self._bar = Progress(
                BarColumn(bar_width=BAR),
                TextColumn("{task.percentage:>3.0f} % {task.fields[left]:>11} {task.description}", markup=False),
                console=Console(file=self._stream),
                auto_refresh=False,
            )
            self._task = self._bar.add_task("", total=1.0, left="")

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the last stage, and the bar; after an error it stays where it was."""
        if kind is None:
            self.begin("")
        if self._bar is not None:
            self._bar.stop()

    def begin(self, name: str) -> None:
        """A stage of those that were expected begins, and the one before has ended."""
        now = self._clock()
        if self._current:
            self.took[self._current] = now - self._begun
        self._current, self._begun, self._share = name, now, 0.0
        self._show(name)

    def say(self, text: str) -> None:
        """A line that stays."""
        line = f"[{clock_time(self._clock() - self._started)}] {text}"
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def stage(self, text: str) -> None:
        """What a run says: beside the bar until it says something else, a line in a log."""
        if self._bar is None:
            self.say(text)
        else:
            self._show(f"{self._current}: {text}")

    def count(self, what: str, done: int, total: int) -> None:
        """Work of a run advanced."""
        model, _, stage = self._current.partition(": ")
        counted = f"{model}: {COUNTED.get(what, stage)}"
        if counted != self._current and counted in self.expected and counted not in self.took:
            self.begin(counted)
        if counted == self._current:
            self._share = max(self._share, done / max(total, 1))
        self._show()

    def check(self) -> None:
        """Move with the clock where nothing is counted."""
        if self._clock() - self._drawn >= REDRAW_S:
            self._show()

    def position(self) -> tuple[float, float]:
        """How much is done, from 0 to 1, and about how many seconds are left."""
        now, names = self._clock(), list(self.expected)
        worked = {name: took for name, took in self.took.items() if took >= REUSED * self.expected[name]}
        done = sum(self.expected[name] for name in worked)
        spent = sum(worked.values())
        ahead = 0.0
        if self._current:
            weight, took = self.expected[self._current], now - self._begun
            part = weight * (self._share or min(UNTOLD, took / weight))
            later = names[names.index(self._current) + 1 :]
            ahead = weight - part + sum(self.expected[name] for name in later if name not in self.took)
            done, spent = done + part, spent + took
        pace = (spent + BELIEVED_S) / (done + BELIEVED_S)
        return done / max(done + ahead, 1e-9), ahead * pace

    def table(self) -> Table:
        """How long each stage took."""
        table = Table("stage", "time")
        for name, took in self.took.items():
            table.add_row(name, clock_time(took))
        table.add_row("the whole demo", clock_time(self._clock() - self._started), style="bold")
        return table

    def _show(self, text: str | None = None) -> None:
        """Draw the bar, or write a line if another tenth is done."""
        done, left_s = self.position()
        self._drawn = self._clock()
        if self._bar is not None:
            self._said = self._said if text is None else text[: max(0, self._bar.console.width - ROOM)]
            left = f"{time_left(left_s)} left"
            self._bar.update(self._task, description=self._said, completed=done, left=left, refresh=True)
        elif int(done * 10 + 1e-9) > self._tenths:
            self._tenths = int(done * 10 + 1e-9)
            left = f", about {time_left(left_s)} left" if self._tenths < 10 else ""
            self.say(f"{self._tenths * 10} % of the demo done{left}")
