"""Code that is not ours, called so that nothing in it ends the process and nothing of it lasts for ever.

It runs in a thread of its own. No signal arrives there, so whatever comes out of the call, `sys.exit()` and
`KeyboardInterrupt` included, is its own doing; and a call that does not end is left behind, because a thread cannot be
stopped. As a daemon it ends with the process. What never lets go of the interpreter (a pattern of `re` that backtracks
for ever) stops everything, the limit included: then the run does not end, and nobody passes.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from llmgate.errors import JudgeError, LlmgateError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = ["DEFAULT_LIMIT_S", "Caller", "called", "in_thread", "worded"]

T = TypeVar("T")

DEFAULT_LIMIT_S: Final = 600.0
PATIENCE_S: Final = 1.0
"""How long a call waits for another one to end before it goes on beside it."""
LEAST_WAIT_S: Final = 0.05


def worded(error: BaseException) -> str:
    """What was raised, in a line, even if it cannot be put into words."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - `__str__` is not ours either
        return type(error).__name__


def called(what: str, function: Callable[[], T]) -> T:
    """Call a function of others.

    Args:
        what: Names it, for messages.
        function: It.

    Raises:
        LlmgateError: Whatever it raised, as an error that says whose it is.
    """
    try:
        return function()
    except LlmgateError:
        raise
    except BaseException as error:
        raise JudgeError(f"{what} raised {worded(error)}") from error


def started(function: Callable[[], T]) -> Future[T]:
    """Call a function in a daemon thread: those of a pool would have to end before the process does."""
    ended: Future[T] = Future()
    ended.set_running_or_notify_cancel()

    def work() -> None:
        try:
            ended.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised where the result is waited for
            ended.set_exception(error)

    Thread(target=work, name="llmgate-check", daemon=True).start()
    return ended


async def in_thread(function: Callable[[], T]) -> T:
    """Wait for a function that may take long, while the event loop goes on."""
    return await asyncio.wrap_future(started(function))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Calls the functions of users within a limit of time, one at a time unless one of them takes long.

    Attributes:
        limit_s: For a function that has no limit of its own.
        turn: Who holds it is being called.
    """

    limit_s: float = DEFAULT_LIMIT_S
    turn: Lock = field(default_factory=Lock)

    def call(self, what: str, function: Callable[[], T], limit_s: float | None = None) -> T:
        """Call a plain function.

        Raises:
            LlmgateError: If it raises anything, or does not end.
        """
        limit_s = limit_s or self.limit_s
        held = self.turn.acquire(timeout=PATIENCE_S)
        try:
            ended = started(lambda: called(what, function))
            if wait({ended}, limit_s).not_done:
                raise too_long(what, limit_s)
            return ended.result()
        finally:
            if held:
                self.turn.release()

    async def consult(
        self,
        what: str,
        make: Callable[[Callable[[str], Awaitable[str]]], Coroutine[Any, Any, T]],
        judge: Callable[[str], Awaitable[str]],
        limit_s: float | None = None,
    ) -> T:
        """Run a coroutine that asks a judge, on an event loop of its own; the judge's time does not count.

        Args:
            what: Names it, for messages.
            make: Makes it, given the way to the judge.
            judge: Is asked on the loop of the caller, which bounds the requests in flight.
            limit_s: Its own limit.

        Raises:
            LlmgateError: If it raises anything, or does not end.
        """
        limit_s = limit_s or self.limit_s
        home, clock = asyncio.get_running_loop(), Stopwatch()

        async def timed(prompt: str) -> str:
            clock.pause()
            try:
                return await judge(prompt)
            finally:
                clock.go_on()

        async def asked(prompt: str) -> str:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_of(timed(prompt)), home))

        ended = asyncio.wrap_future(started(lambda: called(what, lambda: asyncio.run(make(asked)))))
        while not ended.done():
            left = limit_s - clock.elapsed
            if left <= 0:
                # Nobody waits any more; what it still raises must not be logged as lost.
                ended.cancel()
                raise too_long(what, limit_s)
            await asyncio.wait({ended}, timeout=max(left, LEAST_WAIT_S))
        return ended.result()


async def _of(work: Awaitable[T]) -> T:
    return await work


def too_long(what: str, limit_s: float) -> JudgeError:
    """The error of a call that did not end."""
    return JudgeError(
        f"{what} did not end within {limit_s:g} s",
        fix="Mend it, or give it more time: @llmgate.check(…, timeout=SECONDS), or --timeout",
    )


class Stopwatch:
    """Seconds, without those for which it was paused; pauses may overlap."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since = monotonic()
        self._pauses = 0

    @property
    def elapsed(self) -> float:
        """How long it has run."""
        return self._before + (0.0 if self._pauses else monotonic() - self._since)

    def pause(self) -> None:
        """Stop until `go_on`."""
        self._before = self.elapsed
        self._pauses += 1

    def go_on(self) -> None:
        """Run again, once every pause has ended."""
        self._pauses -= 1
        self._since = monotonic()
