"""A small HTTP/1.1 client whose only aim is to know when bytes arrived.

A read notes the time and the kernel's time stamp, and looks at its last four bytes; nothing else happens while a stream
comes. Headers are parsed with the first read, the body's framing when it seems to be over, its content afterwards. A
false alarm costs an early parse, never a wrong end.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import httptools

from llmgate.bench.client.response import HttpExchange, Reply, ResponseFraming
from llmgate.bench.client.stamps import KernelClock, StampedSocket
from llmgate.errors import BenchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_RESPONSE_BYTES", "Connection", "HttpExchange", "HttpOrigin", "Reply", "connect", "fetch", "trust"]

MAX_RESPONSE_BYTES = 64 * 2**20
"""A longer response is an error: it would be kept in memory until it is over."""
READ_BYTES = 64 * 2**10

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

    def posts(self, path: str) -> Callable[[bytes], bytes]:
        """What makes a POST request with a JSON body, ready for the socket, out of the body."""
        head = self._head("POST", path) + b"Content-Type: application/json\r\nContent-Length: "
        return lambda body: b"%b%d\r\n\r\n%b" % (head, len(body), body)

    def get(self, path: str) -> bytes:
        """A GET request for a path below the prefix, ready for the socket."""
        return self._head("GET", path) + b"\r\n"

    def post(self, path: str, body: bytes) -> bytes:
        """A POST request with a JSON body, ready for the socket."""
        return self.posts(path)(body)

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


class Connection(asyncio.BufferedProtocol):
    """One keep-alive connection: one exchange at a time, reported by a call from within the event loop.

    Args:
        stamped: The socket below it.
        clock: What the kernel's time stamps mean.

    Attributes:
        on_idle_end: Called when the server closes it while it carries no exchange.
        carried: Exchanges that have ended on it.
    """

    def __init__(self, stamped: StampedSocket, clock: KernelClock | None = None) -> None:
        self.on_idle_end: Callable[[Connection], None] | None = None
        self.carried = 0
        self._loop = asyncio.get_running_loop()
        self._socket = stamped
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._framing: ResponseFraming | None = None
        self._on_done: Callable[[Reply], None] | None = None
        self._sent_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reusable = True
        self._data: list[bytes] = []
        self._reads: list[tuple[int, float, bytes]] = []
        self._size = 0
        self._parsed = 0
        self._chunked = False

    @property
    def usable(self) -> bool:
        """Whether a request can be sent: connected, idle, and the last response left it in order."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and self._framing is None and self._reusable

    def send(self, request: bytes, on_done: Callable[[Reply], None], *, timeout_s: float) -> None:
        """Send a request; `on_done` gets the reply, complete or failed, exactly once.

        A connection sends a request once. Whether one that was `dropped` is sent again is the caller's decision.

        Raises:
            RuntimeError: If the connection is not usable.
        """
        if not self.usable:
            raise RuntimeError("the connection is closed or busy")
        self._framing = ResponseFraming()
        self._on_done = on_done
        self._timer = self._loop.call_later(timeout_s, self._timed_out, timeout_s)
        transport = cast("asyncio.Transport", self._transport)
        self._sent_s = time.perf_counter()
        transport.write(request)

    def close(self) -> None:
        """Close at once; an exchange in progress fails."""
        self.on_idle_end = None
        if self._transport is not None:
            self._transport.abort()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to put what came; emptied at once."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came: note when, and whether that was all."""
        now = time.perf_counter()
        data = bytes(self._buffer[:nbytes])
        self._data.append(data)
        self._reads.append((nbytes, now, self._socket.stamp))
        self._size += nbytes
        if self._chunked and nbytes >= len(END) and data[-4:] != END and self._size <= MAX_RESPONSE_BYTES:
            return
        self._look(now)

    def _look(self, now: float) -> None:
        """See whether the response is over."""
        framing = self._framing
        if framing is None:
            self._reusable = False
            self.close()
            return
        unparsed = self._data[self._parsed :]
        self._parsed = len(self._data)
        try:
            complete = framing.feed(unparsed[0] if len(unparsed) == 1 else b"".join(unparsed))
        except httptools.HttpParserError as error:
            self._finish(now, f"the response is not HTTP ({error})")
            return
        self._chunked = framing.chunked
        if complete:
            self._finish(self._arrived_s(now), None)
        elif self._size > MAX_RESPONSE_BYTES:
            self._finish(now, f"the response is longer than {MAX_RESPONSE_BYTES} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """The server closed, or the network failed."""
        self._transport = None
        framing = self._framing
        if framing is None:
            if self.on_idle_end is not None:
                self.on_idle_end(self)
            return
        now = time.perf_counter()
        try:
            framing.feed(b"".join(self._data[self._parsed :]))
        except httptools.HttpParserError as error:
            self._finish(now, f"the response is not HTTP ({error})")
            return
        complete = exc is None and framing.at_eof()
        why = f" ({exc})" if exc else ""
        cut = None if complete else f"the connection closed after {self._size} bytes{why}"
        self._finish(now, cut, dropped=self._size == 0)

    def _timed_out(self, timeout_s: float) -> None:
        self._finish(time.perf_counter(), f"no complete answer within {timeout_s:g} s")

    def _arrived_s(self, now: float) -> float:
        """When the last bytes arrived that were read at `now`."""
        if self._clock is None:
            return now
        time_s = self._clock.time_s(self._socket.stamp, after_s=self._sent_s, before_s=now)
        return now if time_s is None else time_s

    def _begin(self) -> None:
        """Forget the exchange before."""
        self._data, self._reads = [], []
        self._size = self._parsed = 0
        self._chunked = False

    def _finish(self, end_s: float, error: str | None, *, dropped: bool = False) -> None:
        framing, on_done, timer = self._framing, self._on_done, self._timer
        self._framing = self._on_done = self._timer = None
        if framing is None or on_done is None or timer is None:
            return
        timer.cancel()
        if error is not None or not framing.keep_alive:
            self._reusable = False
            self.close()
        framing.close()
        reply = Reply(
            sent_s=self._sent_s,
            end_s=end_s,
            error=error,
            data=b"".join(self._data),
            reads=tuple(self._reads),
            dropped=dropped,
            reused=self.carried > 0,
        )
        self.carried += 1
        self._begin()
        on_done(reply)


def trust(origin: HttpOrigin) -> ssl.SSLContext | None:
    """What to check a server's certificate against: the system's store (`SSL_CERT_FILE` is honoured); None without TLS.

    Reading the store takes tens of milliseconds, so it is done once, before a measurement.
    """
    return ssl.create_default_context() if origin.tls else None


async def connect(
    origin: HttpOrigin,
    *,
    ssl_context: ssl.SSLContext | None = None,
    clock: KernelClock | None = None,
    timeout_s: float = 10.0,
) -> Connection:
    """Open a connection.

    Args:
        origin: Where to.
        ssl_context: For https, by default that of `trust`.
        clock: What the kernel's time stamps mean; without it `Reply.end_s` is the time of reading.
        timeout_s: Longest time to wait for it.

    Raises:
        BenchError: If it cannot be reached.
    """
    context = (ssl_context or trust(origin)) if origin.tls else None
    try:
        async with asyncio.timeout(timeout_s):
            return await _connected(origin, context, clock)
    except (OSError, TimeoutError, UnicodeError) as error:
        why = str(error) or f"no connection within {timeout_s:g} s"
        raise BenchError(
            f"the server cannot be reached ({why})", where=str(origin), fix="Check that it runs and the URL is right"
        ) from error


async def _connected(origin: HttpOrigin, context: ssl.SSLContext | None, clock: KernelClock | None) -> Connection:
    """To the first of the host's addresses that answers."""
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        origin.host, origin.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    ):
        stamped = StampedSocket(family, kind, protocol)
        try:
            stamped.setblocking(False)
            stamped.ask_for_stamps()
            await loop.sock_connect(stamped, address)
        except BaseException as error:
            stamped.close()
            if not isinstance(error, OSError):
                raise
            failure = error
            continue
        name = origin.host if context is not None else None
        # From here on the socket is the transport's, which also closes it when the handshake fails.
        _, connection = await loop.create_connection(
            partial(Connection, stamped, clock), sock=stamped, ssl=context, server_hostname=name
        )
        return connection
    raise failure or OSError("the host has no address")


async def fetch(connection: Connection, request: bytes, *, timeout_s: float) -> HttpExchange:
    """Send one request and wait for its exchange.

    Raises:
        RuntimeError: If the connection is not usable.
    """
    done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    connection.send(request, done.set_result, timeout_s=timeout_s)
    return (await done).exchange(None)
