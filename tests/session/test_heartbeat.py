"""Many items, a bounded number of them in hand."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.session.heartbeat import gather_bounded


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(("items", "at_once"), [(0, 3), (2, 3), (100, 3), (100, 1)])
def test_all_are_done_in_order_and_no_more_at_a_time_than_allowed(items: int, at_once: int, apart: bool) -> None:
    begun: list[int] = []
    running = most = 0

    async def work(item: int) -> None:
        nonlocal running, most
        begun.append(item)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    asyncio.run(gather_bounded(work, range(items), at_once=at_once, apart=apart))
    assert begun == list(range(items))
    assert most == min(items, at_once)


@pytest.mark.parametrize("apart", [False, True])
def test_the_first_error_ends_the_others_and_is_raised_as_it_is(apart: bool) -> None:
    ended: list[int] = []

    async def work(item: int) -> None:
        if item == 5:
            raise KeyError(item)
        try:
            await asyncio.sleep(0 if item < 5 else 60)
        except asyncio.CancelledError:
            ended.append(item)
            raise

    with pytest.raises(KeyError):
        asyncio.run(gather_bounded(work, range(50), at_once=10, apart=apart))
    assert ended
    assert max(ended) < 20, "nothing is begun after an error"


def test_an_item_apart_may_be_cancelled_and_the_others_go_on() -> None:
    done: list[int] = []
    tasks: dict[int, asyncio.Task[None]] = {}

    async def work(item: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks[item] = task
        if item == 6:
            tasks[5].cancel()
        await asyncio.sleep(0.01)
        done.append(item)

    asyncio.run(gather_bounded(work, range(20), at_once=4, apart=True))
    assert sorted(done) == [item for item in range(20) if item != 5]


@pytest.mark.parametrize("apart", [False, True])
def test_whoever_gives_up_ends_all_of_it(apart: bool) -> None:
    ended: list[int] = []

    async def work(item: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(item)

    async def run() -> None:
        await asyncio.wait_for(gather_bounded(work, range(20), at_once=4, apart=apart), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert sorted(ended) == [0, 1, 2, 3]
