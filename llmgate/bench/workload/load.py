"""How hard a server is worked: how many requests, and when each is due."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llmgate.errors import UsageError
from llmgate.record.serving.trace import CLOSED_LOOP, Arrivals

__all__ = ["Load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A closed loop, or an open one where requests become due at given times.

    Attributes:
        requests: How many to measure. A closed loop needs at least three times its concurrency, or it has no steady
            part.
        concurrency: Requests in flight of a closed loop; in an open one the most that may be, 0 for any number.
        arrivals: What the times follow, for the record.
        due_s: Of an open loop: when each request is due, in seconds from the start, ascending, one per request.
        warmup: How many to send before, in a closed loop, unmeasured; None for as many as are in flight (in an open
            loop without a limit, 8).
        timeout_s: Longest time for one request.
        processes: How many processes send them; None lets the client choose by the load.

    Raises:
        UsageError: If a number is out of range, or the times do not fit the arrivals.
    """

    requests: int
    concurrency: int
    arrivals: Arrivals = CLOSED_LOOP
    due_s: tuple[float, ...] = ()
    warmup: int | None = None
    timeout_s: float = 600.0
    processes: int | None = None

    def __post_init__(self) -> None:
        least = (("requests", self.requests, 1), ("concurrency", self.concurrency, 1 if self.closed else 0))
        others = (("warmup", self.warmup or 0, 0), ("processes", 1 if self.processes is None else self.processes, 1))
        for name, value, lowest in (*least, *others):
            if value < lowest:
                raise UsageError(f"{name} is {value}, but must be at least {lowest}", fix=f"Raise {name}")
        if not 0 < self.timeout_s < math.inf:
            raise UsageError(f"timeout_s is {self.timeout_s}, but must be a positive number", fix="Give seconds")
        if self.closed != (not self.due_s) or (self.due_s and len(self.due_s) != self.requests):
            raise UsageError("a closed loop has no times of arrival, and an open one has one for each request")
        if any(not (math.isfinite(due) and due >= 0) for due in self.due_s) or list(self.due_s) != sorted(self.due_s):
            raise UsageError("times of arrival must be finite, 0 or more, and ascending")

    @property
    def closed(self) -> bool:
        """Whether a request is due when another has ended."""
        return self.arrivals.kind == "closed"
