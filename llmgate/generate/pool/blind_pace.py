"""How many requests in flight a server bears that says nothing of itself: by how long answers take, and refusals.

With N in flight that take R seconds each, N/R answers come a second (Little's law). A server that has room answers as
fast as before when N grows; one that has none lets them wait, and N/R stays. So the number grows as long as that pays,
and goes back when it did not. What is refused for the rate, or breaks, halves it.

Reference: Little (1961), Operations Research 9:383–387.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["BlindPace"]

ROUNDS: Final = 2
"""Answers of each place that are waited for: the first that end are the shortest."""
LEAST_ANSWERS: Final = 8
WORTH: Final = 0.25
"""The part of a rise in number by which answers have to come faster."""
REST: Final = 8
"""Measurements at one number after a rise did not pay, before another one is tried."""


class BlindPace:
    """The number, after each answer and each refusal.

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
        self._rest = 0
        self._since_s = -math.inf
        self._known: tuple[int, float] | None = None
        self._answers = 0
        self._work = 0.0
        self._spent_s = 0.0

    def answered(self, *, now_s: float, latency_s: float, tokens: int, in_flight: int) -> int:
        """An answer came.

        Args:
            now_s: When, in seconds of any clock that only goes forward.
            latency_s: How long it took.
            tokens: How many it has, 1 where nobody said: answers of different length are of different work.
            in_flight: How many were in flight.

        Returns:
            The new limit.
        """
        if now_s - latency_s < self._since_s or in_flight < self.limit:
            # It was sent before the number changed, or the number limits nothing.
            return self.limit
        self._answers += 1
        self._work += max(tokens, 1)
        self._spent_s += latency_s
        if self._answers >= max(LEAST_ANSWERS, ROUNDS * self.limit) and self._spent_s > 0:
            self._judge(self.limit * self._work / self._spent_s)
            self._begin(now_s)
        return self.limit

    def refused(self, *, now_s: float, sent_s: float) -> int:
        """A request was refused for the rate, or broke.

        Args:
            now_s: When.
            sent_s: When it was sent; of those that were on their way when the number was halved, none halves it again.

        Returns:
            The new limit.
        """
        if sent_s >= self._since_s:
            self.limit = max(1, self.limit // 2)
            self._steep, self._known, self._rest = False, None, REST
            self._begin(now_s)
        return self.limit

    def _begin(self, now_s: float) -> None:
        self._since_s, self._answers, self._work, self._spent_s = now_s, 0, 0.0, 0.0

    def _judge(self, speed: float) -> None:
        known, self._known = self._known, (self.limit, speed)
        if known is not None and self.limit > known[0]:
            grown, gain = self.limit / known[0], speed / known[1]
            if gain < 1 + WORTH * (grown - 1):
                # What it bears lies between: as many more as answers came faster.
                self.limit = min(self.limit, max(known[0], round(known[0] * gain)))
                self._known, self._steep, self._rest = None, False, REST
                return
        if self._rest:
            self._rest -= 1
            return
        more = self.limit if self._steep else max(1, self.limit // 4)
        self.limit = min(self._most, self.limit + more)
