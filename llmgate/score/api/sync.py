"""Questions put to the functions of a caller who cannot await.

The caller may be inside an event loop (a notebook, an async test), and its functions may start one of their own. So the
loop of an evaluation runs in a thread of its own. Plain functions are called one after another where no loop runs: in
the caller's thread, or in another one if a loop runs there. Only coroutines run in our loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from llmgate.errors import JudgeError, LlmgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["SyncRunner"]

T = TypeVar("T")

PATIENCE_S: Final = 5.0
"""How long an interrupted evaluation may take to end."""
ANOTHER_LOOP: Final = ("different loop", "different event loop")
"""In Python's words for a client, lock or future that was made in the caller's loop."""


class SyncRunner:
    """The thread that waits for one evaluation, and calls its own functions meanwhile."""

    __slots__ = ("_cancel", "_waiting")

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[Future[object], Callable[[], object]] | None] = SimpleQueue()
        self._cancel: Callable[[], object] = lambda: None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, whether or not the caller is inside an event loop.

        Raises:
            BaseException: What the coroutine raises, and what a function of the caller raises to end the process.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._serve(work)
        ended: Future[T] = Future()
        _started(lambda: _resolve(ended, lambda: self._serve(work))).join()
        return ended.result()

    def _serve(self, work: Coroutine[Any, Any, T]) -> T:
        ended: Future[T] = Future()
        thread = _started(lambda: self._work(work, ended))
        try:
            while (question := self._waiting.get()) is not None:
                _resolve(*question)
        except BaseException:
            self._cancel()
            thread.join(PATIENCE_S)
            raise
        thread.join()
        return ended.result()

    async def call(self, what: str, function: Callable[[str], Any], text: str) -> Any:
        """What a function of the caller makes of a text, wherever it has to run.

        Args:
            what: Names the function, for messages.
            function: Plain, or async.
            text: What it is given.

        Raises:
            JudgeError: If it fails.
        """
        if inspect.iscoroutinefunction(function):
            got = function(text)
        else:
            answer: Future[object] = Future()
            self._waiting.put((answer, partial(_called, what, function, text)))
            got = await asyncio.wrap_future(answer)
        if not inspect.isawaitable(got):
            return got
        try:
            return await got
        except Exception as error:
            raise _failed(what, error) from error

    def _work(self, work: Coroutine[Any, Any, T], ended: Future[T]) -> None:
        async def watched() -> T:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            if task is not None:
                self._cancel = partial(loop.call_soon_threadsafe, task.cancel)
            return await work

        _resolve(ended, lambda: asyncio.run(watched()))
        self._waiting.put(None)


def _started(target: Callable[[], object]) -> Thread:
    """A thread that knows what the caller's context variables say."""
    # A daemon, so that a judge that never answers cannot keep an interrupted process alive.
    thread = Thread(target=contextvars.copy_context().run, args=(target,), name="llmgate-evaluation", daemon=True)
    thread.start()
    return thread


def _resolve(future: Future[T], function: Callable[[], T]) -> None:
    """Calls a function for whoever waits for the future, unless nobody does any more."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 - raised where the future is waited for
        future.set_exception(error)


def _called(what: str, function: Callable[[str], Any], text: str) -> object:
    try:
        return function(text)
    except Exception as error:
        raise _failed(what, error) from error


def _failed(what: str, error: Exception) -> LlmgateError:
    if isinstance(error, LlmgateError):
        return error
    if any(words in str(error) for words in ANOTHER_LOOP):
        return JudgeError(
            f"the {what} failed: it waits for something that belongs to another event loop",
            fix="Make clients and locks inside the function: each evaluation has an event loop of its own",
        )
    return JudgeError(f"the {what} failed: {type(error).__name__}: {error}")
