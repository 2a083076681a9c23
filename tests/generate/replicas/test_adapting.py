"""The number in flight follows real servers of known room."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer, Fault

from llmgate.generate.client import ChatClient, Endpoint, RetryPolicy
from llmgate.generate.exposition import read_samples
from llmgate.generate.pool.pace import LOOK_S, ServerLoad
from llmgate.generate.pool.slots import Slots
from llmgate.generate.replicas.adapting import Adapting
from llmgate.generate.replicas.looks import LoadMeter, read_load
from llmgate.generate.replicas.replicas import Replicas
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.record.manifest import InFlight

VLLM = """\
vllm:num_requests_running{engine="0",model_name="m"} 12.0
vllm:num_requests_running{engine="1",model_name="m"} 8.0
vllm:num_requests_waiting{engine="0",model_name="m"} 5.0
vllm:num_requests_waiting{engine="1",model_name="m"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="deferred"} 4.0
vllm:num_preemptions_total{engine="0",model_name="m"} 3.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
"""


def test_the_load_that_vllm_tells() -> None:
    assert read_load(read_samples(VLLM)) == ServerLoad(running=20, waiting=1, preemptions=3, cache=0.75)


def test_without_reasons_all_that_wait_count() -> None:
    page = "".join(line + "\n" for line in VLLM.splitlines() if "by_reason" not in line)
    load = read_load(read_samples(page))
    assert load is not None
    assert load.waiting == 5


@pytest.mark.parametrize(
    "page",
    [
        "",
        "sglang:num_running_reqs 3\n",
        "vllm:num_requests_running 3\n",
        "vllm:num_requests_running NaN\nvllm:num_requests_waiting 0\n",
        "vllm:num_requests_running -1\nvllm:num_requests_waiting 0\n",
        "vllm:num_requests_running 1\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc +Inf\n",
    ],
)
def test_what_is_no_load_is_none(page: str) -> None:
    assert read_load(read_samples(page)) is None


def test_a_server_that_tells_all_or_nothing_is_asked_for_all_half_as_often() -> None:
    async def run(endpoint: Endpoint) -> list[ServerLoad | None]:
        meter = LoadMeter()
        return [await meter(endpoint) for _ in range(5)]

    with FakeServer() as server:
        seen = asyncio.run(run(Endpoint(url=f"{server.url}/v1", model="fake-model")))
    assert [load is not None for load in seen] == [True, False, True, False, True]
    assert seen[0] == ServerLoad(running=0, waiting=0)


def test_a_server_that_is_gone_tells_nothing() -> None:
    assert asyncio.run(LoadMeter()(Endpoint(url="http://127.0.0.1:9/v1", model="m"))) is None


def follow(
    server: FakeServer, count: int, *, most: int = 128, start: int = 4, metrics: bool = True
) -> tuple[InFlight, int]:
    async def run() -> tuple[InFlight, int]:
        slots = Slots(start)
        adapting = Adapting(slots, most=most, load=LoadMeter())

        def connect(endpoint: Endpoint, elsewhere: Callable[[], bool]) -> ChatClient:
            return ChatClient(endpoint, concurrency=1000, retry=RetryPolicy(base_s=0.01), elsewhere=elsewhere)

        endpoint = Endpoint(url=f"{server.url}/v1", model="fake-model")
        async with Replicas([endpoint], connect, slots, attempts=4, noted=adapting.noted) as replicas:
            following = asyncio.create_task(adapting.follow(replicas.places, metrics=metrics))
            body = {"messages": [{"role": "user", "content": "hi"}]}
            answers = await asyncio.gather(*(replicas.ask(body) for _ in range(count)))
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        return adapting.came_to(), sum(isinstance(answer, Generation) for answer in answers)

    return asyncio.run(run())


def test_by_metrics_it_grows_to_the_room_that_there_is() -> None:
    # Doubled at each second look: 4, 8, 16, 32 within two seconds; with room for 24 something then waits.
    with FakeServer(ttft_s=0.3, slots=24) as server:
        came, good = follow(server, 400)
    assert good == 400
    assert came.by == "metrics"
    assert 16 <= came.limit <= 40
    assert server.peak == 24


def test_by_answers_it_grows_where_there_are_no_metrics() -> None:
    with FakeServer(ttft_s=0.05) as server:
        came, good = follow(server, 600, start=2, most=64, metrics=False)
    assert good == 600
    assert came.by == "answers"
    assert came.most >= 16


def test_refusals_for_the_rate_halve_it() -> None:
    faults = dict.fromkeys(range(1, 9), Fault.RATE_LIMITED)
    with FakeServer(ttft_s=0.01, faults=faults, retry_after="1") as server:
        came, good = follow(server, 20, start=16, most=16, metrics=False)
    assert good == 20
    assert came.limit <= 8


def test_failures_are_taken_into_account_by_when_they_were_sent() -> None:
    now = 100.0
    slots = Slots(32)
    never: Any = None
    adapting = Adapting(slots, most=64, load=never, clock=lambda: now)
    timeout = Failure(kind=FailureKind.TIMEOUT, message="no answer")
    adapting.noted(timeout, 99.0)
    adapting.noted(timeout, 99.5)
    assert slots.limit == 16
    adapting.noted(Failure(kind=FailureKind.HTTP, message="HTTP 400"), 100.5)
    assert slots.limit == 16


def test_looks_are_a_few_a_second() -> None:
    assert 0.1 <= LOOK_S <= 0.5
