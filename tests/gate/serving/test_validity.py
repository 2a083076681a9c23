"""What makes a serving measurement invalid. Every case starts from one that is valid."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.gate.serving.concurrency import peak_concurrency, requests_needed, steady_part
from llmgate.gate.serving.summary import summarise
from llmgate.record.serving.trace import RequestTrace, ServerHistogram, ServingTrace


def slots_at_work(slots: int, rounds: int, *, pause: float = 0.0) -> tuple[RequestTrace, ...]:
    """Requests of one second each, `slots` at a time, with a pause between one and the next."""
    requests = []
    for index in range(slots * rounds):
        sent = (index // slots) * (1.0 + pause)
        times = (sent + 0.2, sent + 0.6, sent + 1.0)
        requests.append(
            RequestTrace(
                index=index,
                queued_s=max(0.0, sent - pause),
                sent_s=sent,
                token_events_s=times,
                end_s=sent + 1.0,
                prompt_tokens=5,
                completion_tokens=3,
            )
        )
    return tuple(requests)


@pytest.fixture
def good() -> ServingTrace:
    requests = slots_at_work(4, 5)
    return ServingTrace(
        name="faq",
        workload="hand-made",
        workload_digest="0" * 64,
        concurrency=4,
        requests=requests,
        duration_s=5.0,
        client_cpu_s=0.5,
        client_lag_s=(0.002, 0.001),
        client_blocked_s=0.0,
        client_version="test",
        server_ttft=ServerHistogram(count=20, sum_s=20 * 0.199),
    )


def reasons(trace: ServingTrace) -> str:
    return " | ".join(summarise(trace).invalid)


def test_a_good_measurement_is_valid(good: ServingTrace) -> None:
    assert summarise(good).invalid == ()
    assert not summarise(good).invalid


def test_any_failed_request(good: ServingTrace) -> None:
    bad = replace(good.requests[7], error="HTTP 500: injected")
    found = reasons(replace(good, requests=(*good.requests[:7], bad, *good.requests[8:])))
    assert "1 of 20 requests failed" in found
    assert "request 7: HTTP 500: injected" in found


def test_nothing_measured(good: ServingTrace) -> None:
    assert "no request" in reasons(replace(good, requests=()))


def test_unknown_completion_tokens(good: ServingTrace) -> None:
    bad = replace(good.requests[0], completion_tokens=None)
    assert "did not count the tokens" in reasons(replace(good, requests=(bad, *good.requests[1:])))


@pytest.mark.parametrize(
    "change",
    [
        {"sent_s": math.nan},
        {"end_s": math.inf},
        {"sent_s": 0.5},
        {"token_events_s": (0.6, 0.2, 1.0)},
        {"token_events_s": (0.2, 0.6, 1.5)},
        {"token_events_s": ()},
        {"queued_s": -1.0},
        {"completion_tokens": -3},
    ],
)
def test_times_and_counts_that_cannot_be(good: ServingTrace, change: dict[str, float]) -> None:
    bad = replace(good.requests[0], **change)  # type: ignore[arg-type]
    summary = summarise(replace(good, requests=(bad, *good.requests[1:])))
    assert any("cannot be" in reason and "request 0" in reason for reason in summary.invalid)
    assert summary.completed == 19
    assert all(math.isfinite(value) for value in summary.metrics.values())


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan, math.inf])
def test_a_duration_that_cannot_be(good: ServingTrace, duration: float) -> None:
    summary = summarise(replace(good, duration_s=duration))
    assert any("lasted" in reason for reason in summary.invalid)
    assert "request_throughput" not in summary.metrics


def test_a_run_too_short_says_how_many_requests_it_needs(good: ServingTrace) -> None:
    found = reasons(replace(good, requests=slots_at_work(4, 2), server_ttft=None))
    assert "8 requests at 4 in flight have no steady part; send at least 12" in found
    assert reasons(replace(good, requests=slots_at_work(4, 3), server_ttft=None)) == ""
    assert requests_needed(32) == 96


def test_concurrency_that_was_never_reached(good: ServingTrace) -> None:
    assert "at most 4 of 8" in reasons(replace(good, requests=slots_at_work(4, 6), concurrency=8, server_ttft=None))


@pytest.mark.parametrize(("pause", "valid"), [(0.015, True), (0.03, False)])
def test_a_client_that_is_slow_to_send_again(good: ServingTrace, pause: float, valid: bool) -> None:
    # In flight for 1 of every 1 + pause seconds: 1.5 % missing is accepted, 3 % is not.
    requests = slots_at_work(4, 30, pause=pause)
    found = reasons(replace(good, requests=requests, duration_s=31.0, server_ttft=None))
    assert ("slow to send" not in found) is valid
    one = tuple(replace(r, index=i) for i, r in enumerate(requests[::4]))
    found = reasons(replace(good, requests=one, concurrency=1, duration_s=31.0, server_ttft=None))
    assert ("slow to send" not in found) is valid, "also where one request in flight is all there is"


def test_lag_of_the_event_loop(good: ServingTrace) -> None:
    # The median TTFT is 200 ms: lateness above 20 ms does harm where it makes up more than 1 % of the 5 s.
    late = replace(good, client_lag_s=(0.09, 0.03, 0.001), client_blocked_s=0.12)
    assert "late by 20 to 90 ms for 2.4% of the time" in reasons(late)
    assert reasons(replace(late, client_lag_s=(0.04, 0.001))) == "", "0.8 % of the time cannot make a p99"
    assert reasons(replace(late, client_lag_s=(0.019,) * 20)) == "", "below a tenth of the median TTFT"
    assert "not measured" in reasons(replace(good, client_lag_s=(), client_blocked_s=None))
    assert "not known" in reasons(replace(good, client_lag_s=(math.nan,)))


def test_lag_that_may_be_more_than_was_kept_counts_in_full(good: ServingTrace) -> None:
    kept = replace(good, client_lag_s=(0.03, 0.021), client_blocked_s=0.2, duration_s=5.2)
    assert "for 3.8% of the time" in reasons(kept)
    assert reasons(replace(kept, client_blocked_s=0.05)) == ""
    assert "late by" in reasons(replace(kept, client_blocked_s=math.nan))
    assert reasons(replace(kept, client_blocked_s=None)) == "", "0.051 s of 5.2 s are known"


def test_a_saturated_client(good: ServingTrace) -> None:
    assert "bottleneck" in reasons(replace(good, client_cpu_s=4.5))
    assert "bottleneck" in reasons(replace(good, client_cpu_s=math.nan))
    assert reasons(replace(good, client_cpu_s=3.9)) == ""
    # Of several processes the trace has the busiest one, so more of them do not make a saturated one well.
    many = replace(good, client_processes=3)
    assert reasons(replace(many, client_cpu_s=3.9)) == ""
    assert "the busiest of the client's 3 processes" in reasons(replace(many, client_cpu_s=4.5))


def test_requests_that_were_sent_again_are_told(good: ServingTrace) -> None:
    assert not any("sent again" in note for note in summarise(good).notes)
    summary = summarise(replace(good, client_resent=2))
    assert any("2 requests were sent again" in note for note in summary.notes)
    assert summary.invalid == ()


def test_a_server_that_disagrees(good: ServingTrace) -> None:
    assert "190.0 ms here" not in reasons(good)
    slow = replace(good, server_ttft=ServerHistogram(count=20, sum_s=20 * 0.15))
    assert "mean TTFT is 200.0 ms here and 150.0 ms by the server's own" in reasons(slow)
    near = replace(good, server_ttft=ServerHistogram(count=20, sum_s=20 * 0.19))
    assert reasons(near) == ""
    nan = replace(good, server_ttft=ServerHistogram(count=20, sum_s=math.nan))
    assert "by the server's own" in reasons(nan)


@pytest.mark.parametrize("count", [0, 19, 21])
def test_a_server_that_others_use(good: ServingTrace, count: int) -> None:
    other = replace(good, server_ttft=ServerHistogram(count=count, sum_s=count * 0.199))
    assert f"counted {count} first tokens where 20 requests" in reasons(other)


def test_reasons_add_up(good: ServingTrace) -> None:
    bad = replace(good, client_cpu_s=5.0, client_lag_s=(1.0,), client_blocked_s=1.0)
    assert len(summarise(bad).invalid) == 2


def test_peak_is_a_true_running_count() -> None:
    # Three requests one after another within one second: a count in one-second buckets would say 3.
    requests = tuple(
        RequestTrace(index=i, queued_s=i * 0.3, sent_s=i * 0.3, token_events_s=(i * 0.3 + 0.2,), end_s=i * 0.3 + 0.2)
        for i in range(3)
    )
    assert peak_concurrency(requests) == 1
    assert peak_concurrency(()) == 0


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(min_value=0, max_value=10), st.floats(min_value=0.01, max_value=3)), min_size=1, max_size=30
    ),
    st.integers(min_value=1, max_value=6),
)
def test_the_steady_part_lies_within_the_run_and_below_the_peak(
    spans: list[tuple[float, float]], concurrency: int
) -> None:
    requests = tuple(
        RequestTrace(index=i, queued_s=a, sent_s=a, token_events_s=(a + length,), end_s=a + length)
        for i, (a, length) in enumerate(spans)
    )
    peak = peak_concurrency(requests)
    brute = max(sum(r.sent_s <= t < r.end_s for r in requests) for t in [r.sent_s for r in requests])
    assert peak == brute
    steady = steady_part(requests, concurrency)
    if steady is None:
        assert steady_part((), concurrency) is None
        return
    assert min(r.sent_s for r in requests) <= steady.start_s < steady.end_s <= max(r.end_s for r in requests)
    assert 0 < steady.concurrency <= peak + 1e-9
    assert steady.ended >= 2 * concurrency
