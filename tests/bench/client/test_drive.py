"""When requests leave, over which connection, and what is sent again. No test here depends on how fast anything is."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer, Fault

from llmgate.bench.client.load import measure_serving
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import Workload, chat_workload, digest_bodies
from llmgate.errors import UsageError
from llmgate.gate.serving.summary import summarise
from llmgate.generate.client import Endpoint
from llmgate.record.schema import Message
from llmgate.record.serving.trace import Arrivals, ServingTrace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONSTANT = Arrivals(kind="constant", rate=100)


def workload(count: int = 12, *, tokens: int = 4) -> Workload:
    prompts = [[Message(role="user", content=f"question number {i} of some length")] for i in range(count)]
    return chat_workload(prompts, name="faq", model="m", max_tokens=tokens, ignore_eos=True)


def measure(url: str, *, salt: str | None = None, sent: Workload | None = None, **changes: Any) -> ServingTrace:
    load = Load(**{"concurrency": 2, "requests": 8, "warmup": 0, "timeout_s": 20.0, **changes})
    return asyncio.run(measure_serving(sent or workload(), Endpoint(url=url, model="m"), load, salt=salt))


def errors(trace: ServingTrace) -> list[str]:
    return [request.error for request in trace.requests if request.error is not None]


# Connections that are announced to be kept.


@pytest.mark.parametrize("concurrency", [1, 4, 16])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_that_closes_after_each_stream_answers_every_request_once(concurrency: int, processes: int) -> None:
    if processes > concurrency:
        pytest.skip("one slot is one process's")
    with FakeServer(hangs_up=True, ttft_s=0.005, itl_s=0.001) as server:
        trace = measure(server.url, requests=48, concurrency=concurrency, warmup=None, processes=processes)
    assert errors(trace) == []
    assert len(server.seen) == 48 + concurrency, "the warm-up, and each request once: a closed connection reads nothing"
    assert max(Counter(seen.body for seen in server.seen).values()) == 1
    for request in trace.requests:
        assert request.queued_s <= request.sent_s < request.token_events_s[0]


class Scripted:
    """A server that does, per connection, what it is told: answers, or ends without a byte, or after some."""

    def __init__(self, script: Callable[[int, int], bytes | None]) -> None:
        self.script = script
        self.requests: list[tuple[int, int]] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, self.connections = self.connections, self.connections + 1
        number = 0
        while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
            length = next(
                (int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            await reader.readexactly(length)
            if head.startswith(b"GET"):
                writer.write(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
                break
            self.requests.append((connection, number))
            answer = self.script(connection, number)
            number += 1
            writer.write(answer or b"")
            if answer is None or not answer.endswith(b"0\r\n\r\n"):
                break
        writer.close()

    def measured(self, **changes: Any) -> ServingTrace:
        async def run() -> ServingTrace:
            async with await asyncio.start_server(self._guarded, "127.0.0.1", 0) as server:
                url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
                load = Load(**{"concurrency": 1, "requests": 4, "warmup": 0, "timeout_s": 20.0, **changes})
                try:
                    return await measure_serving(workload(), Endpoint(url=url, model="m"), load)
                finally:
                    for writer in self.writers:
                        writer.close()
                    await asyncio.sleep(0.05)

        return asyncio.run(run())

    async def _guarded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self.serve(reader, writer)


def stream(text: str = "yes") -> bytes:
    event = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
    usage = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    body = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in (event, usage)) + b"data: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def test_a_kept_connection_that_ends_without_a_byte_costs_one_sending_more_and_shows() -> None:
    server = Scripted(lambda connection, number: stream() if connection or not number else None)
    trace = server.measured()
    assert errors(trace) == []
    assert trace.client_resent == 1
    second = trace.requests[1]
    assert second.sent_s > second.queued_s == trace.requests[0].end_s
    assert any("sent again" in note for note in summarise(trace).notes)
    # Connection 0 is the slot's, 1 and the last one are looks at the metrics.
    assert server.requests == [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)]


def test_a_fresh_connection_that_ends_without_a_byte_is_an_error_and_nothing_is_sent_again() -> None:
    server = Scripted(lambda _connection, _number: None)
    trace = server.measured(requests=3)
    assert errors(trace) == ["the connection closed after 0 bytes"] * 3
    assert (len(server.requests), trace.client_resent) == (3, 0)


def test_what_was_sent_again_is_not_sent_a_third_time() -> None:
    server = Scripted(lambda connection, number: stream() if (connection, number) == (0, 0) else None)
    trace = server.measured(requests=2)
    assert errors(trace) == ["the connection closed after 0 bytes"]
    assert (len(server.requests), trace.client_resent) == (3, 1)


def test_a_request_that_got_a_byte_is_never_sent_again() -> None:
    server = Scripted(lambda _connection, number: b"HT" if number else stream())
    trace = server.measured(requests=4)
    assert errors(trace) == ["the connection closed after 2 bytes"] * 2
    assert (len(server.requests), trace.client_resent) == (4, 0)


def test_a_server_that_is_gone_when_a_request_would_be_sent_again() -> None:
    with FakeServer(die_after=3) as server:
        trace = measure(server.url, requests=12, concurrency=1)
    assert len(errors(trace)) == 9
    assert errors(trace)[0].startswith("not sent again: the server cannot be reached")
    assert errors(trace)[1].startswith("not sent: the server cannot be reached")


# Open loops.


def test_requests_leave_at_their_times_although_no_answer_has_come() -> None:
    due = tuple(k / 100 for k in range(20))
    with FakeServer(lockstep=(20, 20)) as server:  # nobody is answered before all have come
        trace = measure(server.url, requests=20, concurrency=0, arrivals=CONSTANT, due_s=due)
    assert errors(trace) == []
    assert server.peak == 20
    assert (trace.concurrency, trace.arrivals) == (0, CONSTANT)
    for request, due_s in zip(trace.requests, due, strict=True):
        assert request.queued_s == pytest.approx(due_s, abs=1e-9)
        assert request.sent_s >= request.queued_s, "never early"


def test_a_limit_of_an_open_loop_makes_requests_wait_and_shows_it() -> None:
    with FakeServer(ttft_s=0.02) as server:
        trace = measure(server.url, requests=9, concurrency=3, arrivals=CONSTANT, due_s=(0.0,) * 9)
    assert errors(trace) == []
    assert server.peak == 3
    waits = sorted(request.sent_s - request.queued_s for request in trace.requests)
    assert waits[3] >= 0.02, "six of nine waited for an answer to others"
    assert {request.queued_s for request in trace.requests} == {0.0}


def test_a_replay_of_thousands_of_requests() -> None:
    due = tuple(sorted((k * k) % 2000 / 4000 for k in range(2000)))
    with FakeServer() as server:
        trace = measure(server.url, sent=workload(tokens=1), requests=2000, concurrency=0, arrivals=CONSTANT, due_s=due)
    assert errors(trace) == []
    assert [request.index for request in trace.requests] == list(range(2000))
    assert len(server.seen) == 2000
    assert all(a.queued_s <= b.queued_s for a, b in pairwise(trace.requests))


def test_an_open_loop_survives_connections_that_are_not_kept() -> None:
    due = tuple(k / 200 for k in range(40))
    with FakeServer(hangs_up=True, ttft_s=0.005) as server:
        trace = measure(server.url, requests=40, concurrency=0, arrivals=CONSTANT, due_s=due)
    assert errors(trace) == []
    assert len(server.seen) == 40


def test_an_open_loop_records_what_could_not_be_sent() -> None:
    with FakeServer(die_after=5) as server:
        due = tuple(k / 100 for k in range(30))
        trace = measure(server.url, requests=30, concurrency=0, arrivals=CONSTANT, due_s=due)
    assert len(errors(trace)) >= 25
    assert errors(trace)[-1].startswith("not sent: the server cannot be reached")
    assert summarise(trace).invalid


def test_the_warm_up_of_an_open_loop() -> None:
    with FakeServer() as server:
        measure(server.url, requests=20, concurrency=0, arrivals=CONSTANT, due_s=(0.0,) * 20, warmup=None)
        assert len(server.seen) == 8 + 20


# Prompts that nobody had asked before.


def contents(server: FakeServer) -> list[str]:
    return [seen.json["messages"][0]["content"] for seen in server.seen]


def test_no_prompt_is_sent_twice_within_a_measurement_nor_in_two() -> None:
    with FakeServer() as server:
        first = measure(server.url, sent=workload(3), requests=10, warmup=None)
        second = measure(server.url, sent=workload(3), requests=10, warmup=None)
    assert len(set(contents(server))) == 2 * (10 + 2)
    assert first.salt != second.salt
    assert first.workload_digest == second.workload_digest == digest_bodies(workload(3).take(10))


def test_two_measurements_with_one_salt_send_the_same_bytes() -> None:
    with FakeServer() as server:
        for _ in range(2):
            measure(server.url, sent=workload(3), requests=10, concurrency=1, salt="pair-1")
    sent = contents(server)
    assert sent[:10] == sent[10:]
    assert sent[0] == "[pair-1.0] question number 0 of some length"
    assert sent[9] == "[pair-1.3] question number 0 of some length"


def answering(replies: Mapping[int, str]) -> Scripted:
    """Every answer carries the id that `replies` has for its number, in order of arrival."""

    def script(connection: int, number: int) -> bytes:
        body = stream().replace(
            b'"choices": [{', b'"id": "%b", "choices": [{' % replies[len(server.requests) - 1].encode()
        )
        data = body.partition(b"\r\n\r\n")[2]
        inner = data[data.index(b"\r\n") + 2 : -len(b"\r\n0\r\n\r\n")]
        return body.partition(b"\r\n\r\n")[0] + b"\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)

    server = Scripted(script)
    return server


def test_a_reply_that_came_before_is_out_of_a_cache_and_makes_the_measurement_invalid() -> None:
    ids = {0: "chatcmpl-0000000000", 1: "chatcmpl-1111111111", 2: "chatcmpl-0000000000", 3: "chatcmpl-3333333333"}
    trace = answering(ids).measured()
    cached = [request.answered_by.cached if request.answered_by else "" for request in trace.requests]
    assert cached == ["", "", "one reply id came twice", ""]
    assert any("out of a cache" in reason for reason in summarise(trace).invalid)


def test_short_ids_may_come_twice() -> None:
    trace = answering(dict.fromkeys(range(4), "chatcmpl-12")).measured()
    assert not any("cache" in reason for reason in summarise(trace).invalid)


# Numbers.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"processes": 0}, "processes is 0"),
        ({"processes": 3}, "cannot be divided among 3 processes"),
        (
            {"processes": 2, "arrivals": CONSTANT, "due_s": (0.0,) * 8},
            "cannot be divided among 2 processes",
        ),
    ],
)
def test_processes_that_the_load_cannot_be_divided_among(changes: dict[str, Any], message: str) -> None:
    with FakeServer() as server, pytest.raises(UsageError, match=message):
        measure(server.url, **changes)
    assert server.seen == []


def test_faults_of_an_open_loop_are_recorded() -> None:
    with FakeServer(faults={4: Fault.HTTP_500, 7: Fault.CUT}) as server:
        trace = measure(server.url, requests=12, concurrency=0, arrivals=CONSTANT, due_s=(0.0,) * 12)
    assert len(errors(trace)) == 2
    assert len(server.seen) == 12
