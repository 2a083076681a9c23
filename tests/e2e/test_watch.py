"""What is observed while the installed vLLM is measured."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from llmgate.bench.client.load import measure_serving
from llmgate.bench.watch.listener import find_server
from llmgate.bench.watch.machine import MachineWatch
from llmgate.bench.watch.server import ServerWatch
from llmgate.bench.watch.watches import watches_for
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import chat_workload
from llmgate.generate.client import Endpoint
from llmgate.generate.vllm import supervisor

if TYPE_CHECKING:
    from support.servers import OwnedServer

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

GAUGES = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:num_requests_waiting_by_reason{capacity}",
    "vllm:num_requests_waiting_by_reason{deferred}",
    "vllm:kv_cache_usage_perc",
}
COUNTERS = {
    "vllm:num_preemptions",
    "vllm:prefix_cache_queries",
    "vllm:prefix_cache_hits",
    "vllm:prompt_tokens",
    "vllm:generation_tokens",
    "vllm:request_success",
    "vllm:admission_rejections",
}
HISTOGRAMS = {
    "vllm:time_to_first_token_seconds",
    "vllm:inter_token_latency_seconds",
    "vllm:request_time_per_output_token_seconds",
    "vllm:e2e_request_latency_seconds",
    "vllm:request_queue_time_seconds",
}


def test_a_measurement_of_vllm(real_server: OwnedServer) -> None:
    endpoint = Endpoint(url=f"{real_server.url}/v1", model="real")
    prompts = [({"role": "user", "content": f"Tell me about the number {number}."},) for number in range(8)]
    workload = chat_workload(prompts, name="numbers", model="real", max_tokens=24, ignore_eos=True)
    load = Load(requests=8, concurrency=4, warmup=2)
    watches = watches_for(endpoint, server_pid=real_server.pid)
    trace = asyncio.run(measure_serving(workload, endpoint, load, watches=watches))
    assert [watch.note for watch in watches if isinstance(watch, ServerWatch | MachineWatch)] == ["", ""]
    metrics = trace.metrics
    assert metrics is not None
    assert set(metrics.gauges) >= GAUGES
    assert set(metrics.counters) >= COUNTERS
    assert set(metrics.histograms) >= HISTOGRAMS
    assert metrics.counters["vllm:generation_tokens"] == 8 * 24
    assert metrics.counters["vllm:request_success"] == 8
    assert 0 < metrics.gauges["vllm:num_requests_running"].max <= 4
    assert all(histogram.buckets for histogram in metrics.histograms.values())
    ttft = metrics.histograms["vllm:time_to_first_token_seconds"]
    assert trace.server_ttft is not None
    assert ttft.count == 8
    assert ttft.sum == pytest.approx(trace.server_ttft.sum_s)
    machine = trace.machine
    assert machine is not None
    assert machine.server_s is not None
    # The engine, which is a child of the process that is known, did the work.
    assert machine.server_s > 4 * machine.client_s
    assert machine.busy_s >= 0.8 * machine.server_s


def test_the_server_is_found_where_llmgate_does_not_own_it(real_server: OwnedServer) -> None:
    found = find_server(f"{real_server.url}/v1")
    assert found == real_server.pid
    assert os.getsid(found) in {os.getsid(pid) for pid in supervisor.descendants(real_server.owner.pid)}
