"""All watches together, around a real measurement."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import fake_server
from support.fake_server import FakeServer

from llmgate.bench.client.load import measure_serving
from llmgate.bench.watch.devices import DeviceWatch
from llmgate.bench.watch.listener import find_server
from llmgate.bench.watch.machine import MachineWatch
from llmgate.bench.watch.server import ServerWatch
from llmgate.bench.watch.watches import watches_for
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import chat_workload
from llmgate.gate.serving.contention import contention_note
from llmgate.generate.client import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.serving.trace import ServingTrace


def measured(endpoint: Endpoint, *, server_pid: int | None) -> ServingTrace:
    workload = chat_workload(
        [({"role": "user", "content": "one two three"},)], name="faq", model="fake-model", max_tokens=8, ignore_eos=True
    )
    watches = watches_for(endpoint, server_pid=server_pid)
    return asyncio.run(measure_serving(workload, endpoint, Load(requests=8, concurrency=4), watches=watches))


@pytest.fixture
def server() -> Iterator[tuple[int, Endpoint]]:
    """A server in a process of its own."""
    command = [sys.executable, fake_server.__file__, "--port", "0", "--ttft-ms", "20", "--itl-ms", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
            yield process.pid, Endpoint(url=f"{url}/v1", model="fake-model")
        finally:
            process.kill()


def test_a_server_of_its_own_is_found_and_is_no_child_of_the_client(server: tuple[int, Endpoint]) -> None:
    pid, endpoint = server
    assert find_server(endpoint.url) == pid
    traces = [measured(endpoint, server_pid=given) for given in (pid, None)]
    for trace in traces:
        assert trace.machine is not None
        assert trace.machine.server_s is not None
        assert trace.machine.busy_s >= trace.machine.client_s + trace.machine.server_s
        assert trace.machine.duration_s >= trace.duration_s
        assert trace.metrics is not None
        assert trace.metrics.gauges["vllm:num_requests_running"].max == 4
        assert trace.metrics.counters["vllm:generation_tokens"] == 64
        assert contention_note(trace) is None


def test_a_server_in_this_very_process_cannot_be_told_from_the_client() -> None:
    with FakeServer() as server:
        endpoint = Endpoint(url=f"{server.url}/v1", model="fake-model")
        assert find_server(endpoint.url) is None
        trace = measured(endpoint, server_pid=None)
    assert trace.machine is not None
    assert trace.machine.server_s is None
    assert "cannot be seen" in str(contention_note(trace))


def test_the_machine_is_looked_at_last_and_first() -> None:
    watches = watches_for(Endpoint(url="http://192.0.2.1:9/v1", model="m"), server_pid=None)
    assert [type(watch) for watch in watches] == [DeviceWatch, ServerWatch, MachineWatch]
