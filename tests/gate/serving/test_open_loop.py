"""Open loops: a late client makes a measurement invalid, a slow server does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.gate.serving.open_loop import falling_behind, late_sending, open_steady_part
from llmgate.gate.serving.summary import summarise
from llmgate.record.serving.trace import Arrivals, RequestTrace, ServingTrace


def arriving(count: int = 100, *, gap: float = 0.1, takes: float = 0.25, late: float = 0.0) -> list[RequestTrace]:
    """A request every `gap` seconds, answered with three tokens; sent `late` seconds after it was due."""
    requests = []
    for index in range(count):
        due = index * gap
        sent = due + late
        requests.append(
            RequestTrace(
                index=index,
                queued_s=due,
                sent_s=sent,
                token_events_s=(sent + takes * 0.4, sent + takes * 0.7, sent + takes),
                end_s=sent + takes,
                prompt_tokens=5,
                completion_tokens=3,
            )
        )
    return requests


def open_trace(requests: list[RequestTrace], *, cap: int = 0) -> ServingTrace:
    duration = max(request.end_s for request in requests)
    return ServingTrace(
        name="faq",
        workload="hand-made",
        workload_digest="0" * 64,
        concurrency=cap,
        requests=tuple(requests),
        duration_s=duration,
        client_cpu_s=0.01 * duration,
        client_lag_s=(0.001,),
        client_blocked_s=0.0,
        client_version="test",
        arrivals=Arrivals(kind="constant", rate=10.0),
    )


def slow(request: RequestTrace, by: float) -> RequestTrace:
    """The same request, answered later."""
    times = tuple(time + by for time in request.token_events_s)
    return replace(request, token_events_s=times, end_s=request.end_s + by)


def test_requests_sent_late_make_it_invalid() -> None:
    requests = arriving()
    for index in (10, 20, 30):
        requests[index] = arriving(late=0.02)[index]
    (reason,) = summarise(open_trace(requests)).invalid
    assert reason.startswith("3 of 100 requests were sent late, by up to 20 ms: the client did not keep up")
    assert summarise(open_trace([*requests[:30], arriving()[30], *requests[31:]])).invalid == (), "two in a hundred may"


def test_a_rate_that_is_missed_makes_it_invalid() -> None:
    # Each request leaves a little later than the one before, and none of them harmfully late: TTFT is a second.
    requests = [
        replace(slow(request, 0.9), sent_s=request.sent_s + index * 0.0032)
        for index, request in enumerate(arriving(30, gap=0.1))
    ]
    (reason,) = summarise(open_trace(requests)).invalid
    assert "requests were sent over 2.99 s where 2.90 s were planned, more than 2 % below the rate" in reason


def test_a_limit_that_holds_requests_back_is_named() -> None:
    requests = arriving(40, gap=0.1, takes=0.25, late=0.0)
    held = [replace(slow(r, i * 0.1), sent_s=r.sent_s + i * 0.1) for i, r in enumerate(requests)]
    peak = int(summarise(open_trace(held)).metrics["peak_concurrency"])
    (reason,) = summarise(open_trace(held, cap=peak)).invalid
    assert f"no more than {peak} may be in flight, and the server did not keep up" in reason
    (reason,) = summarise(open_trace(held, cap=peak + 1)).invalid
    assert "the client did not keep up" in reason


def test_an_even_open_loop_is_valid_and_has_a_steady_part() -> None:
    summary = summarise(open_trace(arriving()))
    assert summary.invalid == ()
    m = summary.metrics
    assert m["steady_duration"] == pytest.approx(9.9 - 0.25)
    assert m["steady_concurrency"] == pytest.approx(2.5, rel=0.02), "Little: 10 per second, 0.25 s each"
    assert m["steady_request_throughput"] == pytest.approx(10.0, rel=0.02)
    assert m["request_throughput"] == pytest.approx(100 / 10.15)
    assert m["peak_concurrency"] == m["max_concurrent_requests"] == 3.0
    assert not [note for note in summary.notes if "keep up" in note or "burst" in note]


def test_a_server_that_does_not_keep_up_is_told_and_not_refused() -> None:
    piling = [slow(request, 0.06 * index) for index, request in enumerate(arriving())]
    summary = summarise(open_trace(piling))
    assert summary.invalid == ()
    (note,) = [note for note in summary.notes if "did not keep up" in note]
    assert "latencies grow with the length of the measurement" in note


def test_a_burst_is_told_and_has_no_steady_part() -> None:
    summary = summarise(open_trace(arriving(20, gap=0.001, takes=1.0)))
    assert summary.invalid == ()
    assert "steady_duration" not in summary.metrics
    assert any("those of a burst, not a rate" in note for note in summary.notes)


def test_nothing_is_said_about_nothing() -> None:
    trace = open_trace(arriving(1))
    assert open_steady_part(()) is None
    assert falling_behind(()) is None
    assert falling_behind(arriving(1)) is None
    assert late_sending(trace, ()) is None
    assert late_sending(trace, trace.requests) is None


def test_failures_are_failures_here_too() -> None:
    requests = arriving()
    requests[3] = replace(requests[3], error="HTTP 503: full")
    (reason,) = summarise(open_trace(requests)).invalid
    assert reason == "1 of 100 requests failed, the first of them request 3: HTTP 503: full"


@settings(max_examples=50)
@given(gap=st.floats(0.001, 1.0), takes=st.floats(0.01, 3.0), late=st.floats(0.0, 1.0), count=st.integers(10, 60))
def test_being_later_never_makes_it_valid(gap: float, takes: float, late: float, count: int) -> None:
    punctual, tardy = (open_trace(arriving(count, gap=gap, takes=takes, late=by)) for by in (0.0, late))
    assert late_sending(punctual, punctual.requests) is None
    refused = late_sending(tardy, tardy.requests) is not None
    assert refused == (late > max(0.005, 0.1 * takes * 0.4) + 1e-9) or abs(late - max(0.005, 0.04 * takes)) < 1e-6
