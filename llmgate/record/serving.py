"""Raw timings of one serving measurement: what happened, without a single average.

Summaries (percentiles, throughput, validity) are `llmgate.gate.serving.summary`'s, taken from these facts, so that they
can be taken again when a definition is improved.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmgate.record.answered_by import MaybeAnsweredBy, Said

__all__ = ["RequestTrace", "ServerHistogram", "ServingTrace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTrace:
    """One request. All times in seconds since the start of the measurement, on a monotonic clock.

    Attributes:
        index: Position in the plan.
        queued_s: When the request became due (its slot was free, its arrival time had come).
        sent_s: When its first byte was handed to the socket; sent - queued is the client's own queueing.
        token_events_s: Arrival of every token-bearing event; a role-only first chunk is not one.
        end_s: Arrival of the last byte of the response.
        prompt_tokens: From the server's usage, None if it sent none.
        completion_tokens: From the server's usage, None if it sent none.
        error: Why there is no full answer, None if there is.
        answered_by: As for `Generation`.
    """

    index: int
    queued_s: float
    sent_s: float
    token_events_s: tuple[float, ...]
    end_s: float
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str | None = None
    answered_by: MaybeAnsweredBy = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHistogram:
    """Growth of `vllm:time_to_first_token_seconds` on the server during the measurement."""

    count: int
    sum_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingTrace:
    """One measurement: the load that was asked for, what happened, and how the client itself fared.

    Attributes:
        name: Suite name, or the name given to `llmgate bench`.
        workload: What was sent, in words.
        workload_digest: SHA-256 of all request bodies in order.
        concurrency: Nominal number of requests in flight (closed loop).
        requests: One entry per planned request, in plan order.
        duration_s: Wall time of the measurement.
        client_cpu_s: CPU time that this process spent during it.
        client_lag_s: Lateness of a periodic timer in the event loop: the largest values seen, descending, at most 20.
        client_blocked_s: Sum of all such lateness above 5 ms; None if it was not recorded.
        client_version: Which client measured; other versions are not comparable.
        server_ttft: The server's own view, None if it has no such histogram.
        model: The name that requests carried, "" in older records.
    """

    name: str
    workload: str
    workload_digest: str
    concurrency: int
    requests: tuple[RequestTrace, ...]
    duration_s: float
    client_cpu_s: float
    client_lag_s: tuple[float, ...] = ()
    client_blocked_s: float | None = None
    client_version: str
    server_ttft: ServerHistogram | None = None
    model: Said = ""
