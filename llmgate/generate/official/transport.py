"""Transports for the official client's HTTP library, which send by the library's own and record at a `Desk`.

The library is `httpx` or its successor `httpx2`, whichever the installed `openai` uses; both have the same classes, and
`mixed` derives from them.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmgate.generate.official.desk import Desk, OfficialRequest, Tried, Watched, is_stream
from llmgate.generate.replies import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from llmgate.generate.official.slots import Lease

__all__ = ["mixed", "transports"]


def transports(desk: Desk, new_async: Callable[..., Any], new_sync: Callable[[], Any]) -> tuple[Any, Any]:
    """The transports for the asynchronous and the synchronous client.

    Args:
        desk: What they share.
        new_async: Makes the transport that really sends, one per event loop; `keep` says whether connections are kept.
        new_sync: The same for threads.
    """
    library = desk.library
    return (
        mixed(AsyncRecording, library.AsyncBaseTransport)(desk, new_async),
        mixed(SyncRecording, library.BaseTransport)(desk, new_sync),
    )


def mixed(ours: type, theirs: type) -> Any:
    """Our class as one of theirs, which the library wants to see."""
    return type(ours.__name__, (ours, theirs), {})


def bounded(raw: bytearray) -> None:
    """Give up beyond the limit.

    Raises:
        OSError: If a body is too large.
    """
    if len(raw) > MAX_BODY_BYTES:
        raise OSError(f"the answer is larger than {MAX_BODY_BYTES} bytes")


class Recording:
    """What both have in common."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def _begin(self, lease: Lease) -> tuple[Tried, float]:
        tried = Tried(attempt=lease.attempt, started_s=time.time())
        lease.attempt += 1
        return tried, time.perf_counter()

    def _answered(self, asked: OfficialRequest, response: Any, raw: bytes, tried: Tried) -> Tried:
        """The attempt with a response that the client can read as if it came from the server just now."""
        library = self._desk.library
        content = raw
        if "content-encoding" in response.headers:
            content = library.Response(response.status_code, headers=response.headers, content=raw).content
        response.stream = library.ByteStream(raw)
        return self._desk.read(asked, replace(tried, response=response), content)

    def _failed(self, tried: Tried, started: float, error: Exception) -> Tried:
        late = isinstance(error, TimeoutError | self._desk.library.TimeoutException)
        return self._desk.failed(replace(tried, latency_s=time.perf_counter() - started), error, late=late)


