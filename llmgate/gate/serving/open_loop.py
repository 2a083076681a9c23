"""Open loops: requests that become due at given times, whether or not earlier ones were answered.

Two things can keep the load from being what was asked for, and they are told apart. A *client* that sends late offers
another load, and its measurement is invalid. A *server* that does not keep up is no fault of the measurement: requests
pile up, latencies grow for as long as it goes on, and that is what the figures then say. A note says so too.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Final

from llmgate.gate.serving.concurrency import Steady, overlap, peak_concurrency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.serving.trace import RequestTrace, ServingTrace

__all__ = ["falling_behind", "late_sending", "open_steady_part"]

RATE_SHORTFALL: Final = 0.02
"""Share by which the achieved rate of sending may lie below the nominal, and of requests that may be sent late."""
LATE_FLOOR_S: Final = 0.005
LATE_SHARE: Final = 0.1
"""Lateness up to this share of the median TTFT, or the floor, does no harm."""
GROWTH: Final = 1.5
GROWTH_FLOOR: Final = 4.0
"""Requests in flight late in the run, against those earlier in it, from which the server is said not to keep up."""


def open_steady_part(requests: Sequence[RequestTrace]) -> Steady | None:
    """The part of an open loop in which requests come and go: from the first end to the last sending.

    Args:
        requests: In any order; a request is in flight from `sent_s` to `end_s`.

    Returns:
        None if the last request was sent before the first had ended.
    """
    if not requests:
        return None
    start_s, end_s = min(r.end_s for r in requests), max(r.sent_s for r in requests)
    if end_s <= start_s:
        return None
    area = math.fsum(overlap(r, start_s, end_s) for r in requests)
    return Steady(
        start_s=start_s,
        end_s=end_s,
        concurrency=area / (end_s - start_s),
        ended=sum(start_s < r.end_s <= end_s for r in requests),
    )


def late_sending(trace: ServingTrace, done: Sequence[RequestTrace]) -> str | None:
    """Why the load was not the one that was asked for; None if it was.

    The client is late where a request was sent after it was due, by more than does harm: a tenth of the median TTFT,
    or 5 ms. That may happen to one request, or to one in fifty, and all together may not take more than 2 % longer to
    be sent than planned.

    Args:
        trace: What happened.
        done: Its plausible requests that were answered in full.
    """
    if not done:
        return None
    cap = trace.concurrency
    held = cap > 0 and peak_concurrency(done) >= cap
    cause = (
        f"no more than {cap} may be in flight, and the server did not keep up; raise the limit or lower the rate"
        if held
        else "the client did not keep up"
    )
    harmless_s = max(LATE_FLOOR_S, LATE_SHARE * median(r.token_events_s[0] - r.sent_s for r in done))
    late = [r.sent_s - r.queued_s for r in done if r.sent_s - r.queued_s > harmless_s]
    if len(late) > max(1.0, RATE_SHORTFALL * len(done)):
        return (
            f"{len(late)} of {len(done)} requests were sent late, by up to {max(late) * 1e3:.0f} ms: {cause}; their "
            "waiting is in no latency"
        )
    planned_s = max(r.queued_s for r in done) - min(r.queued_s for r in done)
    taken_s = max(r.sent_s for r in done) - min(r.sent_s for r in done)
    if taken_s - planned_s > max(RATE_SHORTFALL * planned_s, LATE_FLOOR_S):
        return (
            f"requests were sent over {taken_s:.2f} s where {planned_s:.2f} s were planned, more than 2 % below the "
            f"rate: {cause}"
        )
    return None


def falling_behind(done: Sequence[RequestTrace]) -> str | None:
    """That the server did not keep up with the rate, in words; None if it did.

    Requests in flight are averaged over the second and over the last quarter of the time of sending: if there are half
    as many more, and four, they pile up.
    """
    if not done:
        return None
    begin_s, end_s = min(r.sent_s for r in done), max(r.sent_s for r in done)
    quarter_s = (end_s - begin_s) / 4
    if quarter_s <= 0:
        return None
    if min(r.end_s for r in done) >= end_s:
        return "the last request was sent before the first was answered: the figures are those of a burst, not a rate"

    def running(quarter: int) -> float:
        since_s = begin_s + quarter * quarter_s
        return math.fsum(overlap(r, since_s, since_s + quarter_s) for r in done) / quarter_s

    early, late = running(1), running(3)
    if late > GROWTH * early and late > early + GROWTH_FLOOR:
        return (
            f"the server did not keep up: {early:.1f} requests were in flight in the second quarter and {late:.1f} in "
            "the last, so that latencies grow with the length of the measurement"
        )
    return None
