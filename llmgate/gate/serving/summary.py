"""Raw timings become figures, with the names that `vllm bench serve` uses, and a word on whether to believe them.

All figures of `ServingSummary.metrics` (times in ms, throughput per second; a figure that does not exist is absent):

    duration, completed, failed, total_input_tokens, total_output_tokens
    request_throughput, output_throughput, total_token_throughput    over the whole run, start and end included
    request_goodput                                                  only with service levels
    {mean,median,std,p50,p90,p95,p99}_{ttft,tpot,itl,e2el}_ms        over completed requests (itl: gaps pooled)
    max_output_tokens_per_s                                          most tokens within a second, see below
    max_concurrent_requests                                          the same as peak_concurrency, see below
    rtfx                                                             0: seconds of audio sent per second

and llmgate's own:

    steady_duration, steady_concurrency                              see `llmgate.gate.serving.concurrency`, and of
                                                                     open loops `llmgate.gate.serving.open_loop`
    steady_request_throughput, steady_output_throughput              over the steady part
    peak_concurrency                                                 a running count
    mean_client_queue_ms, p99_client_queue_ms, max_client_queue_ms   from due to sent: the client's own delay
    client_cpu_share, max_client_lag_ms                              of one core; of a timer in the event loop
    tokens_per_event                                                 1 if every event of a stream bears one token
    server_mean_ttft_ms                                              the server's own view

TTFT is the first token event minus sending. E2EL ends at the last token event. TPOT is (E2EL − TTFT)/(tokens − 1),
undefined below two tokens.

Two figures are not quite vLLM's. Its `max_concurrent_requests` counts all requests that were in flight at any time of a
second, so that a server with 8 slots and short answers is said to have had 40 in flight; here it is what the name says,
the most that were in flight at one moment. Its `max_output_tokens_per_s` counts events of streams in seconds since the
first sending; here an event counts for the tokens that it bears, which is the same where each bears one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from llmgate.gate.serving.concurrency import Steady, overlap, peak_concurrency, steady_part
from llmgate.gate.serving.open_loop import falling_behind, open_steady_part
from llmgate.gate.serving.validity import doubts, plausible
from llmgate.record.serving.plan import ServiceLevels
from llmgate.stats.quantile import percentile, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.record.serving.trace import RequestTrace, ServingTrace

__all__ = ["ServiceLevels", "ServingSummary", "summarise", "told"]

TOLD = (
    "duration", "request_throughput", "output_throughput",
    "p50_ttft_ms", "p99_ttft_ms", "p50_tpot_ms", "p99_tpot_ms", "p50_itl_ms", "p99_itl_ms",
    "p50_e2el_ms", "p99_e2el_ms",
)  # fmt: skip
"""The figures that a statement has room for; the rest follows from the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSummary:
    """One measurement in figures.

    Attributes:
        name: As in the trace.
        concurrency: Nominal.
        requests: Planned.
        completed: Answered in full.
        metrics: See the module's text. Finite.
        invalid: Why this measurement must not gate; empty if it may.
        notes: What a reader should know.
    """

    name: str
    concurrency: int
    requests: int
    completed: int
    metrics: Mapping[str, float]
    invalid: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def summarise(trace: ServingTrace, *, levels: ServiceLevels | None = None) -> ServingSummary:
    """Summarise one measurement and say whether it may be believed.

    Args:
        trace: What happened.
        levels: Service levels for goodput.
    """
    done = tuple(request for request in trace.requests if request.error is None and plausible(request))
    is_open = trace.arrivals.kind != "closed"
    steady = open_steady_part(done) if is_open else steady_part(done, trace.concurrency)
    metrics = {
        "completed": float(len(done)),
        "failed": float(len(trace.requests) - len(done)),
        **_totals(trace, done, levels),
        **_latencies(done),
        **_steady(done, steady),
        **_client(trace, done),
    }
    return ServingSummary(
        name=trace.name,
        concurrency=trace.concurrency,
        requests=len(trace.requests),
        completed=len(done),
        metrics={key: value for key, value in metrics.items() if math.isfinite(value)},
        invalid=doubts(trace, done, steady),
        notes=_notes(trace, done, metrics),
    )


def told(summary: ServingSummary) -> dict[str, object]:
    """One measurement as a statement tells it. One that must not be believed has no figures."""
    return {
        "name": summary.name,
        "concurrency": summary.concurrency,
        "requests": summary.requests,
        "completed": summary.completed,
        "figures": {} if summary.invalid else {name: summary.metrics[name] for name in TOLD if name in summary.metrics},
        "invalid": list(summary.invalid),
    }


def _totals(trace: ServingTrace, done: Sequence[RequestTrace], levels: ServiceLevels | None) -> dict[str, float]:
    duration = trace.duration_s
    if not (math.isfinite(duration) and duration > 0):
        return {}
    metrics = {"duration": duration, "request_throughput": len(done) / duration}
    read, written = _tokens(r.prompt_tokens for r in done), _written(done)
    if read is not None:
        metrics["total_input_tokens"] = float(read)
    if written is not None:
        metrics |= {"total_output_tokens": float(written), "output_throughput": written / duration}
    if read is not None and written is not None:
        metrics["total_token_throughput"] = (read + written) / duration
    if written is not None and done:
        metrics["max_output_tokens_per_s"] = _busiest_second(done)
    metrics["rtfx"] = 0.0
    if levels is not None and written is not None:
        metrics["request_goodput"] = sum(_good(request, levels) for request in done) / duration
    return metrics