class AsyncWatched:
    """A stream for event loops."""

    def __init__(self, stream: Any, watched: Watched, errors: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._watched = watched
        self._errors = errors

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes, as they come."""
        try:
            async for part in self._stream:
                self._watched.keep(part)
                yield part
        except self._errors as error:
            self._watched.end(error)
            raise
        self._watched.end()

    async def aclose(self) -> None:
        """No more of it is wanted."""
        try:
            await self._stream.aclose()
        finally:
            self._watched.end(closed=True)


class SyncWatched:
    """A stream for threads."""

    def __init__(self, stream: Any, watched: Watched, errors: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._watched = watched
        self._errors = errors

    def __iter__(self) -> Iterator[bytes]:
        """The bytes, as they come."""
        try:
            for part in self._stream:
                self._watched.keep(part)
                yield part
        except self._errors as error:
            self._watched.end(error)
            raise
        self._watched.end()

    def close(self) -> None:
        """No more of it is wanted."""
        try:
            self._stream.close()
        finally:
            self._watched.end(closed=True)


class AsyncRecording(Recording):
    """For event loops: connections belong to the loop in which they were made."""

    def __init__(self, desk: Desk, new: Callable[..., Any]) -> None:
        super().__init__(desk)
        self._new = new
        self._inner: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._making = threading.Lock()
        self._stream = mixed(AsyncWatched, desk.library.AsyncByteStream)

    async def handle_async_request(self, request: Any) -> Any:
        """Ask as often as needed, and give what came of it."""
        desk = self._desk
        asked = desk.take(request, await request.aread())
        if asked.refused:
            return desk.refuse(asked, request)
        lease = await desk.slots.take_async(asked.token)
        try:
            while True:
                if (useless := desk.before(lease.attempt)) is not None:
                    return desk.ended(asked, useless, request)
                tried = await self._attempt(request, asked, lease)
                pause_s = desk.after(tried, lease)
                if pause_s is None:
                    return desk.ended(asked, tried, request)
                await asyncio.sleep(pause_s)
        finally:
            lease.done()

    async def _attempt(self, request: Any, asked: OfficialRequest, lease: Lease) -> Tried:
        errors = (self._desk.library.RequestError, OSError)
        tried, started = self._begin(lease)
        try:
            async with asyncio.timeout(self._desk.retry.timeout_s):
                response = await self._transport().handle_async_request(request)
                if is_stream(asked, response):
                    tried = replace(tried, status=200, response=response, watched=True)
                    watched = Watched(self._desk, asked, tried, lease=lease, started=started)
                    response.stream = self._stream(response.stream, watched, errors)
                    return tried
                raw = bytearray()
                try:
                    async for part in response.stream:
                        raw += part
                        bounded(raw)
                finally:
                    await response.stream.aclose()
                tried = replace(tried, latency_s=time.perf_counter() - started)
                return self._answered(asked, response, bytes(raw), tried)
        except errors as error:  # what took too long is an OSError, too
            return self._failed(tried, started, error)

    def _transport(self) -> Any:
        loop = asyncio.get_running_loop()
        with self._making:
            if loop not in self._inner:
                # A loop that a test runs for itself may end at any time, and nobody could close its connections.
                others = any(not other.is_closed() for other in self._inner)
                self._inner[loop] = self._new(keep=not others)
            return self._inner[loop]

    async def aclose(self) -> None:
        """Close the connections of all loops that run."""
        with self._making:
            made = list(self._inner.items())
            self._inner.clear()
        here = asyncio.get_running_loop()
        for loop, transport in made:
            if loop is here:
                await transport.aclose()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(transport.aclose(), loop))


class SyncRecording(Recording):
    """For threads."""

    def __init__(self, desk: Desk, new: Callable[[], Any]) -> None:
        super().__init__(desk)
        self._inner = new()
        self._stream = mixed(SyncWatched, desk.library.SyncByteStream)

    def handle_request(self, request: Any) -> Any:
        """Ask as often as needed, and give what came of it."""
        desk = self._desk
        asked = desk.take(request, request.read())
        if asked.refused:
            return desk.refuse(asked, request)
        lease = desk.slots.take(asked.token)
        try:
            while True:
                if (useless := desk.before(lease.attempt)) is not None:
                    return desk.ended(asked, useless, request)
                tried = self._attempt(request, asked, lease)
                pause_s = desk.after(tried, lease)
                if pause_s is None:
                    return desk.ended(asked, tried, request)
                time.sleep(pause_s)
        finally:
            lease.done()

    def _attempt(self, request: Any, asked: OfficialRequest, lease: Lease) -> Tried:
        errors = (self._desk.library.RequestError, OSError)
        tried, started = self._begin(lease)
        try:
            response = self._inner.handle_request(request)
            if is_stream(asked, response):
                tried = replace(tried, status=200, response=response, watched=True)
                watched = Watched(self._desk, asked, tried, lease=lease, started=started)
                response.stream = self._stream(response.stream, watched, errors)
                return tried
            raw = bytearray()
            try:
                for part in response.stream:
                    raw += part
                    bounded(raw)
                    if time.perf_counter() - started > self._desk.retry.timeout_s:
                        raise TimeoutError
            finally:
                response.stream.close()
            tried = replace(tried, latency_s=time.perf_counter() - started)
            return self._answered(asked, response, bytes(raw), tried)
        except errors as error:
            return self._failed(tried, started, error)

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()
