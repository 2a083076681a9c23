"""Metrics of other libraries: they run on one event loop of their own, and ask models on the caller's.

Such a library keeps clients, semaphores and tasks that belong to the first loop it saw, and some patch the running one.
llmgate may use a loop per call. So there is one thread with one loop for all of them, which never ends before the
process does, and whatever a metric asks travels back to the loop that the assert came from: retries, logging and the
bound on requests in flight stay ours.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from llmgate.errors import JudgeError, LlmgateError
from llmgate.record.schema import Message
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models, ask_judge, embed_texts
from llmgate.score.foreign_code import worded
from llmgate.score.judge.prompt import long_reply
from llmgate.score.judge.reply import find_objects

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from concurrent.futures import Future

__all__ = ["Bridge", "foreign_request", "read_model", "run_foreign"]

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

LONGEST_WAIT_S: Final = 1800.0
"""For a model's answer, where a library waits for it without yielding: a lost answer must not hang the run."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """Asks models from the other thread.

    Attributes:
        models: The models of the run.
        home: The loop that the assert came from, None where nothing can be asked yet.
    """

    models: Models
    home: asyncio.AbstractEventLoop | None = None

    async def ask(self, request: JudgeRequest, read: Callable[[JudgeReply], T]) -> T:
        """The judge's reply, read; see `ask_judge`."""
        return await asyncio.wrap_future(self._send(ask_judge(self.models, request, read)))

    def ask_now(self, request: JudgeRequest, read: Callable[[JudgeReply], T]) -> T:
        """The same for code that cannot await."""
        return self._send(ask_judge(self.models, request, read)).result(LONGEST_WAIT_S)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text; see `embed_texts`."""
        return await asyncio.wrap_future(self._send(embed_texts(self.models, texts)))

    def embed_now(self, texts: Sequence[str]) -> list[list[float]]:
        """The same for code that cannot await."""
        return self._send(embed_texts(self.models, texts)).result(LONGEST_WAIT_S)

    def _send(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self.home is None:
            work.close()
            raise JudgeError("a metric asked a model before it was given an output")
        return asyncio.run_coroutine_threadsafe(work, self.home)


async def run_foreign(name: str, work: Callable[[Bridge], Awaitable[T]], models: Models) -> T:
    """Runs a metric on the loop for foreign metrics.

    Args:
        name: Of the metric, for messages.
        work: The metric's coroutine, given the way to the models.
        models: The models of the run.

    Raises:
        JudgeError: If the metric raised anything.
    """
    bridge = Bridge(models, asyncio.get_running_loop())

    async def guarded() -> T:
        try:
            return await work(bridge)
        except (LlmgateError, asyncio.CancelledError):
            raise
        except BaseException as error:
            # `SystemExit` would end the loop, and whoever waits for it would wait for ever.
            raise JudgeError(f"{name} gave no score: {worded(error)}") from error

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(guarded(), _loop(os.getpid())))


@lru_cache(maxsize=1)
def _loop(_: int) -> asyncio.AbstractEventLoop:
    """The loop of this process; a fork has no threads, so it needs one of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="llmgate-foreign-metrics", daemon=True).start()
    return loop


def foreign_request(
    prompt: str, models: Models, *, schema: type[BaseModel] | None = None, top_logprobs: int = 0
) -> JudgeRequest:
    """A question in another library's words.

    Args:
        prompt: The words.
        models: How replies are sampled.
        schema: The form of the reply, None for free text.
        top_logprobs: How many alternatives of each token to report.
    """
    sampling = replace(models.sampling, max_tokens=long_reply(models.sampling.max_tokens))
    return JudgeRequest(
        messages=(Message(role="user", content=prompt),),
        schema=None if schema is None else schema.model_json_schema(),
        sampling=sampling,
        top_logprobs=top_logprobs,
    )


def read_model(reply: JudgeReply, schema: type[M]) -> M:
    """A reply in the form that another library asked for.

    Raises:
        JudgeError: If it has no such form, or holds two that disagree.
    """
    objects = find_objects(reply.content) if isinstance(reply.content, str) else [reply.content]
    parsed: list[M] = []
    problem = "it holds no object"
    for candidate in objects:
        try:
            parsed.append(schema.model_validate(candidate))
        except ValidationError as error:
            problem = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
    if not parsed:
        raise JudgeError(f"the judge's reply is no {schema.__name__}: {problem}")
    if any(candidate != parsed[0] for candidate in parsed):
        raise JudgeError("the judge's reply holds objects that disagree")
    return parsed[0]