def _busiest_second(done: Sequence[RequestTrace]) -> float:
    """Most tokens in one of the seconds since the first sending."""
    begin_s = min(request.sent_s for request in done)
    seconds: defaultdict[int, float] = defaultdict(float)
    for request in done:
        share = (request.completion_tokens or 0) / len(request.token_events_s)
        for time_s in request.token_events_s:
            seconds[int(time_s - begin_s)] += share
    return max(seconds.values())


def _latencies(done: Sequence[RequestTrace]) -> dict[str, float]:
    samples = {
        "ttft": [_ttft(request) for request in done],
        "tpot": [tpot for request in done if (tpot := _tpot(request)) is not None],
        "itl": [b - a for request in done for a, b in pairwise(request.token_events_s)],
        "e2el": [_e2el(request) for request in done],
    }
    if _written(done) is None:
        samples["tpot"] = []
    return {
        f"{statistic}_{name}_ms": value * 1e3
        for name, values in samples.items()
        if values
        for statistic, value in asdict(spread(values)).items()
    }


def _steady(done: Sequence[RequestTrace], steady: Steady | None) -> dict[str, float]:
    if steady is None:
        return {}
    # A request that began before or ends after counts for the share of its time that lies inside.
    shares = [overlap(r, steady.start_s, steady.end_s) / (r.end_s - r.sent_s) for r in done]
    metrics = {
        "steady_duration": steady.duration_s,
        "steady_concurrency": steady.concurrency,
        "steady_request_throughput": math.fsum(shares) / steady.duration_s,
    }
    if _written(done) is not None:
        metrics["steady_output_throughput"] = math.fsum(_tokens_within(r, steady) for r in done) / steady.duration_s
    return metrics


def _client(trace: ServingTrace, done: Sequence[RequestTrace]) -> dict[str, float]:
    peak = float(peak_concurrency(done))
    metrics = {"peak_concurrency": peak, "max_concurrent_requests": peak}
    if done:
        queued_ms = [(request.sent_s - request.queued_s) * 1e3 for request in done]
        metrics |= {
            "mean_client_queue_ms": math.fsum(queued_ms) / len(queued_ms),
            "p99_client_queue_ms": percentile(queued_ms, 99),
            "max_client_queue_ms": max(queued_ms),
        }
    if trace.duration_s > 0:
        metrics["client_cpu_share"] = trace.client_cpu_s / trace.duration_s
    if trace.client_lag_s:
        metrics["max_client_lag_ms"] = max(trace.client_lag_s) * 1e3
    written, events = _written(done), sum(len(request.token_events_s) for request in done)
    if written is not None and events:
        metrics["tokens_per_event"] = written / events
    if trace.server_ttft is not None and trace.server_ttft.count > 0:
        metrics["server_mean_ttft_ms"] = trace.server_ttft.sum_s / trace.server_ttft.count * 1e3
    return metrics


def _notes(trace: ServingTrace, done: Sequence[RequestTrace], metrics: Mapping[str, float]) -> tuple[str, ...]:
    notes = []
    if metrics.get("tokens_per_event", 1.0) > 1.0:
        notes.append(f"itl is a chunk gap: events bear {metrics['tokens_per_event']:.2f} tokens on average")
    if "mean_ttft_ms" in metrics and "mean_tpot_ms" not in metrics:
        notes.append("tpot does not exist: no answer has two tokens that the server counted")
    if trace.server_ttft is None:
        notes.append("not checked against the server's own view: it has no time-to-first-token histogram")
    if trace.arrivals.kind != "closed" and (behind := falling_behind(done)):
        notes.append(behind)
    if trace.client_resent:
        notes.append(
            f"{trace.client_resent} requests were sent again: the server closes connections that it says it keeps"
        )
    if trace.requests and "steady_request_throughput" in metrics:
        share = metrics["steady_duration"] / metrics["duration"] if "duration" in metrics else math.nan
        notes.append(f"the steady part is {share:.0%} of the run; whole-run throughput includes its start and end")
    return tuple(notes)


def _ttft(request: RequestTrace) -> float:
    return request.token_events_s[0] - request.sent_s


def _e2el(request: RequestTrace) -> float:
    return request.token_events_s[-1] - request.sent_s


def _tpot(request: RequestTrace) -> float | None:
    tokens = request.completion_tokens
    return None if tokens is None or tokens < 2 else (_e2el(request) - _ttft(request)) / (tokens - 1)


def _good(request: RequestTrace, levels: ServiceLevels) -> bool:
    """Whether all limits are met; a request without a TPOT meets that limit, as in vLLM."""
    observed = (
        (_ttft(request), levels.ttft_ms),
        (_tpot(request) or 0.0, levels.tpot_ms),
        (_e2el(request), levels.e2el_ms),
    )
    return all(limit_ms is None or value_s * 1e3 <= limit_ms for value_s, limit_ms in observed)


def _tokens_within(request: RequestTrace, steady: Steady) -> float:
    """Tokens of one request that arrived in the steady part, its tokens shared evenly among its events."""
    inside = sum(steady.start_s <= time_s <= steady.end_s for time_s in request.token_events_s)
    return inside * (request.completion_tokens or 0) / len(request.token_events_s)


def _written(done: Iterable[RequestTrace]) -> int | None:
    return _tokens(request.completion_tokens for request in done)


def _tokens(counts: Iterable[int | None]) -> int | None:
    """Their sum, None if there is no request or one of them is not known."""
    counts = list(counts)
    known = [tokens for tokens in counts if tokens is not None]
    return sum(known) if counts and len(known) == len(counts) else None
