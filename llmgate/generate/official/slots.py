"""One bound on requests in flight, for event loops and threads together."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Lease", "SharedSlots"]


class Lease:
    """A request's place, given back once.

    Attributes:
        attempt: The number of the next attempt, from 1.
        failed: How many of them failed.
        rated: How many were refused for the endpoint's rate limit.
    """

    def __init__(self, slots: SharedSlots, token: str, *, holds: bool) -> None:
        self.attempt = 1
        self.failed = 0
        self.rated = 0
        self._slots = slots
        self._token = token
        self._holds = holds
        self._streaming = False

    def streaming(self) -> None:
        """A stream keeps the place after the request has been answered, until `release`."""
        self._streaming = True
        self._slots.open_streams(self._token, 1)

    def done(self) -> None:
        """The request was answered."""
        if not self._streaming:
            self.release()

    def release(self) -> None:
        """Give the place back; again is no harm."""
        if self._streaming:
            self._streaming = False
            self._slots.open_streams(self._token, -1)
        if self._holds:
            self._holds = False
            self._slots.give_back()


class Waiter:
    """Somebody who waits for a place."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.granted = False


class SharedSlots:
    """Places for requests in flight.

    A case that reads a stream has a place already: what else it asks meanwhile needs none, or it would wait for itself.
    So does a synchronous request within an event loop, whose other requests it keeps from ending.

    Args:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._lock = threading.Lock()
        self._waiting: deque[Waiter] = deque()
        self._streams: Counter[str] = Counter()

    def take(self, token: str) -> Lease:
        """Wait for a place, in a thread."""
        event = threading.Event()
        waiter = Waiter(event.set)
        if not self._at_once(token, waiter, wait=not loop_runs_here()):
            return Lease(self, token, holds=False)
        if not waiter.granted:
            try:
                event.wait()
            except BaseException:
                self._leave(waiter)
                raise
        return Lease(self, token, holds=True)

    async def take_async(self, token: str) -> Lease:
        """Wait for a place, in an event loop."""
        loop = asyncio.get_running_loop()
        granted: asyncio.Future[None] = loop.create_future()
        waiter = Waiter(lambda: loop.call_soon_threadsafe(settle, granted))
        if not self._at_once(token, waiter, wait=True):
            return Lease(self, token, holds=False)
        if not waiter.granted:
            try:
                await granted
            except BaseException:
                self._leave(waiter)
                raise
        return Lease(self, token, holds=True)

    def _at_once(self, token: str, waiter: Waiter, *, wait: bool) -> bool:
        """Grant a place if one is free, and queue for one if not; False if none is needed."""
        with self._lock:
            if self._streams[token] > 0:
                return False
            if self._free > 0:
                self._free -= 1
                waiter.granted = True
            elif wait:
                self._waiting.append(waiter)
            else:
                return False
            return True

    def _leave(self, waiter: Waiter) -> None:
        with self._lock:
            if not waiter.granted:
                self._waiting.remove(waiter)
                return
        self.give_back()

    def give_back(self) -> None:
        """Hand a place to whoever waits longest."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                waiter = self._waiting.popleft()
                waiter.granted = True
            try:
                waiter.wake()
            except RuntimeError:
                continue  # its event loop has ended
            return

    def open_streams(self, token: str, by: int) -> None:
        """Count the streams that a case reads."""
        with self._lock:
            self._streams[token] += by
            if self._streams[token] <= 0:
                del self._streams[token]


def settle(granted: asyncio.Future[None]) -> None:
    """Tell a task that it has its place, if it still waits."""
    if not granted.done():
        granted.set_result(None)


def loop_runs_here() -> bool:
    """Whether this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
