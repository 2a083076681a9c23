"""An item that is set up although it is not its turn, and its call."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from llmgate.pytest_plugin.own_output import CURRENT, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Flight", "ThreadEndingError", "break_off"]

END_S: Final = 10.0
"""How long a test that is broken off may take to end."""


class ThreadEndingError(Exception):
    """A test raised what would end the thread that it runs in."""


@dataclass(slots=True, eq=False)
class Flight:
    """An item that is set up, and may run."""

    item: pytest.Function
    call: Any = None
    report: pytest.TestReport | None = None
    future: Future[None] | None = None
    function: Any = None
    output: Output = field(default_factory=Output)
    alone: bool = False
    launched: bool = False
    started_s: float = 0.0
    duration_s: float = 0.0
    stopped_by: BaseException | None = None
    began: bool = False
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def running(self) -> bool:
        """Whether it was started and is not done."""
        return self.future is not None and not self.future.done()

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        """Call the test function, with output of its own and a clock."""
        with self.lock:
            if self.closed:
                raise asyncio.CancelledError
            self.began = True
        token = CURRENT.set(self.output)
        self.started_s, started = time.time(), time.perf_counter()
        try:
            return await self.function(*args, **kwargs)
        except (KeyboardInterrupt, SystemExit) as error:
            # Either would end the loop with all tests that run on it; pytest reports it as this test's.
            self.stopped_by = error
            raise ThreadEndingError(repr(error)) from error
        except asyncio.CancelledError as error:
            self.stopped_by = error  # futures forget where it came from
            raise
        finally:
            self.duration_s = time.perf_counter() - started
            CURRENT.reset(token)
            self.ended.set()

    def finish(self) -> None:
        """Wait for the test and raise what it raised."""
        __tracebackhide__ = True
        if self.future is None:
            return
        try:
            error = self.future.exception()
        except concurrent.futures.CancelledError as cancelled:
            error = cancelled
        if self.stopped_by is not None:
            error = self.stopped_by
        if error is not None:
            raise error

    def cancel(self) -> None:
        """Let it not begin, or end soon."""
        with self.lock:
            self.closed = True
        if self.future is not None:
            self.future.cancel()

    def wait_until_ended(self) -> None:
        """Wait until the test has let go of what it was given."""
        if self.began:
            self.ended.wait(END_S)


def break_off(flights: Sequence[Flight]) -> None:
    """Cancel tests, and wait until they have ended."""
    for flight in flights:
        flight.cancel()
    for flight in flights:
        flight.wait_until_ended()
