"""What the server says about a measurement."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer
from support.servers import wait_until

from llmgate.bench.client.load import measure_serving
from llmgate.bench.watch.server import ServerWatch
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import chat_workload
from llmgate.generate.client import Endpoint
from llmgate.record.serving.trace import ServerHistogram, ServingTrace

if TYPE_CHECKING:
    from collections.abc import Callable

TRACE = ServingTrace(
    name="a",
    workload="w",
    workload_digest="0" * 64,
    concurrency=1,
    requests=(),
    duration_s=1.0,
    client_cpu_s=0.0,
    client_version="test",
)
RUNNING = "vllm:num_requests_running"
TTFT = "vllm:time_to_first_token_seconds"


class Told(FakeServer):
    """A server with a page of metrics of its own."""

    page: Callable[[], str] | None = None

    def metrics(self) -> bytes:
        return super().metrics() if self.page is None else self.page().encode()


def endpoint(server: FakeServer, **changes: Any) -> Endpoint:
    return Endpoint(**{"url": f"{server.url}/v1", "model": "fake-model", **changes})


def watched(watch: ServerWatch, meanwhile: Callable[[], object] = lambda: None) -> ServingTrace:
    async def measure() -> ServingTrace:
        await watch.start()
        await asyncio.to_thread(meanwhile)
        await watch.stop()
        return watch.told(TRACE)

    return asyncio.run(measure())


def test_a_measurement() -> None:
    """Warm-up does not count, and the histogram is the one that the client takes itself."""
    workload = chat_workload(
        [({"role": "user", "content": "one two three"},)], name="faq", model="fake-model", max_tokens=3, ignore_eos=True
    )
    with FakeServer(ttft_s=0.05, itl_s=0.1) as server:
        watch = ServerWatch(endpoint(server), period_s=0.02)
        load = Load(requests=6, concurrency=2, warmup=3)
        trace = asyncio.run(measure_serving(workload, endpoint(server), load, watches=(watch,)))
    assert watch.note == ""
    assert trace.metrics is not None
    assert trace.metrics.counters == {"vllm:generation_tokens": 18.0}
    histogram = trace.metrics.histograms[TTFT]
    assert trace.server_ttft == ServerHistogram(count=6, sum_s=histogram.sum)
    assert (histogram.count, histogram.buckets[-1]) == (6, (math.inf, 6))
    assert histogram.buckets == tuple(sorted(histogram.buckets))
    running = trace.metrics.gauges[RUNNING]
    assert (running.max, 0 < running.mean <= 2, running.samples >= 3) == (2.0, True, True)


def test_the_histogram_stands_in_where_the_client_took_none() -> None:
    server = Told()
    with server:
        count = 5

        def page() -> str:
            return f"{TTFT}_count {count}\n{TTFT}_sum {count / 10}\n"

        server.page = page

        def work() -> None:
            nonlocal count
            count = 9

        trace = watched(ServerWatch(endpoint(server)), work)
    assert trace.server_ttft is not None
    assert trace.server_ttft.count == 4
    assert trace.server_ttft.sum_s == pytest.approx(0.4)


def test_a_server_that_started_again_has_gauges_and_no_growth() -> None:
    server = Told()
    with server:
        started = 100.0
        server.page = lambda: f"process_start_time_seconds {started}\n{RUNNING} 2\n{TTFT}_count 5\n{TTFT}_sum 1\n"
        watch = ServerWatch(endpoint(server), period_s=0.02)

        def work() -> None:
            nonlocal started
            wait_until(lambda: False, timeout_s=0.3)
            started = 200.0

        trace = watched(watch, work)
    assert trace.metrics is not None
    assert (trace.metrics.counters, trace.metrics.histograms, trace.server_ttft) == ({}, {}, None)
    assert trace.metrics.gauges[RUNNING].max == 2.0
    assert "started again" in watch.note


@pytest.mark.parametrize(
    ("page", "note"),
    [
        ("up 1\n", "no metrics with names that are known here"),
        ("<html>no</html>", "no sample of the Prometheus text format"),
        ("", "no metrics with names that are known here"),
    ],
)
def test_pages_that_say_nothing(page: str, note: str) -> None:
    server = Told()
    with server:
        server.page = lambda: page
        watch = ServerWatch(endpoint(server))
        assert watched(watch) == TRACE
    assert note in watch.note


def test_a_server_without_such_a_page() -> None:
    with FakeServer() as server:
        watch = ServerWatch(endpoint(server, url=f"{server.url}/elsewhere/v1"))
        assert watched(watch) == TRACE
        assert "status 404" in watch.note
        gone = endpoint(server)
    watch = ServerWatch(gone)
    assert watched(watch) == TRACE
    assert "cannot be read" in watch.note


def test_the_server_dies_meanwhile() -> None:
    with FakeServer() as server:
        watch = ServerWatch(endpoint(server))
        assert watched(watch, server.die) == TRACE
    assert "cannot be read" in watch.note


def test_a_key_goes_to_the_server_and_into_no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    commands: list[Any] = []
    popen = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        commands.append((command, options["env"]))
        return popen(command, **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setenv("LLMGATE_API_KEY", "sk-very-secret")
    with FakeServer() as server:
        watched(ServerWatch(endpoint(server, api_key="sk-very-secret")))
    assert len(commands) == 1
    assert "sk-very-secret" not in repr(commands)
