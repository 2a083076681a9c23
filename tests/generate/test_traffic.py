"""Requests stay below the limits that were named, and those of an endpoint that refuses are waited for together."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.virtual_time import run_virtually

from llmgate.generate.rate_limit import RateLimit
from llmgate.generate.traffic import PATIENCE_S, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S = 60.0


def fullest_window(events: list[tuple[float, float]]) -> float:
    """The most that any minute holds, its begin counted and its end not; a microsecond is the arithmetic's."""
    return max(sum(cost for when, cost in events if 0 <= when - first < WINDOW_S - 1e-6) for first, _ in events)


class Fake:
    """An endpoint that lets so many requests in per window of wall time, and refuses the others at once.

    Args:
        allowed: Requests per window.
        window_s: How long one is.
        answer_s: How long an answer takes, and a refusal a tenth of it.
        says_s: What it says how long to wait.
    """

    def __init__(
        self, allowed: int, *, window_s: float = 60.0, answer_s: float = 0.2, says_s: float | None = None
    ) -> None:
        self.allowed, self.window_s, self.answer_s, self.says_s = allowed, window_s, answer_s, says_s
        self.passed: list[float] = []
        self.refused: list[float] = []

    async def ask(self, traffic: Traffic) -> bool:
        """Ask until it answers; whether it did."""
        while True:
            epoch = await traffic.enter(0)
            now = asyncio.get_running_loop().time()
            window = [when for when in self.passed if when // self.window_s == now // self.window_s]
            if len(window) < self.allowed:
                self.passed.append(now)
                await asyncio.sleep(self.answer_s)
                traffic.leave(epoch, passed=True)
                return True
            self.refused.append(now)
            await asyncio.sleep(self.answer_s / 10)
            again = traffic.refused(epoch, self.says_s)
            traffic.leave(epoch, passed=None)
            if not again:
                return False


def virtual(
    limit: RateLimit | None = None, *, told: Callable[[float], None] = lambda _: None, seed: int = 0
) -> Traffic:
    return Traffic(limit, told=told, clock=asyncio.get_running_loop().time, draw=Random(seed).random)


def ask_all(fake: Fake, requests: int, *, in_flight: int = 32, seed: int = 0) -> tuple[list[bool], list[float], float]:
    """The outcomes, the waits that were told, and how long it took."""

    async def work() -> tuple[list[bool], list[float], float]:
        told: list[float] = []
        traffic, slots = virtual(told=told.append, seed=seed), asyncio.Semaphore(in_flight)

        async def one() -> bool:
            async with slots:
                return await fake.ask(traffic)

        done = await asyncio.gather(*(one() for _ in range(requests)))
        return list(done), told, asyncio.get_running_loop().time()

    return run_virtually(work())


@given(
    rpm=st.integers(1, 200),
    latencies=st.lists(st.floats(0.0, 90.0), min_size=1, max_size=60),
    in_flight=st.integers(1, 40),
)
def test_no_minute_holds_more_requests_than_the_limit(rpm: int, latencies: list[float], in_flight: int) -> None:
    async def work() -> list[tuple[float, float]]:
        traffic, slots = virtual(RateLimit(rpm=rpm)), asyncio.Semaphore(in_flight)
        sent = []

        async def one(latency_s: float) -> None:
            async with slots:
                epoch = await traffic.enter(0)
                sent.append((asyncio.get_running_loop().time(), 1.0))
                await asyncio.sleep(latency_s)
                traffic.leave(epoch, passed=True)

        await asyncio.gather(*map(one, latencies))
        return sent

    sent = run_virtually(work())
    assert len(sent) == len(latencies)
    assert fullest_window(sent) <= rpm


@given(
    tpm=st.integers(100, 5000),
    costs=st.lists(st.tuples(st.integers(1, 400), st.floats(0.1, 1.0)), min_size=2, max_size=60),
)
def test_no_minute_costs_more_tokens_than_the_limit_and_one_request(tpm: int, costs: list[tuple[int, float]]) -> None:
    # Every request is estimated at most too high, as prompts and longest answers are; the reply corrects it.
    async def work() -> list[tuple[float, float]]:
        traffic, slots = virtual(RateLimit(tpm=tpm)), asyncio.Semaphore(8)
        sent = []

        async def one(estimated: int, share: float) -> None:
            async with slots:
                epoch = await traffic.enter(estimated)
                used = max(1, int(estimated * share))
                sent.append((asyncio.get_running_loop().time(), float(used)))
                await asyncio.sleep(0.5)
                traffic.settle(estimated, used)
                traffic.leave(epoch, passed=True)

        await asyncio.gather(*(one(*cost) for cost in costs))
        return sent

    sent = run_virtually(work())
    assert fullest_window(sent) <= tpm + max(cost for _, cost in sent)


def test_the_limit_is_used_when_there_is_enough_to_ask() -> None:
    async def work() -> float:
        traffic = virtual(RateLimit(rpm=120))
        for _ in range(240):
            traffic.leave(await traffic.enter(0), passed=True)
        return asyncio.get_running_loop().time()

    assert run_virtually(work()) == pytest.approx(239 / 2)


def test_tokens_that_an_answer_did_not_need_are_used_by_the_next_one() -> None:
    async def work(used: int) -> float:
        traffic = virtual(RateLimit(tpm=6000))
        for _ in range(20):
            epoch = await traffic.enter(600)
            traffic.settle(600, used)
            traffic.leave(epoch, passed=True)
        return asyncio.get_running_loop().time()

    assert run_virtually(work(600)) == pytest.approx(114, abs=2.1)
    assert run_virtually(work(60)) < 16
    assert run_virtually(work(1200)) == pytest.approx(228, abs=2.1)


def test_without_a_limit_nobody_waits() -> None:
    async def work() -> float:
        traffic = virtual()
        await asyncio.gather(*(traffic.enter(10_000) for _ in range(500)))
        return asyncio.get_running_loop().time()

    assert run_virtually(work()) == 0.0


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("says_s", [None, 7.0])
def test_a_window_of_a_minute_is_waited_out_without_hammering(seed: int, says_s: float | None) -> None:
    # The endpoint lets 40 in per minute; 100 are asked, 32 at a time.
    fake = Fake(40, says_s=says_s)
    done, told, _ = ask_all(fake, 100, seed=seed)
    assert all(done)
    assert len(fake.passed) == 100
    # Those in flight when the door closes, and then one at a time.
    assert len(fake.refused) <= 2 * 32 + 30
    assert told
    assert max(told) <= PATIENCE_S


@pytest.mark.parametrize("seed", range(4))
def test_a_limit_per_second_is_found(seed: int) -> None:
    fake = Fake(10, window_s=1.0)
    done, _, took_s = ask_all(fake, 200, seed=seed)
    assert all(done)
    # At best 20 s.
    assert took_s < 80
    assert len(fake.refused) < 200


@pytest.mark.parametrize("seed", range(4))
def test_an_endpoint_that_lets_nothing_pass_is_given_up_after_a_minute_and_not_before(seed: int) -> None:
    fake = Fake(0)
    done, _, took_s = ask_all(fake, 32, seed=seed)
    assert not any(done)
    assert fake.refused[-1] >= PATIENCE_S
    assert any(when >= 60 for when in fake.refused), "a window of a minute has passed when it is asked last"
    assert took_s < 70


def test_a_wait_that_is_said_is_kept_and_one_of_hours_is_none() -> None:
    fake = Fake(0, says_s=90.0)
    done, told, _ = ask_all(fake, 1)
    assert done == [False]
    assert told[0] == pytest.approx(90, abs=1.01)
    assert fake.refused[1] >= 90
    assert ask_all(Fake(0, says_s=7200.0), 1)[2] < 1


def test_an_answer_from_before_does_not_open_the_door() -> None:
    async def work() -> tuple[float, float]:
        traffic = virtual()
        slow, refused = await traffic.enter(0), await traffic.enter(0)
        assert traffic.refused(refused, 30.0)
        traffic.leave(refused, passed=None)
        traffic.leave(slow, passed=True)
        first = await traffic.enter(0)
        opened = asyncio.get_running_loop().time()
        second = asyncio.ensure_future(traffic.enter(0))
        await asyncio.sleep(5)
        assert not second.done(), "one goes first"
        traffic.leave(first, passed=True)
        await second
        return opened, asyncio.get_running_loop().time() - opened

    opened, waited = run_virtually(work())
    assert 30 <= opened <= 31
    assert waited == pytest.approx(5)


def test_who_gives_up_waiting_leaves_the_line() -> None:
    async def work() -> None:
        traffic = virtual(RateLimit(rpm=1))
        traffic.leave(await traffic.enter(0), passed=True)
        waiting = asyncio.ensure_future(traffic.enter(0))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await traffic.enter(0)
        assert asyncio.get_running_loop().time() == pytest.approx(60)

    run_virtually(work())
