"""Where a response ends, found with as little work as possible while it comes, and its body, read afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import httptools

if TYPE_CHECKING:
    from llmgate.bench.client.stamps import KernelClock

__all__ = ["HttpExchange", "Reply", "ResponseFraming"]

END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpExchange:
    """One request and what came back. Times in seconds of `time.perf_counter`.

    Attributes:
        sent_s: When the request's first byte was handed to the socket.
        end_s: When the last byte of the response arrived, or the exchange failed.
        status: HTTP status, 0 if none came.
        headers: Names in lower case.
        pieces: Body bytes in order, each with the time at which it arrived.
        error: Why the response is not complete, None if it is. A status is not an error here.
        unstamped: Reads without a time stamp of the kernel: their time is that at which this process read them.
    """

    sent_s: float
    end_s: float
    status: int = 0
    headers: Mapping[str, str]
    pieces: tuple[tuple[float, bytes], ...] = ()
    error: str | None = None
    unstamped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An exchange that has ended, not yet read.

    Attributes:
        sent_s: As in `HttpExchange`.
        end_s: As in `HttpExchange`.
        error: As in `HttpExchange`.
        data: All bytes that came.
        reads: Per read: how many bytes, when this process read them, and the kernel's time stamp.
        dropped: Whether the connection closed before a single byte came.
        reused: Whether the connection had carried another exchange before.
    """

    sent_s: float
    end_s: float
    error: str | None
    data: bytes
    reads: tuple[tuple[int, float, bytes], ...]
    dropped: bool = False
    reused: bool = False

    def exchange(self, clock: KernelClock | None) -> HttpExchange:
        """Read it.

        Args:
            clock: What the kernel's time stamps mean; None if they are not to be used.
        """
        body = _Body()
        last_s, unstamped, at = self.sent_s, 0, 0
        for (_, read_s, stamp), end in zip(self.reads, accumulate(size for size, _, _ in self.reads), strict=True):
            time_s = None if clock is None else clock.time_s(stamp, after_s=last_s, before_s=read_s)
            unstamped += time_s is None
            last_s = read_s if time_s is None else time_s
            body.feed(last_s, self.data[at:end])
            at = end
        body.close()
        return HttpExchange(
            sent_s=self.sent_s,
            end_s=max(self.end_s, last_s),
            status=body.status,
            headers=body.headers,
            pieces=tuple(body.pieces),
            error=self.error,
            unstamped=unstamped,
        )


class ResponseFraming:
    """Finds the end of a response.

    Attributes:
        complete: Whether the last byte has come.
        surplus: Whether bytes came after it: such a connection cannot be used again.
        chunked: Whether the body is sent in chunks, so that bytes which do not end with an empty line do not end it.
    """

    def __init__(self) -> None:
        self.complete = False
        self.surplus = False
        self.chunked = False
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._final = False
        self._keep_alive = False
        self._has_length = False

    def feed(self, data: bytes) -> bool:
        """Take bytes; whether the response is complete.

        Raises:
            httptools.HttpParserError: If it is not HTTP.
        """
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise httptools.HttpParserError(str(error) or type(error).__name__) from error
            self.surplus = True
        return self.complete

    def at_eof(self) -> bool:
        """Whether the response is complete now that the server has closed: it had no length of its own."""
        if self._final and not self.chunked and not self._has_length:
            self.complete = True
        return self.complete

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request."""
        return self.complete and not self.surplus and self._keep_alive

    def close(self) -> None:
        """Let go of the parser, which holds this object: the garbage collector does not run during a measurement."""
        del self._parser

    # Called by the parser.

    def on_message_begin(self) -> None:
        """A response begins; a second one was not asked for."""
        self.surplus = self.surplus or self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The body's framing is known; 1xx responses have none and another response follows."""
        if self.complete:
            return
        if self._parser.get_status_code() >= 200:
            self._final = True
            # Later the parser has forgotten this response and says no.
            self._keep_alive = bool(self._parser.should_keep_alive())
            self.chunked = any(n == b"transfer-encoding" and b"chunked" in v.lower() for n, v in self._headers)
            self._has_length = any(name == b"content-length" for name, _ in self._headers)
        self._headers.clear()

    def on_message_complete(self) -> None:
        """The last byte of a response."""
        self.complete = self.complete or self._final


class _Body:
    """Status, headers and body of a response whose end is known."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[tuple[float, bytes]] = []
        self._parser = httptools.HttpResponseParser(self)
        self._now = 0.0
        self._complete = False

    def feed(self, now: float, data: bytes) -> None:
        """Take bytes that arrived at `now`; what is not HTTP was found before."""
        self._now = now
        with suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._parser.feed_data(data)

    def close(self) -> None:
        """As for `ResponseFraming`."""
        del self._parser

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._complete:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        if not self._complete and self._parser.get_status_code() >= 200:
            self.status = int(self._parser.get_status_code())

    def on_body(self, body: bytes) -> None:
        if not self._complete:
            self.pieces.append((self._now, body))

    def on_message_complete(self) -> None:
        if self.status:
            self._complete = True
        else:
            self.headers.clear()
