"""The load generator against a server that knows the truth."""

from __future__ import annotations

import asyncio
import threading
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer, Fault, every

from llmgate.bench.client.load import CLIENT_VERSION, measure_serving
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import Workload, chat_workload, digest_bodies
from llmgate.errors import BenchError, UsageError
from llmgate.gate.serving.summary import summarise
from llmgate.generate.client import Endpoint
from llmgate.record.schema import Message

if TYPE_CHECKING:
    from llmgate.bench.client.load import Progress
    from llmgate.record.serving.trace import ServingTrace

pytestmark = pytest.mark.timing


def workload(count: int = 12, *, tokens: int = 4) -> Workload:
    prompts = [[Message(role="user", content=f"question number {i} of some length")] for i in range(count)]
    return chat_workload(prompts, name="faq", model="fake-model", max_tokens=tokens, ignore_eos=True)


def measure(
    server: FakeServer,
    sent: Workload | None = None,
    *,
    api_key: str | None = None,
    on_progress: Progress | None = None,
    salt: str | None = "",
    **changes: Any,
) -> ServingTrace:
    load = Load(**{"concurrency": 2, "requests": 8, "warmup": 0, "timeout_s": 10.0, **changes})
    endpoint = Endpoint(url=server.url, model="fake-model", api_key=api_key)
    return asyncio.run(measure_serving(sent or workload(), endpoint, load, on_progress=on_progress, salt=salt))


