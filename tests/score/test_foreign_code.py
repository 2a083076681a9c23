"""Code of others: whatever it raises is an error, and what does not end is left behind."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import JudgeError, UndefinedError
from llmgate.score.foreign_code import Caller, Stopwatch, called, in_thread, worded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class WordlessError(BaseException):
    def __str__(self) -> str:
        raise SystemExit(0)


def raises(error: BaseException) -> None:
    raise error


ENDS = [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), WordlessError(), StopIteration()]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_whatever_is_raised_is_an_error_with_the_name(error: BaseException) -> None:
    with pytest.raises(JudgeError, match=f"^the check x raised {type(error).__name__}"):
        Caller().call("the check x", lambda: raises(error))


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_whatever_a_coroutine_raises_is_an_error_with_the_name(error: BaseException) -> None:
    async def check(_: object) -> None:
        await asyncio.sleep(0)
        raise error

    async def judge(prompt: str) -> str:
        return prompt

    name = "RuntimeError" if isinstance(error, StopIteration) else type(error).__name__
    with pytest.raises(JudgeError, match=f"^the check x raised {name}"):
        asyncio.run(Caller().consult("the check x", check, judge))


def test_an_error_of_ours_stays_what_it_is() -> None:
    with pytest.raises(UndefinedError, match="no number"):
        called("the check x", lambda: raises(UndefinedError("no number")))
    assert worded(ValueError("so")) == "ValueError: so"


def test_what_does_not_end_is_left_behind() -> None:
    forever = threading.Event()
    caller = Caller(limit_s=60.0)
    with pytest.raises(JudgeError, match=r"did not end within 0\.05 s"):
        caller.call("the check x", forever.wait, 0.05)
    assert caller.call("the check y", lambda: 7) == 7
    with pytest.raises(JudgeError, match=r"did not end within 0\.01 s"):
        caller.call("the check z", forever.wait, 0.01)
    forever.set()


def test_calls_take_turns() -> None:
    caller, inside, most = Caller(), [0], [0]

    def check() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.01)
        inside[0] -= 1

    threads = [threading.Thread(target=caller.call, args=("the check x", check)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


@pytest.mark.parametrize("blocks", [True, False])
def test_a_coroutine_that_does_not_end_is_left_behind(blocks: bool) -> None:
    forever = threading.Event()

    async def check(_: object) -> None:
        if blocks:
            forever.wait()
        await asyncio.sleep(3600)

    async def judge(prompt: str) -> str:
        return prompt

    with pytest.raises(JudgeError, match=r"did not end within 0\.05 s"):
        asyncio.run(Caller(limit_s=0.05).consult("the check x", check, judge))
    forever.set()


def test_a_judge_may_take_longer_than_the_check() -> None:
    async def check(judge: Callable[[str], Awaitable[str]]) -> list[str]:
        return list(await asyncio.gather(judge("a"), judge("b")))

    async def judge(prompt: str) -> str:
        await asyncio.sleep(1.1)
        return prompt.upper()

    assert asyncio.run(Caller(limit_s=1.0).consult("the check x", check, judge)) == ["A", "B"]


def test_the_loop_goes_on_meanwhile() -> None:
    async def both() -> tuple[int, bool]:
        go_on = threading.Event()
        waiting = asyncio.ensure_future(in_thread(lambda: go_on.wait(10)))
        await asyncio.sleep(0)
        go_on.set()
        return 1, await waiting

    assert asyncio.run(both()) == (1, True)


def test_a_stopwatch_counts_no_pause() -> None:
    watch = Stopwatch()
    watch.pause()
    watch.pause()
    before = watch.elapsed
    watch.go_on()
    assert watch.elapsed == before
    watch.go_on()
    time.sleep(0.001)
    assert watch.elapsed > before
