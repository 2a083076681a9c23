"""Raw timings of one serving measurement: what happened, without a single average.

Summaries (percentiles, throughput, validity) are `llmgate.gate.serving.summary`'s, taken from these facts, so that they
can be taken again when a definition is improved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator

from llmgate.record.answered_by import MaybeAnsweredBy, Said

__all__ = [
    "CLOSED_LOOP",
    "ArrivalKind",
    "Arrivals",
    "DeviceUse",
    "GaugeRange",
    "HistogramGrowth",
    "MachineUse",
    "RequestTrace",
    "ServerHistogram",
    "ServerMetrics",
    "ServingTrace",
]

Bound = Annotated[float, BeforeValidator(lambda value: math.inf if value is None else value)]
"""JSON has no infinity: what is written for it is null."""
ArrivalKind = Literal["closed", "poisson", "gamma", "constant", "ramp", "trace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """When requests become due.

    Attributes:
        kind: `closed` keeps a number of requests in flight: one is due when another has ended. All others are open
            loops: times of arrival that do not wait for answers. `gamma` is Poisson with another burstiness, `ramp`
            raises the rate evenly from `rate_from` to `rate`, `trace` replays recorded times.
        rate: Requests per second, nominal; 0 for a closed loop.
        rate_from: Where a ramp begins, requests per second.
        burstiness: Shape of the gamma distribution of the gaps between requests: 1 is Poisson, below it come bursts,
            above it the gaps get even (`vllm bench serve --burstiness`).
        seed: Of the times of arrival.
        speed: Of a replayed trace: 2 is twice as fast as it was recorded.
    """

    kind: ArrivalKind = "closed"
    rate: float = 0.0
    rate_from: float = 0.0
    burstiness: float = 1.0
    seed: int = 0
    speed: float = 1.0


CLOSED_LOOP = Arrivals()


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
class MachineUse:
    """Who used the processors of the client's machine during a measurement. Seconds of processor time.

    Attributes:
        cores: Processors of the machine.
        duration_s: Wall time of what was observed.
        busy_s: All processes together, `steal` not included.
        client_s: The client and its own children, servers excepted.
        server_s: The server and its descendants; None if it does not run here or was not found.
        steal_s: What the host of a virtual machine took.
        busiest: Which other processes used most, as `name (pid)`, at most three.
    """

    cores: int
    duration_s: float
    busy_s: float
    client_s: float
    server_s: float | None = None
    steal_s: float = 0.0
    busiest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeRange:
    """A gauge of the server, looked at several times during a measurement."""

    mean: float
    max: float
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramGrowth:
    """How a histogram of the server grew during a measurement, over all engines.

    Attributes:
        count: Observations.
        sum: Of their values, in the metric's unit.
        buckets: (upper bound, observations up to it), ascending, the last bound infinite.
    """

    count: int
    sum: float
    buckets: tuple[tuple[Bound, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMetrics:
    """What the server's own `/metrics` say about a measurement. Names as the server gives them, without labels.

    Attributes:
        gauges: Such as `vllm:num_requests_waiting`; of waiting requests by reason, the reason follows in braces.
        counters: Growth, such as that of `vllm:num_preemptions` or `vllm:prefix_cache_hits`.
        histograms: Growth, such as that of `vllm:time_to_first_token_seconds`.
    """

    gauges: Mapping[str, GaugeRange] = field(default_factory=dict)
    counters: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, HistogramGrowth] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUse:
    """One GPU during a measurement, by NVML.

    Attributes:
        index: As NVML counts.
        name: The product's name.
        memory_gib: Most memory in use by anybody.
        memory_total_gib: What there is.
        power_w: Mean.
        energy_j: Energy used; by the device's own counter where it has one, else power integrated over samples.
        utilisation: Mean share of the time in which a kernel ran, 0 to 1.
        others: Processes on it that do not belong to the server, as `name (pid)`.
    """

    index: int
    name: str
    memory_gib: float
    memory_total_gib: float
    power_w: float | None = None
    energy_j: float | None = None
    utilisation: float | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingTrace:
    """One measurement: the load that was asked for, what happened, and how the client itself fared.

    Attributes:
        name: Suite name, or the name given to `llmgate bench`.
        workload: What was sent, in words.
        workload_digest: SHA-256 of all request bodies in order.
        concurrency: Nominal number of requests in flight of a closed loop; in an open one the most that may be, 0 for
            any number.
        requests: One entry per planned request, in plan order.
        duration_s: Wall time of the measurement.
        client_cpu_s: CPU time that the client's process spent during it; of several processes, the busiest one.
        client_lag_s: Lateness of a periodic timer in the event loop: the largest values seen, descending, at most 20;
            of several processes, over all of them.
        client_blocked_s: Sum of all such lateness above 5 ms, of several processes the largest such sum; None if it was
            not recorded.
        client_version: Which client measured; other versions are not comparable.
        server_ttft: The server's own view, None if it has no such histogram.
        model: The name that requests carried, "" in older records.
        arrivals: When requests became due.
        machine: Who used the client's machine; None if nobody looked.
        metrics: The server's own account; None where it gives none.
        devices: The GPUs that the server runs on, as far as they can be seen from here.
        client_processes: How many processes sent the load.
        client_resent: Requests that were sent again on a fresh connection, because a kept one closed before a byte of
            the answer came; their times are those of the second sending.
        salt: What made this measurement's prompts differ from all others', "" for nothing.
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
    arrivals: Arrivals = CLOSED_LOOP
    machine: MachineUse | None = None
    metrics: ServerMetrics | None = None
    devices: tuple[DeviceUse, ...] = ()
    client_processes: int = 1
    client_resent: int = 0
    salt: Said = ""