@pytest.mark.parametrize(
    "changes",
    [{"concurrency": 0}, {"requests": 0}, {"warmup": -1}, {"timeout_s": 0.0}, {"timeout_s": float("nan")}],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with FakeServer() as server, pytest.raises(UsageError, match=next(iter(changes))):
        measure(server, **changes)
    assert server.seen == []


def test_a_server_that_cannot_be_reached_at_all() -> None:
    with FakeServer() as server:
        pass
    with pytest.raises(BenchError, match="cannot be reached") as error:
        measure(server)
    assert server.url in str(error.value)


def test_every_request_is_sent_once_in_order_and_traced() -> None:
    load = workload(5)
    with FakeServer(ttft_s=0.005, itl_s=0.001) as server:
        trace = measure(server, load, concurrency=1, requests=7)
    assert [seen.body for seen in server.seen] == list(load.take(7))
    assert [request.index for request in trace.requests] == list(range(7))
    assert {request.error for request in trace.requests} == {None}
    assert {request.completion_tokens for request in trace.requests} == {4}
    assert {len(request.token_events_s) for request in trace.requests} == {4}
    assert [request.prompt_tokens for request in trace.requests] == [6] * 5 + [7] * 2, "repeats bear a mark"
    assert (trace.name, trace.concurrency) == ("faq", 1)
    assert trace.client_version.startswith(CLIENT_VERSION)
    assert (trace.client_processes, trace.client_resent, trace.salt) == (1, 0, "")
    assert trace.workload_digest == digest_bodies(load.take(7)) != load.digest
    for earlier, later in zip(trace.requests, trace.requests[1:], strict=False):
        assert later.queued_s == earlier.end_s, "a slot is free when the last byte came"
        assert later.sent_s >= later.queued_s
    assert trace.requests[-1].end_s <= trace.duration_s


def test_requests_say_who_they_are_and_how_to_answer() -> None:
    with FakeServer(api_key="s3cret") as server:
        trace = measure(server, requests=1, concurrency=1, api_key="s3cret")
    assert trace.requests[0].error is None
    headers = server.seen[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["content-type"] == "application/json"
    assert server.seen[0].json["stream_options"] == {"include_usage": True}


def test_concurrency_is_held_and_never_exceeded() -> None:
    with FakeServer(ttft_s=0.02, itl_s=0.002) as server:
        trace = measure(server, concurrency=6, requests=36, warmup=6)
    assert server.peak == 6
    assert len(server.seen) == 42
    assert summarise(trace).metrics["peak_concurrency"] == 6


def test_connections_are_kept() -> None:
    with FakeServer(ttft_s=0.002) as server:
        measure(server, concurrency=3, requests=30, warmup=9)
    assert server.connections == 3 + 2, "one per slot, one for each look at the metrics"


def test_no_more_connections_than_requests() -> None:
    with FakeServer(histogram=False) as server:
        trace = measure(server, concurrency=50, requests=2)
    assert server.connections == 2 + 2
    assert "2 requests at 50 in flight" in " ".join(summarise(trace).invalid)


def test_warm_up_is_not_measured_and_leaves_no_common_prefix() -> None:
    load = workload()
    with FakeServer() as server:
        trace = measure(server, load, concurrency=2, requests=6, warmup=None)
    assert len(trace.requests) == 6
    assert len(server.seen) == 8, "as many as are in flight, by default"
    measured = {seen.json["messages"][0]["content"] for seen in server.seen[2:]}
    assert not measured & {seen.json["messages"][0]["content"] for seen in server.seen[:2]}
    assert trace.server_ttft is not None
    assert trace.server_ttft.count == 6, "the warm-up is not in the server's view either"


def test_progress_counts_to_the_end() -> None:
    calls: list[tuple[int, int]] = []
    with FakeServer(faults={3: Fault.HTTP_500}) as server:
        measure(server, requests=5, on_progress=lambda ended, planned: calls.append((ended, planned)))
    assert calls == [(k, 5) for k in range(1, 6)]


def test_progress_that_raises_ends_the_run() -> None:
    def raising(ended: int, planned: int) -> None:
        raise ValueError("from the caller")

    with FakeServer() as server, pytest.raises(ValueError, match="from the caller"):
        measure(server, on_progress=raising)


def test_time_stamps_agree_with_what_the_server_wrote() -> None:
    """Both sides share one clock, so the error of each request is known. The tolerance is for a busy machine."""
    with FakeServer(ttft_s=0.04, itl_s=0.01, role_chunk=True) as server:
        trace = measure(server, workload(tokens=8), concurrency=4, requests=24, warmup=4)
    truth = sorted(server.truth, key=lambda t: t.number)[4:]
    ours = [request.token_events_s[0] - request.sent_s for request in trace.requests]
    theirs = [one.tokens_s[0] - one.arrived_s for one in truth]
    assert median(ours) == pytest.approx(median(theirs), abs=max(0.002, 0.1 * median(theirs)))
    gaps = [b - a for r in trace.requests for a, b in zip(r.token_events_s, r.token_events_s[1:], strict=False)]
    assert median(gaps) == pytest.approx(median(gap for one in truth for gap in one.gaps_s), abs=0.002)
    assert min(ours) > 0.039, "a role-only event at once is not the first token"
    assert trace.server_ttft is not None
    # It counts from when it read a request, which may be some time after it arrived.
    assert trace.server_ttft.sum_s == pytest.approx(sum(theirs), rel=0.1)


def test_a_client_that_is_starved_says_so() -> None:
    """Something else blocks the event loop again and again, as a careless caller would."""

    async def starve() -> ServingTrace:
        async def block() -> None:
            while True:
                time.sleep(0.03)  # noqa: ASYNC251 - on purpose
                await asyncio.sleep(0.01)

        careless = asyncio.ensure_future(block())
        try:
            return await measure_serving(
                workload(), Endpoint(url=server.url, model="fake-model"), Load(concurrency=2, requests=24)
            )
        finally:
            careless.cancel()

    with FakeServer(ttft_s=0.02, itl_s=0.005) as server:
        invalid = " | ".join(summarise(asyncio.run(starve())).invalid)
    assert "event loop was late" in invalid
    assert "server's own histogram" in invalid, "and the server saw it too"


def test_a_process_that_is_busy_says_so() -> None:
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(1000))

    busy = threading.Thread(target=spin)
    busy.start()
    try:
        with FakeServer(ttft_s=0.01) as server:
            trace = measure(server, requests=12)
    finally:
        stop.set()
        busy.join()
    assert trace.client_cpu_s > 0
    assert summarise(trace).invalid


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault.HTTP_400, "HTTP 400: "),
        (Fault.HTTP_500, "HTTP 500: "),
        (Fault.RATE_LIMITED, "HTTP 429: "),
        (Fault.GARBAGE, "not HTTP"),
        (Fault.NOT_JSON, "not a stream of events but text/html"),
        (Fault.NO_CHOICES, "not a stream of events but application/json"),
        (Fault.CUT, "connection closed after"),
        (Fault.SILENT, "no complete answer within 0.3 s"),
        (Fault.REDIRECT, "HTTP 302: a redirect to http://elsewhere.invalid"),
    ],
)
def test_a_fault_is_recorded_and_the_others_go_on(fault: Fault, message: str) -> None:
    with FakeServer(faults={4: fault}) as server:
        trace = measure(server, requests=10, timeout_s=0.3)
    assert len(server.seen) == 10, "nothing is sent twice, nothing is left out"
    failed = [request for request in trace.requests if request.error is not None]
    assert len(failed) == 1
    assert message in str(failed[0].error)
    assert any("1 of 10 requests failed" in reason for reason in summarise(trace).invalid)


