"""A small HTTP/1.1 client whose only aim is to know when bytes arrived.

`data_received` notes the time and looks at the last four bytes; headers are parsed with the first read, the body's
framing when it seems to be over, its JSON not here at all. A false alarm costs an early parse, never a wrong end.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

from llmgate.errors import BenchError, UsageError

__all__ = ["MAX_RESPONSE_BYTES", "Connection", "Exchange", "HttpOrigin", "ResponseReader", "connect", "fetch"]

MAX_RESPONSE_BYTES = 64 * 2**20
"""A longer response is an error: it would be kept in memory until it is over."""

END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOrigin:
    """Where requests go.

    Attributes:
        host: Name or address.
        port: Port.
        tls: Whether to speak TLS.
        prefix: Path before `/v1`, without a slash at its end.
        api_key: Sent as a bearer token, never to another host: redirects are not followed.
    """

    host: str
    port: int
    tls: bool
    prefix: str = ""
    api_key: str | None = None

    @classmethod
    def parse(cls, url: str, *, api_key: str | None = None) -> HttpOrigin:
        """Read a base URL, with or without `/v1` at its end.

        Raises:
            UsageError: If it is no http(s) URL, or the key cannot stand in a header.
        """
        fix = "Give the base URL of an OpenAI-compatible server, such as http://127.0.0.1:8000"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"not a URL ({error})", where=url, fix=fix) from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError("not an http or https URL", where=url, fix=fix)
        if parts.query or parts.fragment or parts.username or not url.isascii() or " " in url:
            raise UsageError("a base URL has no query, no user and only plain ASCII characters", fix=fix)
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key):
            raise UsageError(
                "the API key has characters that cannot stand in a header",
                where=url,
                fix="Look for a line break or a space at its end",
            )
        tls = parts.scheme == "https"
        prefix = parts.path.rstrip("/").removesuffix("/v1")
        return cls(host=parts.hostname, port=port or (443 if tls else 80), tls=tls, prefix=prefix, api_key=api_key)

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self._authority}{self.prefix}"

    def get(self, path: str) -> bytes:
        """A GET request for a path below the prefix, ready for the socket."""
        return self._head("GET", path) + b"\r\n"

    def post(self, path: str, body: bytes) -> bytes:
        """A POST request with a JSON body, ready for the socket."""
        head = self._head("POST", path)
        return head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def _head(self, method: str, path: str) -> bytes:
        lines = [
            f"{method} {self.prefix}{path} HTTP/1.1",
            f"Host: {self._authority}",
            "User-Agent: llmgate-bench",
            "Accept: */*",
            "Accept-Encoding: identity",
        ]
        if self.api_key is not None:
            lines.append(f"Authorization: Bearer {self.api_key}")
        return "".join(f"{line}\r\n" for line in lines).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what came back. Times in seconds of `time.perf_counter`.

    Attributes:
        sent_s: When the request's first byte was handed to the socket.
        end_s: When the last byte of the response arrived, or the exchange failed.
        status: HTTP status, 0 if none came.
        headers: Names in lower case.
        pieces: Body bytes in order, each with the time at which it arrived.
        error: Why the response is not complete, None if it is. A status is not an error here.
    """

    sent_s: float
    end_s: float
    status: int = 0
    headers: Mapping[str, str]
    pieces: tuple[tuple[float, bytes], ...] = ()
    error: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(len(data) for _, data in self.pieces)


class ResponseReader:
    """Finds the end of a response and keeps its body in pieces with their times.

    Attributes:
        status: HTTP status, 0 before it is known.
        headers: Names in lower case; a repeated one is joined with commas.
        pieces: Body so far, as far as it has been parsed.
        complete: Whether the last byte has come.
        surplus: Whether bytes came after it: such a connection cannot be used again.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[tuple[float, bytes]] = []
        self.complete = False
        self.surplus = False
        self.size = 0
        self._parser = httptools.HttpResponseParser(self)
        self._unparsed: list[tuple[float, bytes]] = []
        self._now = 0.0
        self._body_known = False
        self._keep_alive = False
        self._chunked = False
        self._missing: int | None = None
        self._tail = b""

    def feed(self, now: float, data: bytes) -> bool:
        """Take bytes that arrived at `now`; whether the response is complete.

        Raises:
            httptools.HttpParserError: If it is not HTTP.
        """
        self.size += len(data)
        self._unparsed.append((now, data))
        self._tail = (self._tail + data[-len(END) :])[-len(END) :]
        if self._body_known:
            if self._chunked:
                if self._tail != END:
                    return False
            elif self._missing is None:
                return False
            else:
                self._missing -= len(data)
                if self._missing > 0:
                    return False
        self.parse()
        return self.complete

    def parse(self) -> None:
        """Parse what has been put off.

        Raises:
            httptools.HttpParserError: If it is not HTTP.
        """
        unparsed, self._unparsed = self._unparsed, []
        for now, data in unparsed:
            self._now = now
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                if not self.complete:
                    raise httptools.HttpParserError(str(error) or type(error).__name__) from error
                self.surplus = True
        if self._missing is not None:
            self._missing = int(self.headers["content-length"]) - sum(len(data) for _, data in self.pieces)

    def at_eof(self) -> bool:
        """Whether the response is complete now that the server has closed: it had no length of its own."""
        self.parse()
        if self._body_known and not self._chunked and self._missing is None:
            self.complete = True
        return self.complete

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request."""
        return self.complete and not self.surplus and self._keep_alive

    # Called by the parser.

    def on_message_begin(self) -> None:
        """A response begins; a second one was not asked for."""
        self.surplus = self.surplus or self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if not self.complete:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        """The body's framing is known; 1xx responses have none and another response follows."""
        if self.complete:
            return
        self.status = int(self._parser.get_status_code())
        if self.status >= 200:
            self._body_known = True
            # Later the parser has forgotten this response and says no.
            self._keep_alive = bool(self._parser.should_keep_alive())
            self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
            if not self._chunked and "content-length" in self.headers:
                self._missing = int(self.headers["content-length"])

    def on_body(self, body: bytes) -> None:
        """A piece of the body, without its framing."""
        if not self.complete:
            self.pieces.append((self._now, body))

    def on_message_complete(self) -> None:
        """The last byte of a response."""
        if self._body_known:
            self.complete = True
        else:
            self.headers.clear()


