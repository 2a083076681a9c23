"""The memo: one piece of work for all who wait, no failure that lasts, no caller that takes others down."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.errors import JudgeError
from llmgate.score.assertion.together import Memo


def test_work_is_done_once_for_all_who_ask() -> None:
    calls: list[str] = []

    async def work() -> int:
        calls.append("called")
        await asyncio.sleep(0)
        return 7

    async def run() -> list[int]:
        memo = Memo()
        together = await asyncio.gather(*(memo.once("key", work) for _ in range(5)))
        return [*together, await memo.once("key", work)]

    assert asyncio.run(run()) == [7] * 6
    assert len(calls) == 1


def test_a_failure_reaches_all_who_wait_and_is_forgotten() -> None:
    outcomes = [JudgeError("gone"), 7]

    async def work() -> object:
        await asyncio.sleep(0)
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def run() -> tuple[list[object], object]:
        memo = Memo()
        together = await asyncio.gather(*(memo.once("key", work) for _ in range(3)), return_exceptions=True)
        return list(together), await memo.once("key", work)

    together, later = asyncio.run(run())
    assert all(isinstance(one, JudgeError) for one in together)
    assert later == 7


def test_a_caller_who_leaves_does_not_take_the_work_away() -> None:
    async def work() -> int:
        await asyncio.sleep(0.01)
        return 7

    async def run() -> int:
        memo = Memo()
        first = asyncio.ensure_future(memo.once("key", work))
        second = asyncio.ensure_future(memo.once("key", work))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(run()) == 7


def test_a_failure_that_nobody_waits_for_any_more_is_no_noise() -> None:
    async def work() -> int:
        await asyncio.sleep(0.01)
        raise JudgeError("gone")

    async def run() -> None:
        caller = asyncio.ensure_future(Memo().once("key", work))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.sleep(0.02)

    asyncio.run(run())
