"""Several servers of one model: who is asked, who is taken out, and that no answer is lost or wrong by it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer, Fault, every
from support.stub import Asked, Reply, Stub
from support.virtual_time import run_virtually

from llmgate.errors import EndpointError
from llmgate.generate.client import ChatClient, ElsewhereError, Endpoint, RetryPolicy
from llmgate.generate.pool.slots import Slots
from llmgate.generate.replicas.looks import health_problem
from llmgate.generate.replicas.replicas import Replicas
from llmgate.generate.traffic import Traffic
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

FAST = RetryPolicy(attempts=4, base_s=0.01)
NOBODY = "http://127.0.0.1:9/v1"


def body(text: str = "hi") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0}


def of(*servers: FakeServer | str) -> list[Endpoint]:
    urls = [server if isinstance(server, str) else f"{server.url}/v1" for server in servers]
    return [Endpoint(url=url, model="fake-model") for url in urls]


def client(endpoint: Endpoint, elsewhere: Callable[[], bool], *, retry: RetryPolicy = FAST) -> ChatClient:
    return ChatClient(endpoint, concurrency=1000, retry=retry, elsewhere=elsewhere)


def ask_all(
    endpoints: Sequence[Endpoint],
    count: int,
    *,
    in_flight: int = 8,
    retry: RetryPolicy = FAST,
    during: Callable[[Replicas], Awaitable[None]] | None = None,
    **options: Any,
) -> tuple[list[Generation | Failure], Replicas]:
    async def run() -> tuple[list[Generation | Failure], Replicas]:
        made = partial(client, retry=retry)
        async with Replicas(endpoints, made, Slots(in_flight), attempts=retry.attempts, **options) as replicas:
            asking = [asyncio.create_task(replicas.ask(body(f"word {i}"))) for i in range(count)]
            if during is not None:
                await during(replicas)
            return list(await asyncio.gather(*asking)), replicas

    return asyncio.run(run())


def all_right(answers: list[Generation | Failure]) -> bool:
    return [a.text if isinstance(a, Generation) else a.message for a in answers] == [
        f"word {i}" for i in range(len(answers))
    ]


# What goes wrong


def test_one_that_refuses_connections_is_taken_out_and_its_requests_are_answered_by_the_other() -> None:
    lines: list[str] = []
    with FakeServer() as server:
        answers, replicas = ask_all(of(NOBODY, server), 60, told=lines.append)
    assert all_right(answers)
    assert len(server.seen) == 60
    assert not replicas.places[0].healthy
    assert lines == [f"{NOBODY} is taken out: 3 attempts in a row failed; 1 of 2 go on"]
    assert replicas.counts()[1] == f"{server.url}/v1: 60 answers"


def test_one_that_dies_in_the_middle_loses_no_answer() -> None:
    with FakeServer(die_after=10, ttft_s=0.01) as dying, FakeServer(ttft_s=0.01) as living:
        answers, replicas = ask_all(of(dying, living), 100)
    assert all_right(answers)
    assert replicas.places[0].answers + replicas.places[1].answers == 100
    assert max(a.attempts for a in answers if isinstance(a, Generation)) > 1


def test_one_that_answers_500_is_taken_out_and_400_is_the_requests_own_fault() -> None:
    with FakeServer(faults=every(1, Fault.HTTP_500)) as broken, FakeServer() as good:
        answers, replicas = ask_all(of(broken, good), 40)
    assert all_right(answers)
    assert replicas.places[0].times_out >= 1  # it may have been brought back by its good health since
    with FakeServer(faults=every(1, Fault.HTTP_400)) as one, FakeServer(faults=every(1, Fault.HTTP_400)) as two:
        answers, replicas = ask_all(of(one, two), 10)
    assert all(isinstance(a, Failure) and a.kind is FailureKind.HTTP and a.attempts == 1 for a in answers)
    assert len(one.seen) + len(two.seen) == 10
    assert all(place.healthy for place in replicas.places)


def test_one_that_hangs_is_taken_out_by_its_health_and_what_it_held_is_asked_of_the_other() -> None:
    async def health(endpoint: Endpoint) -> str:
        return "no word of its health" if endpoint.url.startswith(hung.url) else ""

    with FakeServer(faults=every(1, Fault.SILENT)) as hung, FakeServer(ttft_s=0.01) as good:
        begun = time.monotonic()
        retry = RetryPolicy(attempts=4, base_s=0.01, timeout_s=600.0)
        answers, replicas = ask_all(of(hung, good), 30, health=health, retry=retry)
        assert time.monotonic() - begun < 30
    assert all_right(answers)
    assert replicas.places[0].answers == 0
    assert replicas.places[0].moved >= 1


def test_all_gone_ends_as_with_one_endpoint() -> None:
    answers, replicas = ask_all(of(NOBODY, "http://127.0.0.1:10/v1"), 200, in_flight=2)
    assert all(isinstance(a, Failure) and a.kind is FailureKind.CONNECTION for a in answers)
    assert replicas.gave_up
    assert sum("not asked" in a.message for a in answers if isinstance(a, Failure)) > 150


def test_a_key_that_one_refuses_takes_it_out_and_one_that_all_refuse_ends_the_run() -> None:
    with FakeServer(api_key="another") as closed, FakeServer() as open_one:
        answers, replicas = ask_all(of(closed, open_one), 20)
        assert all_right(answers)
        assert replicas.places[0].for_ever
        with pytest.raises(EndpointError, match="wants a key"):
            ask_all(of(closed), 5)
    with FakeServer(api_key="a") as one, FakeServer(api_key="b") as two, pytest.raises(ExceptionGroup) as ended:
        grouped(of(one, two))
    assert ended.group_contains(EndpointError, match="wants a key")


def grouped(endpoints: list[Endpoint]) -> None:
    async def run() -> None:
        async with (
            Replicas(endpoints, client, Slots(4), attempts=4) as replicas,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(10):
                group.create_task(replicas.ask(body()))

    asyncio.run(run())


# Whom a request goes to


def test_all_are_asked_and_the_slow_one_less() -> None:
    with FakeServer(ttft_s=0.2) as slow, FakeServer(ttft_s=0.01) as quick:
        answers, _ = ask_all(of(slow, quick), 100, in_flight=8)
    assert all_right(answers)
    assert 0 < len(slow.seen) < len(quick.seen)


def test_the_bound_is_that_of_all_together() -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(FakeServer(ttft_s=0.02)) for _ in range(3)]
        _, replicas = ask_all(of(*servers), 60, in_flight=6)
    assert replicas.slots.most == 6
    assert all(server.peak <= 4 for server in servers)


def test_one_that_is_refused_for_the_rate_is_not_a_failure_and_the_other_goes_on_at_once() -> None:
    first_ten = dict.fromkeys(range(1, 4), Fault.RATE_LIMITED)
    with FakeServer(faults=first_ten, retry_after="20") as busy, FakeServer(ttft_s=0.01) as free:
        begun = time.monotonic()
        answers, replicas = ask_all(of(busy, free), 40, in_flight=4)
        took_s = time.monotonic() - begun
    assert all_right(answers)
    assert replicas.places[0].healthy
    assert replicas.places[0].client.traffic.refusals >= 1
    assert took_s < 15.0, "nobody waited for the one that said to wait"


def test_where_all_are_refused_for_the_rate_they_are_waited_for() -> None:
    with (
        FakeServer(faults={1: Fault.RATE_LIMITED}, retry_after="1") as one,
        FakeServer(faults={1: Fault.RATE_LIMITED}, retry_after="1") as two,
    ):
        answers, _ = ask_all(of(one, two), 10, in_flight=4)
    assert all_right(answers)


# Coming back


class Scripted:
    """A server without a network, in virtual time."""

    def __init__(self, endpoint: Endpoint, elsewhere: Callable[[], bool]) -> None:
        self.endpoint, self.elsewhere = endpoint, elsewhere
        self.stopped: EndpointError | None = None
        self.gave_up = False
        self.retry = FAST
        self.traffic = Traffic(clock=asyncio.get_running_loop().time)
        self.up, self.takes_s, self.asked = True, 1.0, 0

    async def __aenter__(self) -> Scripted:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def ask(self, _: object, **__: object) -> Generation | Failure:
        self.asked += 1
        if not self.up:
            failure = Failure(kind=FailureKind.CONNECTION, message="refused")
            if self.elsewhere():
                raise ElsewhereError(failure, waits=False)
            return failure
        await asyncio.sleep(self.takes_s)
        return Generation(text=self.endpoint.url, latency_s=self.takes_s)


async def two(**options: Any) -> tuple[Replicas, list[Scripted]]:
    made: list[Scripted] = []

    def connect(endpoint: Endpoint, elsewhere: Callable[[], bool]) -> Any:
        made.append(Scripted(endpoint, elsewhere))
        return made[-1]

    endpoints = [Endpoint(url=url, model="m") for url in ("a", "b")]
    clock = asyncio.get_running_loop().time
    return Replicas(endpoints, connect, options.pop("slots", Slots(4)), attempts=4, clock=clock, **options), made


def healthy(replicas: Replicas) -> list[bool]:
    return [place.healthy for place in replicas.places]


async def who(replicas: Replicas) -> set[str]:
    """Who answers eight requests."""
    answers = await asyncio.gather(*(replicas.ask({}) for _ in range(8)))
    return {answer.text if isinstance(answer, Generation) else answer.message for answer in answers}


def test_one_that_is_healthy_again_is_asked_again_and_the_lost_time_is_told() -> None:
    async def run() -> None:
        lines: list[str] = []

        async def health(endpoint: Endpoint) -> str:
            return "" if made[endpoint.url == "b"].up else "it cannot be reached"

        replicas, made = await two(health=health, told=lines.append)
        async with replicas:
            made[0].up = False
            await asyncio.sleep(10)
            assert healthy(replicas) == [False, True]
            assert await who(replicas) == {"b"}
            made[0].up = True
            await asyncio.sleep(60)
            assert healthy(replicas) == [True, True]
            assert await who(replicas) == {"a", "b"}
        assert lines == [
            "a is taken out: it cannot be reached; 1 of 2 go on",
            "a is healthy again and is asked again",
        ]
        assert "out for" in replicas.counts()[0]

    run_virtually(run())


def test_one_bad_look_takes_nobody_out() -> None:
    async def run() -> None:
        looks = Counter[str]()

        async def health(endpoint: Endpoint) -> str:
            looks[endpoint.url] += 1
            return "busy" if looks[endpoint.url] % 2 else ""

        replicas, _ = await two(health=health)
        async with replicas:
            await asyncio.sleep(100)
            assert all(place.healthy for place in replicas.places)
        assert looks["a"] > 20

    run_virtually(run())


def test_one_that_comes_back_as_another_model_is_never_asked_again() -> None:
    async def run() -> None:
        lines: list[str] = []

        async def health(endpoint: Endpoint) -> str:
            return "" if made[endpoint.url == "b"].up else "gone"

        async def same(_: Endpoint) -> str:
            return "it serves another now"

        replicas, made = await two(health=health, same=same, told=lines.append)
        async with replicas:
            made[0].up = False
            await asyncio.sleep(10)
            made[0].up = True
            await asyncio.sleep(1000)
            assert await who(replicas) == {"b"}
        assert lines[1:] == ["a does not come back: it serves another now"]

    run_virtually(run())


def test_what_a_hung_server_holds_is_called_back_when_it_is_taken_out() -> None:
    async def run() -> None:
        sick = {"a"}

        async def health(endpoint: Endpoint) -> str:
            return "hung" if endpoint.url in sick else ""

        replicas, made = await two(health=health)
        made[0].takes_s = 1e6
        async with replicas:
            assert await who(replicas) == {"b"}
        assert asyncio.get_running_loop().time() < 30

    run_virtually(run())


def test_who_is_cancelled_from_outside_is_not_asked_elsewhere() -> None:
    async def run() -> None:
        replicas, made = await two()
        made[0].takes_s = made[1].takes_s = 100.0
        async with replicas:
            asking = asyncio.create_task(replicas.ask({}))
            await asyncio.sleep(1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        assert made[0].asked + made[1].asked == 1
        assert replicas.slots.in_flight == 0

    run_virtually(run())


# Deadlines


def test_a_deadline_ends_all_attempts_and_counts_from_the_turn() -> None:
    async def run() -> None:
        replicas, made = await two(deadline_s=5.0, slots=Slots(1))
        made[0].takes_s = made[1].takes_s = 4.0
        async with replicas:
            # The third waits 8 s for its turn, and is answered in time.
            assert all(isinstance(a, Generation) for a in await asyncio.gather(*(replicas.ask({}) for _ in range(3))))
            made[0].takes_s = made[1].takes_s = 6.0
            late = await replicas.ask({})
        assert isinstance(late, Failure)
        assert late.kind is FailureKind.TIMEOUT
        assert "deadline of 5 s" in late.message

    run_virtually(run())


def test_a_deadline_bounds_retries_of_one_server() -> None:
    retry = RetryPolicy(attempts=50, base_s=0.2, cap_s=0.2)
    with FakeServer(faults=every(1, Fault.HTTP_500)) as server:
        begun = time.monotonic()
        (answer,), _ = ask_all(of(server), 1, retry=retry, deadline_s=0.5)
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.TIMEOUT
    assert time.monotonic() - begun < 5
    assert 1 < len(server.seen) < 50


# Health


@pytest.mark.parametrize(
    ("path", "status", "vllm", "healthy"),
    [("/health", 200, True, True), ("/health", 503, True, False), ("/health", 404, True, False)],
)
def test_the_health_of_vllm(path: str, status: int, vllm: bool, healthy: bool) -> None:
    class Server(Stub):
        def answer(self, asked: Asked) -> Reply:
            return Reply(status=status if asked.path == path else 500)

    with Server() as server:
        problem = asyncio.run(health_problem(Endpoint(url=f"{server.url}/v1", model="m"), vllm=vllm))
    assert (problem == "") is healthy
    assert healthy or str(status) in problem


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (401, True), (404, True), (502, False)])
def test_the_health_of_others_is_any_answer_that_is_no_server_error(status: int, healthy: bool) -> None:
    class Server(Stub):
        def answer(self, asked: Asked) -> Reply:
            return Reply(status=status if asked.path == "/v1/models" else 500)

    with Server() as server:
        problem = asyncio.run(health_problem(Endpoint(url=f"{server.url}/v1", model="m"), vllm=False))
    assert (problem == "") is healthy


def test_a_server_that_is_gone_is_not_healthy() -> None:
    assert "cannot be reached" in asyncio.run(health_problem(Endpoint(url=NOBODY, model="m"), vllm=True))
