"""Definitions, from hand-made traces whose figures have a closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import UsageError
from llmgate.gate.serving.summary import ServiceLevels, summarise
from llmgate.record.serving.trace import RequestTrace, ServerHistogram, ServingTrace


def request(
    index: int,
    sent: float,
    events: tuple[float, ...],
    *,
    tokens: int | None = -1,
    end: float | None = None,
    queue: float = 0.0,
    error: str | None = None,
    prompt: int | None = 10,
) -> RequestTrace:
    """A request whose events are given in seconds after sending."""
    times = tuple(sent + event for event in events)
    return RequestTrace(
        index=index,
        queued_s=sent - queue,
        sent_s=sent,
        token_events_s=times,
        end_s=sent + end if end is not None else (times[-1] if times else sent),
        prompt_tokens=prompt,
        completion_tokens=len(events) if tokens == -1 else tokens,
        error=error,
    )


def trace(requests: list[RequestTrace], *, concurrency: int = 1, duration: float | None = None) -> ServingTrace:
    return ServingTrace(
        name="faq",
        workload="hand-made",
        workload_digest="0" * 64,
        concurrency=concurrency,
        requests=tuple(requests),
        duration_s=duration if duration is not None else max((r.end_s for r in requests), default=1.0),
        client_cpu_s=0.01,
        client_lag_s=(0.001,),
        client_blocked_s=0.0,
        client_version="test",
    )


def lockstep(slots: int, rounds: int, *, tokens: int = 4) -> list[RequestTrace]:
    """Slots that are always busy: a token at 0.2 s and then one every 0.1 s, the next request at once."""
    events = tuple(0.2 + 0.1 * k for k in range(tokens))
    length = 0.1 + 0.1 * tokens
    return [
        request(round_ * slots + slot, round_ * length, events) for round_ in range(rounds) for slot in range(slots)
    ]


def test_latencies_in_closed_form() -> None:
    # TTFT 0.2, 0.4, 0.3; E2EL 0.5, 1.0, 0.3; TPOT (0.5−0.2)/3, (1.0−0.4)/2, none; gaps 0.1 0.1 0.1 0.3 0.3.
    summary = summarise(
        trace(
            [
                request(0, 0.0, (0.2, 0.3, 0.4, 0.5)),
                request(1, 0.5, (0.4, 0.7, 1.0)),
                request(2, 1.5, (0.3,)),
            ],
            duration=2.0,
        )
    )
    m = summary.metrics
    assert m["mean_ttft_ms"] == pytest.approx(300)
    assert m["median_ttft_ms"] == m["p50_ttft_ms"] == pytest.approx(300)
    assert m["std_ttft_ms"] == pytest.approx(math.sqrt(2 / 3) * 100)
    assert m["p90_ttft_ms"] == pytest.approx(380)
    assert m["p95_ttft_ms"] == pytest.approx(390)
    assert m["p99_ttft_ms"] == pytest.approx(398)
    assert m["mean_e2el_ms"] == pytest.approx(600)
    assert m["mean_tpot_ms"] == pytest.approx(200), "the mean of 100 and 300; one token has no TPOT"
    assert m["mean_itl_ms"] == pytest.approx(180), "pooled over gaps, not averaged over requests"
    assert m["median_itl_ms"] == pytest.approx(100)


def test_totals_in_closed_form() -> None:
    summary = summarise(trace([request(0, 0.0, (0.2, 0.3)), request(1, 0.3, (0.2,))], duration=2.0))
    m = summary.metrics
    assert (summary.requests, summary.completed, summary.concurrency, summary.name) == (2, 2, 1, "faq")
    assert (m["duration"], m["completed"], m["failed"]) == (2.0, 2.0, 0.0)
    assert (m["total_input_tokens"], m["total_output_tokens"]) == (20.0, 3.0)
    assert (m["request_throughput"], m["output_throughput"], m["total_token_throughput"]) == (1.0, 1.5, 11.5)


def test_the_last_byte_is_not_the_last_token() -> None:
    summary = summarise(trace([request(0, 1.0, (0.2, 0.4), end=0.9)]))
    assert summary.metrics["mean_e2el_ms"] == pytest.approx(400)


def test_keys_are_those_of_vllm() -> None:
    keys = set(summarise(trace(lockstep(2, 4), concurrency=2)).metrics)
    latencies = {
        f"{statistic}_{name}_ms"
        for statistic in ("mean", "median", "std", "p50", "p90", "p95", "p99")
        for name in ("ttft", "tpot", "itl", "e2el")
    }
    totals = {"duration", "completed", "failed", "total_input_tokens", "total_output_tokens", "request_throughput"}
    assert latencies | totals | {"output_throughput", "total_token_throughput"} <= keys
    assert {"max_output_tokens_per_s", "max_concurrent_requests", "rtfx"} <= keys
    assert "request_goodput" not in keys, "without service levels there is no goodput"


def test_what_was_not_observed_is_absent_and_never_zero() -> None:
    one_token = summarise(trace([request(i, i * 0.5, (0.5,)) for i in range(4)])).metrics
    assert not [key for key in one_token if "tpot" in key or "itl" in key]
    uncounted = summarise(trace([request(i, i * 0.5, (0.2, 0.5), tokens=None) for i in range(4)])).metrics
    assert not [key for key in uncounted if "output" in key or "total_token" in key or "tpot" in key]
    assert uncounted["mean_itl_ms"] == pytest.approx(300), "a gap between events needs no count"
    no_prompt = summarise(trace([request(i, i * 0.5, (0.2, 0.5), prompt=None) for i in range(4)])).metrics
    assert "total_input_tokens" not in no_prompt
    assert "total_token_throughput" not in no_prompt
    assert "output_throughput" in no_prompt
    nothing = summarise(trace([])).metrics
    assert not [key for key in nothing if key.endswith("_ms") and "lag" not in key]


def test_one_uncounted_answer_takes_the_totals_away() -> None:
    requests = lockstep(1, 4)
    requests[2] = replace(requests[2], completion_tokens=None)
    summary = summarise(trace(requests))
    assert "output_throughput" not in summary.metrics
    assert "mean_tpot_ms" not in summary.metrics
    assert any("did not count the tokens of 1 of 4" in reason for reason in summary.invalid)


def test_several_tokens_in_an_event_are_called_a_chunk_gap() -> None:
    # Three events bear 9 tokens: ITL is 0.3 s between events, TPOT (0.8−0.2)/8.
    summary = summarise(trace([request(i, i * 0.8, (0.2, 0.5, 0.8), tokens=9) for i in range(4)]))
    assert summary.metrics["tokens_per_event"] == pytest.approx(3)
    assert summary.metrics["mean_itl_ms"] == pytest.approx(300)
    assert summary.metrics["mean_tpot_ms"] == pytest.approx(75)
    assert any("chunk gap" in note and "3.00" in note for note in summary.notes)
    assert not any("chunk gap" in note for note in summarise(trace(lockstep(1, 4))).notes)


def test_failed_requests_are_counted_and_not_averaged() -> None:
    requests = [*lockstep(1, 4), request(4, 2.0, (9.0,), error="HTTP 500: injected")]
    summary = summarise(trace(requests, duration=4.0))
    assert (summary.completed, summary.metrics["failed"]) == (4, 1.0)
    assert summary.metrics["mean_ttft_ms"] == pytest.approx(200)
    assert summary.metrics["request_throughput"] == pytest.approx(1.0)
    assert any("1 of 5 requests failed" in r and "request 4: HTTP 500: injected" in r for r in summary.invalid)


def test_the_most_in_a_second_and_at_a_moment() -> None:
    # Tokens at 0.2, 0.3, 0.4 | 1.0, 1.1 | 2.5: three in the first second, of which one event bears two.
    requests = [request(0, 0.0, (0.2, 0.3, 0.4), tokens=6), request(1, 0.9, (0.1, 0.2)), request(2, 2.3, (0.2,))]
    m = summarise(trace(requests)).metrics
    assert m["max_output_tokens_per_s"] == pytest.approx(6.0)
    assert m["max_concurrent_requests"] == m["peak_concurrency"] == 1.0, "vLLM would count two in the first second"
    assert m["rtfx"] == 0.0
    later = summarise(
        trace(
            [
                replace(
                    r,
                    token_events_s=tuple(t + 7 for t in r.token_events_s),
                    sent_s=r.sent_s + 7,
                    queued_s=r.queued_s + 7,
                    end_s=r.end_s + 7,
                )
                for r in requests
            ]
        )
    ).metrics
    assert later["max_output_tokens_per_s"] == m["max_output_tokens_per_s"], "seconds count from the first sending"


def test_goodput_counts_requests_that_meet_every_level() -> None:
    requests = [
        request(0, 0.0, (0.1, 0.2)),
        request(1, 0.2, (0.3, 0.4)),
        request(2, 0.6, (0.1, 0.9)),
        request(3, 1.5, (0.1,)),
    ]
    measured = trace(requests, duration=2.0)

    def goodput(levels: ServiceLevels) -> float:
        return summarise(measured, levels=levels).metrics["request_goodput"]

    assert goodput(ServiceLevels(ttft_ms=200)) == pytest.approx(3 / 2)
    assert goodput(ServiceLevels(ttft_ms=200, tpot_ms=150)) == pytest.approx(2 / 2), "one token meets a TPOT level"
    assert goodput(ServiceLevels(ttft_ms=200, tpot_ms=150, e2el_ms=150)) == pytest.approx(1 / 2)
    assert goodput(ServiceLevels(e2el_ms=0.001)) == 0.0


@pytest.mark.parametrize("levels", [{}, {"ttft_ms": 0.0}, {"tpot_ms": -1.0}, {"e2el_ms": math.nan}])
def test_service_levels_that_say_nothing_are_refused(levels: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="positive"):
        ServiceLevels(**levels)


def test_steady_state_and_whole_run_are_told_apart() -> None:
    # 4 slots × 5 rounds of 0.5 s with 4 tokens, then the drain: one slow last request alone for 2.5 s.
    requests = [*lockstep(4, 5), request(20, 2.5, (1.0, 2.5), end=2.5)]
    m = summarise(trace(requests, concurrency=4, duration=5.0)).metrics
    assert m["steady_duration"] == pytest.approx(2.5)
    assert m["steady_concurrency"] == pytest.approx(4.0)
    assert m["steady_request_throughput"] == pytest.approx(8.0), "20 requests in 2.5 s"
    assert m["steady_output_throughput"] == pytest.approx(32.0)
    assert m["request_throughput"] == pytest.approx(21 / 5)
    assert m["peak_concurrency"] == 4.0


def test_requests_across_the_edge_of_the_steady_part_count_for_their_share() -> None:
    # Slot A: 0–1 1–2 2–3 3–4, slot B: 0–0.5 0.5–1.5 1.5–2.5 2.5–3.5. Both are busy in 0–3.5.
    starts = [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (0.0, 0.5), (0.5, 1.0), (1.5, 1.0), (2.5, 1.0)]
    requests = [request(i, start, (length / 2, length)) for i, (start, length) in enumerate(starts)]
    m = summarise(trace(requests, concurrency=2)).metrics
    assert m["steady_duration"] == pytest.approx(3.5)
    assert m["steady_request_throughput"] == pytest.approx((7 + 0.5) / 3.5)
    assert m["steady_output_throughput"] == pytest.approx((14 + 1) / 3.5)


def test_client_queue_time_is_shown() -> None:
    requests = [request(i, i * 1.0 + 0.01 * i, (0.5, 0.9), queue=0.01 * i) for i in range(4)]
    m = summarise(trace(requests)).metrics
    assert m["mean_client_queue_ms"] == pytest.approx(15)
    assert m["max_client_queue_ms"] == pytest.approx(30)
    assert m["p99_client_queue_ms"] == pytest.approx(29.7)
    assert m["mean_ttft_ms"] == pytest.approx(500), "never part of TTFT, never hidden"


def test_the_servers_view_is_shown() -> None:
    measured = replace(trace(lockstep(1, 4)), server_ttft=ServerHistogram(count=4, sum_s=0.796))
    summary = summarise(measured)
    assert summary.metrics["server_mean_ttft_ms"] == pytest.approx(199)
    assert not summary.invalid
    assert not any("own view" in note for note in summary.notes)
    assert any("own view" in note for note in summarise(trace(lockstep(1, 4))).notes)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_figures_are_finite_ordered_and_blind_to_the_order_of_requests(data: st.DataObject) -> None:
    gaps = st.lists(st.floats(min_value=0, max_value=2), min_size=1, max_size=6)
    count = data.draw(st.integers(min_value=1, max_value=12))
    requests = []
    for index in range(count):
        events, at = [], 1e-3
        for gap in data.draw(gaps):
            at += gap
            events.append(at)
        requests.append(request(index, data.draw(st.floats(min_value=0, max_value=5)), tuple(events)))
    measured = trace(requests, concurrency=data.draw(st.integers(min_value=1, max_value=4)), duration=20.0)
    summary = summarise(measured)
    assert all(math.isfinite(value) for value in summary.metrics.values())
    for name in ("ttft", "tpot", "itl", "e2el"):
        values = [summary.metrics.get(f"{p}_{name}_ms") for p in ("p50", "p90", "p95", "p99")]
        present = [value for value in values if value is not None]
        assert present == sorted(present)
    shuffled = data.draw(st.permutations(requests))
    again = summarise(replace(measured, requests=tuple(shuffled))).metrics
    assert again == pytest.approx(dict(summary.metrics))


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=8), st.integers(min_value=3, max_value=8))
def test_littles_law_holds_in_the_steady_part(slots: int, rounds: int) -> None:
    m = summarise(trace(lockstep(slots, rounds), concurrency=slots)).metrics
    assert m["steady_request_throughput"] * 0.5 == pytest.approx(m["steady_concurrency"])
