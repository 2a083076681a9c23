"""Functions of a caller who cannot await: they are called wherever they can run, inside an event loop or not."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest

from llmgate import Evaluation, evaluate_assert, evaluate_asserts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RUBRIC = {"type": "llm-rubric", "value": "is kind"}
YES = '{"pass": true}'


async def later(_: str) -> str:
    await asyncio.sleep(0)
    return YES


class Later:
    async def __call__(self, prompt: str) -> str:
        return await later(prompt)


def runs_a_loop(prompt: str) -> str:
    return asyncio.run(later(prompt))


def drives_a_loop(prompt: str) -> str:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(later(prompt))
    finally:
        loop.close()


def evaluates(_: str) -> str:
    return YES if evaluate_assert(RUBRIC, "x", judge=runs_a_loop).outcome == "pass" else "no"


JUDGES: list[Callable[[str], Any]] = [
    lambda _: YES, later, Later(), lambda prompt: later(f"{prompt}!"), runs_a_loop, drives_a_loop, evaluates,
]  # fmt: skip


def inside(evaluate: Callable[[], Evaluation]) -> Evaluation:
    """As a notebook or an async test calls it."""

    async def cell() -> Evaluation:
        return evaluate()

    return asyncio.run(cell())


def outside(evaluate: Callable[[], Evaluation]) -> Evaluation:
    return evaluate()


@pytest.mark.parametrize("call", [inside, outside])
@pytest.mark.parametrize("judge", JUDGES, ids=range(len(JUDGES)))
def test_judges_of_any_kind_are_asked_inside_an_event_loop_and_outside(
    call: Callable[[Callable[[], Evaluation]], Evaluation], judge: Callable[[str], Any]
) -> None:
    assert call(lambda: evaluate_assert(RUBRIC, "Hello!", judge=judge)).outcome == "pass"
    both = [RUBRIC, {"type": "similar", "value": "Hi"}, {"type": "contains", "value": "Hello"}]
    got = call(lambda: evaluate_asserts(both, "Hello!", judge=judge, embed=lambda _: [1.0, 0.0]))
    assert [part.outcome for part in got.parts] == ["pass", "pass", "pass"]


@pytest.mark.parametrize("call", [inside, outside])
@pytest.mark.filterwarnings("error")
def test_what_a_judge_raises_is_an_error_that_names_it(
    call: Callable[[Callable[[], Evaluation]], Evaluation], capsys: pytest.CaptureFixture[str]
) -> None:
    async def fails(_: str) -> str:
        raise ConnectionError("refused")

    replies: Iterator[str] = iter([])
    for judge, name in ((fails, "refused"), (lambda _: next(replies), "StopIteration"), (lambda _: 1 / 0, "division")):
        got = call(lambda judge=judge: evaluate_assert(RUBRIC, "x", judge=judge))  # type: ignore[misc]
        assert (got.outcome, got.score) == ("error", None)
        assert name in got.reason
        assert "internal" not in got.reason
    embeds = call(lambda: evaluate_assert({"type": "similar", "value": "a"}, "x", embed=fails))
    assert "the embedding model failed: ConnectionError" in embeds.reason
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("call", [inside, outside])
def test_an_interrupt_in_a_judge_ends_the_evaluation(
    call: Callable[[Callable[[], Evaluation]], Evaluation],
) -> None:
    def interrupted(_: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(lambda: evaluate_assert(RUBRIC, "x", judge=interrupted))


@pytest.mark.parametrize("call", [inside, outside])
def test_context_variables_are_those_of_the_caller(
    call: Callable[[Callable[[], Evaluation]], Evaluation],
) -> None:
    tracing = contextvars.ContextVar("tracing", default="off")
    token = tracing.set("on")
    seen: list[str] = []

    def judge(_: str) -> str:
        seen.append(tracing.get())
        return YES

    async def asked(_: str) -> str:
        return judge(_)

    assert call(lambda: evaluate_assert(RUBRIC, "x", judge=judge)).outcome == "pass"
    assert call(lambda: evaluate_assert(RUBRIC, "x", judge=asked)).outcome == "pass"
    tracing.reset(token)
    assert seen == ["on", "on"]


def test_plain_judges_stay_in_the_callers_thread_and_are_asked_one_after_another() -> None:
    threads: list[threading.Thread] = []
    replies = iter(['{"better": "first"}', '{"better": "second"}'])

    def judge(_: str) -> str:
        threads.append(threading.current_thread())
        return next(replies)

    got = evaluate_assert({"type": "prefer", "value": "other"}, "mine", judge=judge)
    assert (got.outcome, got.score) == ("pass", 1.0)
    assert threads == [threading.current_thread()] * 2


def test_what_belongs_to_the_callers_loop_is_refused_with_advice() -> None:
    async def cell() -> Evaluation:
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def judge(_: str) -> str:
            return await waiting

        return evaluate_assert(RUBRIC, "x", judge=judge)

    got = asyncio.run(cell())
    assert got.outcome == "error"
    assert "another event loop" in got.reason
    assert "inside the function" in got.reason


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    inside(lambda: evaluate_assert(RUBRIC, "x", judge=lambda _: YES))
    assert set(threading.enumerate()) <= before
