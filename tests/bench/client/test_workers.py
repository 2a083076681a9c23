"""Several processes: who does what, that their traces are one, and what becomes of a process that ends early."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from typing import Any

import pytest
from support.fake_server import FakeServer

from llmgate.bench.client.http import HttpOrigin
from llmgate.bench.client.load import CLIENT_VERSION, _trace, measure_serving
from llmgate.bench.client.plan_files import MappedBodies, shared_tickets, write_bodies, write_tickets
from llmgate.bench.client.reading import AnswerReader, ReadAnswer
from llmgate.bench.client.share import LoadJob, ShareOutcome
from llmgate.bench.client.workers import Workers, jobs_for, processes_for
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import Workload, chat_workload
from llmgate.errors import BenchError
from llmgate.generate.client import Endpoint
from llmgate.record.schema import Message
from llmgate.record.serving.trace import Arrivals, RequestTrace, ServingTrace

CONSTANT = Arrivals(kind="constant", rate=100)


def workload(count: int = 12, *, tokens: int = 4) -> Workload:
    prompts = [[Message(role="user", content=f"question number {i} of some length")] for i in range(count)]
    return chat_workload(prompts, name="faq", model="m", max_tokens=tokens, ignore_eos=True)


def measure(server: FakeServer, *, api_key: str | None = None, **changes: Any) -> ServingTrace:
    load = Load(**{"concurrency": 6, "requests": 40, "warmup": 0, "timeout_s": 20.0, "processes": 2, **changes})
    endpoint = Endpoint(url=server.url, model="m", api_key=api_key)
    calls: list[tuple[int, int]] = []
    trace = asyncio.run(
        measure_serving(workload(), endpoint, load, on_progress=lambda ended, planned: calls.append((ended, planned)))
    )
    assert calls == sorted(calls)
    assert {planned for _, planned in calls} <= {load.requests}
    return trace


@pytest.mark.parametrize(
    ("load", "cores", "processes"),
    [
        (Load(requests=1000, concurrency=1), 64, 1),
        (Load(requests=1000, concurrency=128), 64, 1),
        (Load(requests=1000, concurrency=129), 64, 2),
        (Load(requests=5000, concurrency=512), 64, 4),
        (Load(requests=5000, concurrency=512), 2, 1),
        (Load(requests=5000, concurrency=512), 1, 1),
        (Load(requests=5000, concurrency=512), 3, 2),
        (Load(requests=2, concurrency=512), 64, 2),
        (Load(requests=5000, concurrency=512, processes=7), 2, 7),
        (Load(requests=900, concurrency=0, arrivals=CONSTANT, due_s=tuple(k / 300 for k in range(900))), 64, 2),
        (Load(requests=900, concurrency=0, arrivals=CONSTANT, due_s=tuple(k / 100 for k in range(900))), 64, 1),
        (Load(requests=900, concurrency=64, arrivals=CONSTANT, due_s=tuple(k / 900 for k in range(900))), 64, 1),
    ],
)
def test_how_many_processes(load: Load, cores: int, processes: int) -> None:
    assert processes_for(load, cores=cores) == processes


def job(**changes: Any) -> LoadJob:
    values: dict[str, Any] = {
        "origin": HttpOrigin.parse("http://127.0.0.1:1"),
        "reader": AnswerReader(model="m"),
        "concurrency": 8,
        "due": None,
        "warm_up": tuple(b"%d" % k for k in range(5)),
        "warm_up_concurrency": 8,
        "timeout_s": 1.0,
    }
    return LoadJob(**values | changes)


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_a_divided_job_is_the_whole_job(processes: int) -> None:
    parts = jobs_for(job(), processes)
    assert sum(part.concurrency for part in parts) == 8
    assert max(part.concurrency for part in parts) - min(part.concurrency for part in parts) <= 1
    assert sorted(body for part in parts for body in part.warm_up) == [b"%d" % k for k in range(5)]
    due = tuple((k, k / 10) for k in range(20))
    open_parts = jobs_for(job(due=due, concurrency=0), processes)
    assert sorted(one for part in open_parts for one in part.due or ()) == list(due)
    assert {part.concurrency for part in open_parts} == {0}


def outcome(*indices: int, **changes: Any) -> ShareOutcome:
    answers = tuple(
        ReadAnswer(
            trace=RequestTrace(index=k, queued_s=10.0, sent_s=11.0 + k, token_events_s=(12.0 + k,), end_s=13.0 + k),
            reads=100,
            unstamped=1,
        )
        for k in indices
    )
    values: dict[str, Any] = {
        "start_s": 10.0,
        "end_s": 20.0,
        "cpu_s": 1.0,
        "lag_s": (0.1,),
        "blocked_s": 0.2,
        "resent": 1,
    }
    return ShareOutcome(answers=answers, **values | changes)


def test_what_several_processes_saw_is_one_trace_and_the_worst_of_each() -> None:
    trace = _trace(
        [outcome(0, 3, lag_s=(0.3, 0.01)), outcome(2, 1, end_s=21.0, cpu_s=2.5, lag_s=(0.2,) * 20, blocked_s=0.7)], 4
    )
    assert [request.index for request in trace.requests] == [0, 1, 2, 3]
    assert [request.sent_s for request in trace.requests] == [1.0, 2.0, 3.0, 4.0]
    assert (trace.duration_s, trace.client_cpu_s, trace.client_blocked_s) == (11.0, 2.5, 0.7)
    assert trace.client_lag_s == (0.3, *(0.2,) * 19)
    assert (trace.client_processes, trace.client_resent) == (2, 2)
    assert trace.client_version == CLIENT_VERSION


def test_times_that_are_not_the_kernels_make_another_client() -> None:
    late = outcome(0, 1)
    late = replace(late, answers=tuple(replace(answer, unstamped=2) for answer in late.answers))
    assert _trace([late], 2).client_version == f"{CLIENT_VERSION}, no kernel time stamps"


@pytest.mark.parametrize("indices", [(0, 1), (0, 1, 1), (0, 1, 2, 2), (0, 1, 3)])
def test_requests_without_a_trace_or_with_two_are_no_measurement(indices: tuple[int, ...]) -> None:
    with pytest.raises(BenchError, match="traces came of 3 requests"):
        _trace([outcome(*indices)], 3)


def test_bodies_in_a_file() -> None:
    bodies = (b"one", b"", b"three")
    file, ends = write_bodies(bodies)
    with file:
        mapped = MappedBodies(file.fileno(), ends)
        assert (len(mapped), tuple(mapped), mapped[1:]) == (3, bodies, [b"", b"three"])


def test_each_ticket_is_drawn_once_by_whoever_comes() -> None:
    with write_tickets(5) as file:
        first, second = shared_tickets(file.fileno()), shared_tickets(os.dup(file.fileno()))
        assert [first(), second(), second(), first(), second(), first(), second()] == [0, 1, 2, 3, 4, None, None]


def test_two_processes_hold_the_concurrency_and_send_every_request_once() -> None:
    with FakeServer(lockstep=(6, 40), api_key="s3cret") as server:
        trace = measure(server, api_key="s3cret")
    assert server.peak == 6
    assert trace.client_processes == 2
    assert {request.error for request in trace.requests} == {None}
    assert [request.index for request in trace.requests] == list(range(40))
    assert len({seen.body for seen in server.seen}) == 40
    assert server.connections == 6 + 2, "one per slot, one for each look at the metrics"
    for request in trace.requests:
        assert 0 <= request.queued_s <= request.sent_s < request.token_events_s[0] <= request.end_s <= trace.duration_s


def test_times_of_two_processes_are_those_of_one_clock() -> None:
    with FakeServer() as server:
        trace = measure(server, concurrency=2, requests=20)
    read_s = {seen.json["messages"][0]["content"]: seen.time_s for seen in server.seen}
    start_s = [read_s[f"[{trace.salt}.{k // 12}] question number {k % 12} of some length"] for k in range(20)]
    for a, b in zip(trace.requests, trace.requests[1:], strict=False):
        sent, read = b.sent_s - a.sent_s, start_s[b.index] - start_s[a.index]
        assert sent == pytest.approx(read, abs=1.0)
    first = min(trace.requests, key=lambda request: request.sent_s)
    for request in trace.requests:
        # Sent before it was read, and answered after, whichever process did it.
        assert request.sent_s - first.sent_s <= start_s[request.index] - min(start_s) + 0.5


def test_arrivals_are_divided() -> None:
    due = tuple(k / 100 for k in range(20))
    with FakeServer(lockstep=(20, 20)) as server:
        trace = measure(server, requests=20, concurrency=0, arrivals=CONSTANT, due_s=due)
    assert server.peak == 20
    for request, due_s in zip(trace.requests, due, strict=True):
        assert request.queued_s == pytest.approx(due_s, abs=1e-9)
        assert request.sent_s >= request.queued_s
        assert request.error is None


def test_a_server_that_cannot_be_reached() -> None:
    with FakeServer() as server:
        pass
    with pytest.raises(BenchError, match="cannot be reached") as error:
        measure(server)
    assert server.url in str(error.value)


async def asked(server: FakeServer, times: int) -> None:
    while len(server.seen) < times:  # noqa: ASYNC110 - the server is in another thread
        await asyncio.sleep(0.01)


def test_a_process_that_is_killed_ends_the_measurement_with_a_reason_and_leaves_none() -> None:
    async def kill_one() -> None:
        with FakeServer(ttft_s=5.0) as server:
            origin = HttpOrigin.parse(server.url)
            bodies = workload().take(8)
            workers = Workers(jobs_for(job(origin=origin, warm_up=(), concurrency=2, timeout_s=20), 2), bodies)
            try:
                await workers.prepare()
                running = asyncio.ensure_future(workers.run())
                await asked(server, 2)
                os.kill(workers._processes[1].pid, signal.SIGKILL)
                await running
            finally:
                await workers.close()
                assert {process.returncode for process in workers._processes} == {-signal.SIGKILL}

    with pytest.raises(BenchError, match="ended with status -9"):
        asyncio.run(kill_one())


def test_a_process_that_fails_says_its_last_words() -> None:
    broken = replace(job(), origin="no origin")  # type: ignore[arg-type]

    async def start() -> None:
        workers = Workers([broken], workload().take(2))
        try:
            await workers.prepare()
        finally:
            await workers.close()

    with pytest.raises(BenchError, match="ended with status 1 .*AttributeError"):
        asyncio.run(start())


def test_workers_end_when_nobody_is_left_to_tell() -> None:
    async def abandon() -> int:
        with FakeServer(ttft_s=20.0) as server:
            origin = HttpOrigin.parse(server.url)
            workers = Workers([job(origin=origin, warm_up=(), concurrency=1, timeout_s=30)], workload().take(2))
            try:
                await workers.prepare()
                running = asyncio.ensure_future(workers.run())
                await asked(server, 1)
                process = workers._processes[0]
                assert process.stdin is not None
                process.stdin.close()  # as when this process had been killed
                begun = time.monotonic()
                with pytest.raises(BenchError, match="ended with status 1"):
                    await running
                return round(time.monotonic() - begun)
            finally:
                await workers.close()

    assert asyncio.run(abandon()) < 15
