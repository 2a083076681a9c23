"""The loop for foreign metrics: always the same one, while models are asked on the caller's."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from llmgate.errors import JudgeError, SuiteError, UndefinedError
from llmgate.score.adapters.event_loop import Bridge, foreign_request, read_model, run_foreign
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, JudgeSampling, Models
from llmgate.score.rag.inputs import unit_score

if TYPE_CHECKING:
    from collections.abc import Sequence


class Verdict(BaseModel):
    score: int


def models(reply: object = '{"score": 3}', *, retries: int = 0) -> tuple[Models, list[asyncio.AbstractEventLoop]]:
    """Models that note the loop on which they are asked."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def ask(_: JudgeRequest) -> JudgeReply:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return JudgeReply(content=reply)

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        loops.append(asyncio.get_running_loop())
        return [[1.0] for _ in texts]

    return Models(judges={"": ask, "strict": ask}, embed=embed, retries=retries), loops


def test_metrics_share_a_loop_and_models_are_asked_on_the_callers() -> None:
    ran: list[tuple[asyncio.AbstractEventLoop, str]] = []

    async def work(bridge: Bridge) -> int:
        ran.append((asyncio.get_running_loop(), threading.current_thread().name))
        request = foreign_request("How many?", bridge.models, schema=Verdict)
        found = await bridge.ask(request, lambda reply: read_model(reply, Verdict))
        # As a library does that cannot await.
        again = bridge.ask_now(request, lambda reply: read_model(reply, Verdict))
        assert await bridge.embed(["a"]) == bridge.embed_now(["a"])
        return found.score + again.score

    homes = []

    async def call() -> int:
        homes.append(asyncio.get_running_loop())
        return await run_foreign("m", work, asked)

    for _ in range(2):
        asked, loops = models()
        assert asyncio.run(call()) == 6
        assert set(loops) == {homes[-1]}
    assert ran[0] == ran[1]
    assert ran[0][0] not in homes


def test_many_metrics_run_at_once() -> None:
    barriers: list[asyncio.Barrier] = []

    async def work(_: Bridge) -> int:
        if not barriers:
            barriers.append(asyncio.Barrier(20))
        # Opens when all 20 have come.
        await barriers[0].wait()
        return 1

    async def call() -> list[int]:
        return await asyncio.wait_for(asyncio.gather(*(run_foreign("m", work, Models()) for _ in range(20))), 10)

    assert asyncio.run(call()) == [1] * 20


def test_whatever_a_metric_raises_is_an_error_of_the_judge() -> None:
    async def fails(_: Bridge) -> int:
        raise KeyError("verdicts")

    async def refuses(_: Bridge) -> int:
        raise SuiteError("no such rubric")

    with pytest.raises(JudgeError, match="m gave no score: KeyError: 'verdicts'"):
        asyncio.run(run_foreign("m", fails, Models()))
    with pytest.raises(SuiteError, match="no such rubric"):
        asyncio.run(run_foreign("m", refuses, Models()))


def test_an_unreadable_reply_is_asked_again_as_often_as_the_run_says() -> None:
    async def work(bridge: Bridge) -> Verdict:
        request = foreign_request("How many?", bridge.models, schema=Verdict)
        return await bridge.ask(request, lambda reply: read_model(reply, Verdict))

    asked, loops = models("three", retries=2)
    with pytest.raises(JudgeError, match="is no Verdict"):
        asyncio.run(run_foreign("m", work, asked))
    assert len(loops) == 3


def test_a_metric_cannot_ask_before_it_is_given_an_output() -> None:
    with pytest.raises(JudgeError, match="before it was given an output"):
        Bridge(Models()).embed_now(["a"])


def test_a_cancelled_assert_ends_its_metric() -> None:
    ended = threading.Event()

    async def work(_: Bridge) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def call() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run_foreign("m", work, Models()), 0.1)

    asyncio.run(call())
    assert ended.wait(5)


def test_requests_are_long_enough_and_carry_the_schema() -> None:
    request = foreign_request("p", Models(sampling=JudgeSampling(max_tokens=64)), schema=Verdict, top_logprobs=20)
    assert request.sampling.max_tokens == 256
    assert request.body["top_logprobs"] == 20
    assert request.schema is not None
    assert request.schema["title"] == "Verdict"
    assert foreign_request("p", Models(sampling=JudgeSampling(max_tokens=9000))).sampling.max_tokens == 9000


@pytest.mark.parametrize(
    "reply",
    [
        '{"score": 3}',
        'Sure:\n```json\n{"score": 3}\n```',
        {"score": 3},
        '{"score": 3} {"score": 3}',
        '{"x": 1} {"score": 3}',
    ],
)
def test_replies_are_read(reply: object) -> None:
    assert read_model(JudgeReply(content=reply), Verdict) == Verdict(score=3)


@pytest.mark.parametrize(
    "reply", ["", "3", '{"score": "many"}', '{"score": 3', '{"score": 3} {"score": 4}', {"points": 3}, [3], None]
)
def test_replies_without_a_verdict_are_errors(reply: object) -> None:
    with pytest.raises(JudgeError):
        read_model(JudgeReply(content=reply), Verdict)


def test_scores_of_other_libraries_lie_between_0_and_1() -> None:
    import numpy as np

    assert [unit_score("m", one) for one in (0, 1, True, 0.25, np.float32(0.5))] == [0.0, 1.0, 1.0, 0.25, 0.5]
    for bad in (float("nan"), float("inf"), -0.1, 1.1, 8.0, "1", "pass", None, [1], np.float64("nan")):
        with pytest.raises(UndefinedError, match="no score from 0 to 1"):
            unit_score("m", bad)
