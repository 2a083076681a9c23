"""How many requests in flight a server bears, by what it says of itself: pure rules, no clock and no I/O.

The server runs requests in a batch, and what finds no room in it waits. As long as nothing waits and all that may be in
flight runs, more of them cost little and end the run sooner. So the number doubles until something waits. A few should
wait, so that the server never has to wait for us: on a busy machine, 24 places with 26 requests in flight took half as
long again as with 32. So it grows slowly until a quarter of what runs waits as well, and where more waits than runs, it
goes down to one and a half of what runs, by half at most. A preempted request has its work thrown away: half.

Reference for the form, additive up and multiplicative down: Chiu and Jain (1989), Computer Networks and ISDN Systems
17:1–14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["LOOK_S", "START", "ServerLoad", "ServerPace", "added"]

LOOK_S: Final = 0.25
"""Between two looks at a server."""
START: Final = 16
"""Requests in flight at first, for each server."""
FULL: Final = 0.8
"""So much of what may be in flight has to run before there may be more: else it is not the number that limits."""
CACHE_FULL: Final = 0.9
"""Of the memory for prompts and answers; beyond, the next thing to happen is a preemption."""
SPARE: Final = 0.25
"""Of what runs: so many may wait, and then there is no need of more."""
AFTER: Final = 1.5
"""Of what runs: the number after too many have waited."""
PATIENCE: Final = 4
"""Looks in a row at which too many wait. A burst that was just sent waits for a step of the server."""
HOLD: Final = 8
"""Looks for which the number stays after it was lowered, until the server has seen it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLoad:
    """What servers say of themselves at one moment.

    Attributes:
        running: Requests in the batch.
        waiting: Requests for which there is no room.
        preemptions: How often a request was thrown out of the batch, since the server started.
        cache: How much of the memory for prompts and answers is used, from 0 to 1.
    """

    running: float
    waiting: float
    preemptions: float = 0.0
    cache: float = 0.0


def added(loads: list[ServerLoad]) -> ServerLoad:
    """The load of several servers together; of their memory, the fullest counts."""
    return ServerLoad(
        running=sum(load.running for load in loads),
        waiting=sum(load.waiting for load in loads),
        preemptions=sum(load.preemptions for load in loads),
        cache=max(load.cache for load in loads),
    )


class ServerPace:
    """The number, after each look.

    Args:
        start: At first.
        most: At most.

    Attributes:
        limit: How many may be in flight now.
    """

    def __init__(self, *, start: int, most: int) -> None:
        self.limit = min(start, most)
        self._most = most
        self._steep = True
        self._too_many = 0
        self._hold = 0
        self._preemptions: float | None = None

    def look(self, load: ServerLoad, *, in_flight: int) -> int:
        """Take what was seen into account.

        Args:
            load: What the servers say.
            in_flight: How many of ours are in flight.

        Returns:
            The new limit.
        """
        before, self._preemptions = self._preemptions, load.preemptions
        self._hold = max(0, self._hold - 1)
        self._too_many = self._too_many + 1 if load.waiting > max(load.running, 1) else 0
        if before is not None and load.preemptions > before:
            if not self._hold:
                self._lower(self.limit // 2)
        elif self._too_many >= PATIENCE:
            if not self._hold:
                self._lower(max(self.limit // 2, round(AFTER * load.running)))
        elif self._may_grow(load, in_flight):
            self._steep = self._steep and load.waiting == 0
            more = self.limit if self._steep else max(1, self.limit // 16)
            self.limit = min(self._most, self.limit + more)
        return self.limit

    def refused(self) -> int:
        """A server refused a request for the rate: the number is halved.

        Returns:
            The new limit.
        """
        if not self._hold:
            self._lower(self.limit // 2)
        return self.limit

    def _may_grow(self, load: ServerLoad, in_flight: int) -> bool:
        used = in_flight >= self.limit and load.running >= FULL * self.limit
        return used and not self._hold and load.waiting <= SPARE * load.running and load.cache < CACHE_FULL

    def _lower(self, limit: int) -> None:
        self.limit = max(1, min(self.limit, limit))
        self._steep, self._hold, self._too_many = False, HOLD, 0
