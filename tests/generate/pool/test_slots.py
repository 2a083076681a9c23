"""A bound on requests in flight that may change while they are: fair, and safe to cancel."""

from __future__ import annotations

import asyncio
import random

import pytest
from support.virtual_time import run_virtually

from llmgate.generate.pool.slots import Slots


@pytest.mark.parametrize("limit", [0, -1])
def test_no_place_at_all_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Slots(limit)
    slots = Slots(1)
    with pytest.raises(ValueError, match="at least one"):
        slots.set_limit(limit)
    assert slots.limit == 1


def test_never_more_than_the_limit_and_first_come_first_served() -> None:
    async def run() -> tuple[list[int], int]:
        slots, order = Slots(3), list[int]()

        async def one(number: int) -> None:
            async with slots:
                order.append(number)
                assert slots.in_flight <= 3
                await asyncio.sleep(1.0)

        await asyncio.gather(*(one(number) for number in range(20)))
        assert (slots.in_flight, slots.waiting) == (0, 0)
        return order, slots.most

    assert run_virtually(run()) == (list(range(20)), 3)


def test_a_higher_limit_lets_those_who_wait_go_at_once_and_a_lower_one_ends_nothing() -> None:
    async def run() -> None:
        slots, leave = Slots(2), asyncio.Event()

        async def one() -> None:
            async with slots:
                await leave.wait()

        tasks = [asyncio.create_task(one()) for _ in range(10)]
        await asyncio.sleep(0)
        assert (slots.in_flight, slots.waiting) == (2, 8)
        slots.set_limit(6)
        assert (slots.in_flight, slots.waiting) == (6, 4)
        slots.set_limit(1)
        await asyncio.sleep(0)
        assert (slots.in_flight, slots.waiting) == (6, 4)
        leave.set()
        await asyncio.gather(*tasks)
        assert (slots.in_flight, slots.waiting, slots.most) == (0, 0, 6)

    run_virtually(run())


def test_after_a_lower_limit_nobody_goes_until_enough_have_ended() -> None:
    async def run() -> None:
        slots, ends = Slots(3), [asyncio.Event() for _ in range(5)]

        async def one(end: asyncio.Event) -> None:
            async with slots:
                await end.wait()

        tasks = [asyncio.create_task(one(end)) for end in ends]
        await asyncio.sleep(0)
        slots.set_limit(1)
        for done, in_flight in ((0, 2), (1, 1), (2, 1)):
            ends[done].set()
            await asyncio.sleep(0.1)
            assert slots.in_flight == in_flight
        for end in ends:
            end.set()
        await asyncio.gather(*tasks)

    run_virtually(run())


def test_who_is_cancelled_in_the_line_leaves_it() -> None:
    async def run() -> None:
        slots, went = Slots(1), list[str]()

        async def one(name: str) -> None:
            async with slots:
                went.append(name)
                await asyncio.sleep(1.0)

        tasks = [asyncio.create_task(one(name)) for name in "abc"]
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert went == ["a", "c"]
        assert (slots.in_flight, slots.waiting) == (0, 0)

    run_virtually(run())


def test_a_place_that_was_just_given_to_who_is_cancelled_goes_to_the_next() -> None:
    async def run() -> None:
        slots, went = Slots(1), list[str]()
        await slots.__aenter__()

        async def one(name: str) -> None:
            async with slots:
                went.append(name)

        tasks = [asyncio.create_task(one(name)) for name in "ab"]
        await asyncio.sleep(0)
        # The place is given to `a`, which is cancelled before it can run.
        await slots.__aexit__(None, None, None)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert went == ["b"]
        assert (slots.in_flight, slots.waiting) == (0, 0)

    run_virtually(run())


@pytest.mark.parametrize("seed", range(5))
def test_no_place_is_lost_or_made_whatever_is_cancelled_and_changed(seed: int) -> None:
    draw = random.Random(seed)

    async def run() -> None:
        slots, running = Slots(4), 0

        async def one() -> None:
            nonlocal running
            async with slots:
                running += 1
                try:
                    assert running == slots.in_flight
                    await asyncio.sleep(draw.random())
                finally:
                    running -= 1

        tasks = [asyncio.create_task(one()) for _ in range(200)]
        for _ in range(100):
            await asyncio.sleep(draw.random() / 5)
            draw.choice(tasks).cancel()
            slots.set_limit(draw.randint(1, 8))
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (slots.in_flight, slots.waiting, running) == (0, 0, 0)

    run_virtually(run())
