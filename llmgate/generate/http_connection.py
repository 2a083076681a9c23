"""One HTTP/1.1 connection that carries one request at a time: what the client of suites asks by.

A request costs a write, a read and one pass of a parser in C. What a server may do to a client is bounded: the head of
a response, its body, the body once it is unpacked, and the time until its last byte. Redirects are answers like others.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import httptools

from llmgate.generate.replies import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EndpointConnection", "HttpAnswer", "HttpHeaders"]

FRAMED: Final = frozenset({b"content-length", b"transfer-encoding"})
"""A response with one of these says itself where it ends."""
MAX_HEAD_BYTES: Final = 256 * 1024
"""Of a response's status line and headers; servers and gateways stay below a tenth of it."""
AUTO_FORMAT: Final = 32 + zlib.MAX_WBITS
"""zlib finds out by itself whether it is gzip or zlib."""


class HttpHeaders(Mapping[str, str]):
    """Headers of a response. A name is looked up in any case, and stands for the first of that name.

    `items` has every header as it came, those of one name too.
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self._pairs = tuple((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in pairs)

    def __getitem__(self, name: str) -> str:
        """The first value of that name."""
        wanted = name.lower()
        for known, value in self._pairs:
            if known.lower() == wanted:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        """Every name, once for each header."""
        return (name for name, _ in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]  # a header may come twice
        """Every header."""
        return list(self._pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """A whole response.

    Attributes:
        status: Of HTTP, 200 or higher.
        headers: Of the response.
        body: Its content, unpacked where the server packed it.
        end_s: When the last byte was read, by `time.perf_counter`.
    """

    status: int
    headers: HttpHeaders
    body: bytes
    end_s: float


class EndpointConnection(asyncio.BufferedProtocol):
    """A connection that stands. The event loop calls everything from `connection_made` on.

    Args:
        buffer: Where what comes is put; several connections of one event loop may share it, as it is read at once.
        idle: Called when it can carry another request.
        gone: Called when it is closed.

    Attributes:
        idle_since_s: When its last answer ended, by the loop's clock.
    """

    def __init__(
        self,
        buffer: memoryview,
        *,
        idle: Callable[[EndpointConnection], None],
        gone: Callable[[EndpointConnection], None],
    ) -> None:
        self.idle_since_s = 0.0
        self._idle = idle
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = buffer
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[HttpAnswer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._forget()

    def _forget(self) -> None:
        """Begin anew: nothing of the response before is left."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._status = 0
        self._came = 0
        self._size = 0
        self._complete = False
        self._surplus = False
        self._keeps = False
        self._until_closed = False

    @property
    def usable(self) -> bool:
        """Whether it can carry a request now."""
        return self._transport is not None and not self._transport.is_closing() and self._waiter is None

    async def exchange(self, request: bytes, *, timeout_s: float) -> HttpAnswer:
        """Send a request, ready for the socket, and wait for the whole answer.

        Raises:
            TimeoutError: If it has not come whole in time.
            OSError: If it cannot come any more, is not HTTP, is too large, or is packed in a way nobody asked for.
        """
        transport = self._transport
        if transport is None or self._waiter is not None:
            raise ConnectionError("the connection is closed or busy")
        waiter: asyncio.Future[HttpAnswer] = self._loop.create_future()
        self._waiter = waiter
        self._timer = self._loop.call_later(timeout_s, self._fail, TimeoutError())
        transport.write(request)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._fail(ConnectionAbortedError("nobody waits for the answer any more"))
            raise

    def close(self) -> None:
        """Close at once; who waits for an answer gets an error."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to put what came; it is read at once."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        if self._waiter is None or self._parser is None:
            # Nobody asked: whatever it is would be taken for the next answer.
            self.close()
            return
        self._came += nbytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                self._fail(ConnectionError(f"the response is not HTTP ({error or type(error).__name__})"))
                return
            self._surplus = True
        if self._size > MAX_BODY_BYTES or self._came > MAX_BODY_BYTES + MAX_HEAD_BYTES:
            self._fail(OSError(f"the answer is larger than {MAX_BODY_BYTES} bytes"))
        elif self._complete:
            self._finish()
        elif not self._status and self._came > MAX_HEAD_BYTES:
            self._fail(OSError(f"the head of the answer is larger than {MAX_HEAD_BYTES} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The server closed it, or the network failed."""
        # The two hold each other.
        self._transport = self._parser = None
        self._gone(self)
        if self._waiter is None:
            return
        if exc is None and self._status and self._until_closed:
            self._finish()
            return
        why = f" ({exc})" if exc else ""
        said = f"after {self._came} bytes of the answer" if self._came else "before it answered"
        self._fail(ConnectionResetError(f"the server closed the connection {said}{why}"))

    # Called by the parser.

    def on_message_begin(self) -> None:
        """A response begins; a second one was not asked for."""
        self._surplus = self._surplus or self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which says nothing."""
        if not self._status:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is over; after one of 1xx another response follows."""
        if self._complete or self._parser is None:
            return
        status = int(self._parser.get_status_code())
        if status < 200:
            self._headers.clear()
            return
        self._status = status
        # The parser says so only here; afterwards it has forgotten this response.
        self._keeps = bool(self._parser.should_keep_alive())
        self._until_closed = FRAMED.isdisjoint([name.lower() for name, _ in self._headers])

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if not self._complete:
            self._size += len(body)
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The last byte of a response."""
        self._complete = self._complete or self._status > 0

    # The end.

    def _finish(self) -> None:
        end_s = time.perf_counter()
        headers, parts, status = HttpHeaders(self._headers), self._parts, self._status
        reusable = self._keeps and self._complete and not self._surplus
        waiter = self._settled()
        if reusable and self.usable:
            self.idle_since_s = self._loop.time()
            self._idle(self)
        else:
            self.close()
        if waiter is None or waiter.done():
            return
        try:
            body = unpacked(parts[0] if len(parts) == 1 else b"".join(parts), headers.get("content-encoding", ""))
        except OSError as error:
            waiter.set_exception(error)
        else:
            waiter.set_result(HttpAnswer(status=status, headers=headers, body=body, end_s=end_s))

    def _fail(self, error: Exception) -> None:
        waiter = self._settled()
        self.close()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _settled(self) -> asyncio.Future[HttpAnswer] | None:
        """The one who waits, of whom nothing is known here any more."""
        waiter, self._waiter = self._waiter, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._forget()
        return waiter


def unpacked(body: bytes, encoding: str) -> bytes:
    """The content of a body that a server may have packed, although nobody asked it to.

    Raises:
        OSError: If it is damaged, larger than an answer may be, or packed in another way than gzip or deflate.
    """
    named = encoding.strip().lower()
    if named in {"", "identity"}:
        return body
    if named not in {"gzip", "x-gzip", "deflate"}:
        raise OSError(f"the answer is packed as {named[:40]!a}, which was not asked for")
    try:
        unpacker = zlib.decompressobj(AUTO_FORMAT)
        content = unpacker.decompress(body, MAX_BODY_BYTES + 1)
        whole = unpacker.eof
    except zlib.error as error:
        raise OSError(f"the answer cannot be unpacked ({error})") from error
    if len(content) > MAX_BODY_BYTES:
        raise OSError(f"the answer is larger than {MAX_BODY_BYTES} bytes")
    if not whole:
        raise OSError("the answer cannot be unpacked (it is cut)")
    return content
