"""How many requests were in flight, and the part of a run in which the load was what it was meant to be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.serving.trace import RequestTrace

__all__ = ["STEADY", "Steady", "peak_concurrency", "requests_needed", "steady_part"]

STEADY = 0.95
"""Share of the nominal concurrency that has to be in flight when the steady part begins and ends."""
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """The steady part of a run: from the first to the last moment with at least 0.95 of the nominal concurrency.

    What happens in between counts, dips included: a client that is slow to send again shows in `concurrency`.

    Attributes:
        start_s: Begin, in the trace's time.
        end_s: End.
        concurrency: Requests in flight, averaged over time.
        ended: Requests that ended in it.
    """

    start_s: float
    end_s: float
    concurrency: float
    ended: int

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.end_s - self.start_s


def requests_needed(concurrency: int) -> int:
    """The smallest run with a steady part: about two requests per slot in it, one for the start and the end."""
    return ROUNDS * concurrency


def peak_concurrency(requests: Sequence[RequestTrace]) -> int:
    """The largest number of requests that were in flight at one moment; 0 for none."""
    return max((running for _, running in _running(requests)), default=0)


def steady_part(requests: Sequence[RequestTrace], concurrency: int) -> Steady | None:
    """Find the steady part.

    Args:
        requests: In any order; a request is in flight from `sent_s` to `end_s`.
        concurrency: Nominal.

    Returns:
        None if 0.95 of the concurrency was never in flight, or fewer than twice as many requests as are in flight
        ended in it: too short to average anything.
    """
    counts = _running(requests)
    enough = math.ceil(STEADY * concurrency - 1e-9)
    full = [(begin, end) for (begin, running), (end, _) in pairwise(counts) if running >= enough]
    if not full:
        return None
    start_s, end_s = full[0][0], full[-1][1]
    ended = sum(start_s < r.end_s <= end_s for r in requests)
    if end_s <= start_s or ended < (ROUNDS - 1) * concurrency:
        return None
    area = sum(overlap(r, start_s, end_s) for r in requests)
    return Steady(start_s=start_s, end_s=end_s, concurrency=area / (end_s - start_s), ended=ended)


def overlap(request: RequestTrace, start_s: float, end_s: float) -> float:
    """Seconds that a request was in flight between two times."""
    return max(0.0, min(request.end_s, end_s) - max(request.sent_s, start_s))


def _running(requests: Sequence[RequestTrace]) -> list[tuple[float, int]]:
    """(time, running from then on), one entry per time at which it changes."""
    changes: dict[float, int] = {}
    for request in requests:
        changes[request.sent_s] = changes.get(request.sent_s, 0) + 1
        changes[request.end_s] = changes.get(request.end_s, 0) - 1
    running = 0
    counts = []
    for time_s in sorted(changes):
        running += changes[time_s]
        counts.append((time_s, running))
    return counts
