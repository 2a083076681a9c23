"""Whether a serving measurement may be believed: the reasons why not.

Each limit is one above which a figure that gates could be off by more than a regression that it should find.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from llmgate.gate.decision.who_answered import who_answered
from llmgate.gate.serving.concurrency import STEADY, Steady, peak_concurrency, requests_needed
from llmgate.gate.serving.contention import contended
from llmgate.gate.serving.open_loop import late_sending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.serving.trace import RequestTrace, ServingTrace

__all__ = ["doubts", "plausible", "spoilt"]

CONCURRENCY_SHORTFALL = 0.02
"""Share of the nominal concurrency that may be missing, averaged over the steady part."""
BLOCKED_SHARE = 0.01
"""Share of the time in which the event loop may be harmfully late: a p99 must not be the client's own delay."""
LAG_FLOOR_S = 0.005
LAG_SHARE = 0.1
"""Lateness up to this share of the median TTFT, or the floor, does no harm."""
CPU_SHARE = 0.8
"""Of one core, all that a process of the client has: its event loop is one thread. Queueing sets in before 1."""
HISTOGRAM_FLOOR_S = 0.005
HISTOGRAM_SHARE = 0.1
"""How far the client's mean TTFT may lie from the server's, which lacks the network and the HTTP server's queue."""


def plausible(request: RequestTrace) -> bool:
    """Whether the times of an answered request are finite and in order, with at least one token."""
    events = request.token_events_s
    times = (0.0, request.queued_s, request.sent_s, *events, request.end_s)
    counts = (request.prompt_tokens, request.completion_tokens)
    return (
        bool(events)
        and request.end_s > request.sent_s
        and all(math.isfinite(time_s) for time_s in times)
        and all(a <= b for a, b in pairwise(times))
        and all(count is None or count >= 0 for count in counts)
    )


def doubts(trace: ServingTrace, done: Sequence[RequestTrace], steady: Steady | None) -> tuple[str, ...]:
    """Reasons why a measurement must not gate.

    Args:
        trace: What happened.
        done: Its plausible requests that were answered in full.
        steady: Their steady part.

    Returns:
        One sentence each, empty if there is none.
    """
    reasons = (
        *(what for what, _ in who_answered([request.answered_by for request in done], trace.model)),
        *(_failed(trace), _implausible(trace), _uncounted(done), _load(trace, done, steady)),
        *(_lagged(trace, done), _saturated(trace), _disagrees(trace, done)),
    )
    return tuple(reason for reason in reasons if reason is not None)


def spoilt(trace: ServingTrace) -> str | None:
    """Why a run is to be made again whatever its figures are, None if it counts.

    Other processes disturbed it, or the client was late: a server that computes on the client's own processors starves
    it now and then. Neither says how fast an arm is. Everything else that makes a run invalid would come again.
    """
    done = [request for request in trace.requests if request.error is None and plausible(request)]
    return contended(trace) or (_lagged(trace, done) if done and trace.client_lag_s else None)


def _failed(trace: ServingTrace) -> str | None:
    if not trace.requests:
        return "nothing was measured: there is no request"
    errors = [(request.index, request.error) for request in trace.requests if request.error is not None]
    if not errors:
        return None
    index, error = errors[0]
    return f"{len(errors)} of {len(trace.requests)} requests failed, the first of them request {index}: {error}"


def _implausible(trace: ServingTrace) -> str | None:
    if not (math.isfinite(trace.duration_s) and trace.duration_s > 0):
        return f"the measurement lasted {trace.duration_s} s"
    bad = [request.index for request in trace.requests if request.error is None and not plausible(request)]
    if bad:
        return f"{len(bad)} requests have times or counts that cannot be, the first of them request {bad[0]}"
    return None


def _uncounted(done: Sequence[RequestTrace]) -> str | None:
    unknown = sum(request.completion_tokens is None for request in done)
    if unknown:
        return f"the server did not count the tokens of {unknown} of {len(done)} answers (no usage in the stream)"
    return None


def _load(trace: ServingTrace, done: Sequence[RequestTrace], steady: Steady | None) -> str | None:
    if trace.arrivals.kind != "closed":
        return late_sending(trace, done)
    nominal, needed = trace.concurrency, requests_needed(trace.concurrency)
    if len(trace.requests) < needed:
        return f"{len(trace.requests)} requests at {nominal} in flight have no steady part; send at least {needed}"
    peak = peak_concurrency(done)
    if peak < STEADY * nominal:
        return f"at most {peak} of {nominal} requests were ever in flight"
    if steady is None:
        return f"{nominal} requests were in flight too rarely for a steady part; send more than {len(trace.requests)}"
    if steady.concurrency < (1 - CONCURRENCY_SHORTFALL) * nominal:
        return (
            f"{steady.concurrency:.2f} requests were in flight on average in the steady part, more than 2 % below "
            f"{nominal}: the client was slow to send"
        )
    return None


def _lagged(trace: ServingTrace, done: Sequence[RequestTrace]) -> str | None:
    lags = sorted(trace.client_lag_s, reverse=True)
    if not lags:
        return "the lag of the client's event loop was not measured"
    if not all(math.isfinite(lag) for lag in lags) or not done or trace.duration_s <= 0:
        return "the lag of the client's event loop is not known"
    harmless_s = max(LAG_FLOOR_S, LAG_SHARE * median(r.token_events_s[0] - r.sent_s for r in done))
    late_s = sum(lag for lag in lags if lag > harmless_s)
    if lags[-1] > harmless_s and trace.client_blocked_s is not None:
        late_s = trace.client_blocked_s  # There may be more of them than the trace keeps.
    share = late_s / trace.duration_s
    if lags[0] > harmless_s and not share <= BLOCKED_SHARE:
        return (
            f"the client's event loop was late by {harmless_s * 1e3:.0f} to {lags[0] * 1e3:.0f} ms for {share:.1%} of "
            "the time: its time stamps are not the server's"
        )
    return None


def _saturated(trace: ServingTrace) -> str | None:
    if trace.client_cpu_s <= CPU_SHARE * trace.duration_s:
        return None
    many = trace.client_processes
    who = "the client" if many == 1 else f"the busiest of the client's {many} processes"
    return (
        f"{who} used {trace.client_cpu_s:.2f} s of CPU in {trace.duration_s:.2f} s: it was the bottleneck, or "
        "something else in its process was busy"
    )


def _disagrees(trace: ServingTrace, done: Sequence[RequestTrace]) -> str | None:
    server = trace.server_ttft
    if server is None or not done or len(done) < len(trace.requests):
        return None
    if server.count != len(done):
        return (
            f"the server counted {server.count} first tokens where {len(done)} requests were sent: others use it, or "
            "its metrics are not those of the server that answered"
        )
    here_s, there_s = sum(r.token_events_s[0] - r.sent_s for r in done) / len(done), server.sum_s / server.count
    if abs(here_s - there_s) <= max(HISTOGRAM_FLOOR_S, HISTOGRAM_SHARE * there_s):
        return None
    return (
        f"mean TTFT is {here_s * 1e3:.1f} ms here and {there_s * 1e3:.1f} ms by the server's own histogram: the "
        "client, the network or a proxy is part of the figure"
    )
