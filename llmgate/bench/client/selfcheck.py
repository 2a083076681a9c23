"""What the client notes about itself while it measures, and what the server says about the same time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import heapq
import math
from typing import TYPE_CHECKING

from llmgate.record.serving.trace import ServerHistogram

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KEPT", "LATE_S", "LagProbe", "growth", "quiet_collector", "read_ttft_histogram"]

PERIOD_S = 0.005
KEPT = 20
"""Lags that a trace keeps."""
LATE_S = 0.005
"""Lateness that counts as time in which the loop was blocked. Rounding of timers alone makes up to 1 ms."""
HISTOGRAM = "vllm:time_to_first_token_seconds"


class LagProbe:
    """A timer every 5 ms that notes how late it fires: as late as bytes that arrive would be noticed.

    Attributes:
        blocked_s: Sum of all lateness above `LATE_S`.
    """

    def __init__(self) -> None:
        self.blocked_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._worst: list[float] = []
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def worst_s(self) -> tuple[float, ...]:
        """The largest values, descending, at most 20."""
        return tuple(sorted(self._worst, reverse=True))

    def start(self) -> None:
        """Begin."""
        self._due = self._loop.time() + PERIOD_S
        self._timer = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        """End; a tick that is overdue counts, or a loop blocked to the end would look well."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._note(max(0.0, self._loop.time() - self._due))

    def _tick(self) -> None:
        now = self._loop.time()
        self._note(now - self._due)
        self._due = now + PERIOD_S
        self._timer = self._loop.call_at(self._due, self._tick)

    def _note(self, late_s: float) -> None:
        if late_s > LATE_S:
            self.blocked_s += late_s
        if len(self._worst) < KEPT:
            heapq.heappush(self._worst, late_s)
        else:
            heapq.heappushpop(self._worst, late_s)


@contextlib.contextmanager
def quiet_collector() -> Iterator[None]:
    """Keep the garbage collector from running.

    In a process that has loaded torch or pydantic a full collection blocks the loop for tens of ms, and even without,
    answers that wait to be read make each one longer. The client breaks its own circles.
    """
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def read_ttft_histogram(text: str) -> ServerHistogram | None:
    """Count and sum of vLLM's time-to-first-token histogram, over all engines; None if there is none to read."""
    totals: dict[str, float] = {}
    for line in text.splitlines():
        name, _, rest = line.partition("{")
        part = name.removeprefix(HISTOGRAM)
        if part == name or part not in {"_count", "_sum"}:
            continue
        try:
            value = float(rest.rpartition("}")[2].split()[0])
        except (ValueError, IndexError):
            return None
        totals[part] = totals.get(part, 0.0) + value
    if len(totals) < 2 or not all(math.isfinite(value) for value in totals.values()):
        return None
    return ServerHistogram(count=round(totals["_count"]), sum_s=totals["_sum"])


def growth(before: ServerHistogram | None, after: ServerHistogram | None) -> ServerHistogram | None:
    """What was added in between; None if a side is missing or the counters went back (the server restarted)."""
    if before is None or after is None or after.count < before.count or after.sum_s < before.sum_s:
        return None
    return ServerHistogram(count=after.count - before.count, sum_s=after.sum_s - before.sum_s)