def test_tokens_before_a_timeout_are_kept() -> None:
    with FakeServer(ttft_s=0.01, itl_s=0.4) as server:
        trace = measure(server, requests=2, timeout_s=0.6)
    assert {request.error for request in trace.requests} == {"no complete answer within 0.6 s"}
    assert {len(request.token_events_s) for request in trace.requests} == {2}


def test_all_requests_may_fail() -> None:
    with FakeServer(faults=every(1, Fault.HTTP_500)) as server:
        summary = summarise(measure(server, requests=10))
    assert summary.completed == 0
    assert any("10 of 10 requests failed" in reason for reason in summary.invalid)
    assert not [key for key in summary.metrics if "ttft" in key]


def test_a_server_that_dies_fails_what_is_left() -> None:
    with FakeServer(ttft_s=0.002, die_after=5) as server:
        trace = measure(server, requests=2000, concurrency=2)
    assert len(trace.requests) == 2000
    errors = [request.error for request in trace.requests if request.error is not None]
    assert len(errors) >= 1995
    assert sum(error.startswith("not sent: the server cannot be reached") for error in errors) >= 1990
    assert len(server.seen) <= 7
    assert summarise(trace).invalid


def test_a_server_that_cuts_each_answer_is_still_asked() -> None:
    # A cut connection is replaced before the next request is sent.
    with FakeServer(faults=every(2, Fault.CUT)) as server:
        trace = measure(server, requests=10, concurrency=1)
    assert [request.error is None for request in trace.requests] == [True, False] * 5


def test_the_key_does_not_stand_in_the_trace() -> None:
    def leak(body: dict[str, Any]) -> str:
        raise ValueError("s3cret")

    with FakeServer(answer=leak) as server:
        trace = measure(server, requests=1, concurrency=1, api_key="s3cret")
    error = str(trace.requests[0].error)
    assert error.startswith("HTTP 500")
    assert "s3cret" not in error
    assert "[redacted]" in error


def test_without_usage_the_run_is_invalid() -> None:
    with FakeServer(usage=False) as server:
        summary = summarise(measure(server, requests=8))
    assert any("did not count the tokens of 8 of 8" in reason for reason in summary.invalid)
    assert "output_throughput" not in summary.metrics


def test_a_server_without_the_histogram_is_not_cross_checked() -> None:
    with FakeServer(histogram=False) as server:
        trace = measure(server)
    assert trace.server_ttft is None
    assert any("own view" in note for note in summarise(trace).notes)


def test_a_server_that_disagrees_makes_the_run_invalid() -> None:
    with FakeServer(ttft_s=0.01, histogram_offset_s=0.05) as server:
        invalid = summarise(measure(server)).invalid
    assert any("by the server's own histogram" in reason for reason in invalid)


def test_tokens_that_share_a_chunk() -> None:
    with FakeServer(tokens_per_chunk=4, itl_s=0.002) as server:
        summary = summarise(measure(server, workload(tokens=16)))
    assert summary.metrics["tokens_per_event"] == 4
    assert any("chunk gap" in note for note in summary.notes)


def test_answers_beyond_the_buffer_are_written_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.bench.client.backlog.UNREAD_BYTES", 2000)
    with FakeServer() as server:
        trace = measure(server, requests=20)
    assert [request.index for request in trace.requests] == list(range(20))
    assert {request.completion_tokens for request in trace.requests} == {4}


def test_slots_of_the_server_show_as_ttft_not_as_client_queue() -> None:
    with FakeServer(ttft_s=0.03, slots=1) as server:
        trace = measure(server, concurrency=3, requests=12)
    assert server.peak == 1
    metrics = summarise(trace).metrics
    truth = median(one.ttft_s for one in server.truth)
    assert metrics["median_ttft_ms"] == pytest.approx(truth * 1e3, rel=0.1, abs=2)
    assert metrics["median_ttft_ms"] > 60