class Connection(asyncio.Protocol):
    """One keep-alive connection: one exchange at a time, reported by a call from within the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._on_done: Callable[[Exchange], None] | None = None
        self._sent_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reusable = True

    @property
    def usable(self) -> bool:
        """Whether a request can be sent: connected, idle, and the last response left it in order."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and self._reader is None and self._reusable

    def send(self, request: bytes, on_done: Callable[[Exchange], None], *, timeout_s: float) -> None:
        """Send a request; `on_done` gets the exchange, complete or failed, exactly once.

        A request is never sent twice: whoever finds the connection not `usable` opens another one before sending.

        Raises:
            RuntimeError: If the connection is not usable.
        """
        if not self.usable:
            raise RuntimeError("the connection is closed or busy")
        self._reader = ResponseReader()
        self._on_done = on_done
        self._timer = self._loop.call_later(timeout_s, self._timed_out, timeout_s)
        transport = cast("asyncio.Transport", self._transport)
        self._sent_s = time.perf_counter()
        transport.write(request)

    def close(self) -> None:
        """Close at once; an exchange in progress fails."""
        if self._transport is not None:
            self._transport.abort()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came: note when, and whether that was all."""
        now = time.perf_counter()
        reader = self._reader
        if reader is None:
            self._reusable = False
            self.close()
            return
        try:
            complete = reader.feed(now, data)
        except httptools.HttpParserError as error:
            self._finish(now, f"the response is not HTTP ({error})")
            return
        if complete:
            self._finish(now, None)
        elif reader.size > MAX_RESPONSE_BYTES:
            self._finish(now, f"the response is longer than {MAX_RESPONSE_BYTES} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """The server closed, or the network failed."""
        self._transport = None
        if self._reader is None:
            return
        now = time.perf_counter()
        try:
            complete = exc is None and self._reader.at_eof()
        except httptools.HttpParserError as error:
            self._finish(now, f"the response is not HTTP ({error})")
            return
        why = f" ({exc})" if exc else ""
        self._finish(now, None if complete else f"the connection closed after {self._reader.size} bytes{why}")

    def _timed_out(self, timeout_s: float) -> None:
        self._finish(time.perf_counter(), f"no complete answer within {timeout_s:g} s")

    def _finish(self, now: float, error: str | None) -> None:
        reader, on_done, timer = self._reader, self._on_done, self._timer
        self._reader = self._on_done = self._timer = None
        if reader is None or on_done is None or timer is None:
            return
        timer.cancel()
        if error is not None:
            with suppress(httptools.HttpParserError):
                reader.parse()  # what came before it broke
        if error is not None or not reader.keep_alive:
            self._reusable = False
            self.close()
        on_done(
            Exchange(
                sent_s=self._sent_s,
                end_s=now,
                status=reader.status,
                headers=reader.headers,
                pieces=tuple(reader.pieces),
                error=error,
            )
        )


async def connect(
    origin: HttpOrigin, *, ssl_context: ssl.SSLContext | None = None, timeout_s: float = 10.0
) -> Connection:
    """Open a connection.

    Args:
        origin: Where to.
        ssl_context: For https, the system's trust store by default (`SSL_CERT_FILE` is honoured).
        timeout_s: Longest time to wait for it.

    Raises:
        BenchError: If it cannot be reached.
    """
    loop = asyncio.get_running_loop()
    context = (ssl_context or ssl.create_default_context()) if origin.tls else None
    try:
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(Connection, origin.host, origin.port, ssl=context)
    except (OSError, TimeoutError, UnicodeError) as error:
        why = str(error) or f"no connection within {timeout_s:g} s"
        raise BenchError(
            f"the server cannot be reached ({why})", where=str(origin), fix="Check that it runs and the URL is right"
        ) from error
    return connection


async def fetch(connection: Connection, request: bytes, *, timeout_s: float) -> Exchange:
    """Send one request and wait for its exchange.

    Raises:
        RuntimeError: If the connection is not usable.
    """
    done: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
    connection.send(request, done.set_result, timeout_s=timeout_s)
    return await done
