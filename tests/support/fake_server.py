"""An OpenAI-compatible fake that knows what it did: for tests, and as a script for benchmarks.

In a test::

    with FakeServer(answer=lambda body: "Paris", ttft_s=0.02, itl_s=0.005, slots=8) as server:
        ...  # ask server.url + "/v1/chat/completions"
    assert server.peak == 8
    assert server.seen[0].json["model"] == "fake-model"

As a script: `python fake_server.py --port 8123 --ttft-ms 20 --itl-ms 5 --words 64`.

Routes: `/health /version /v1/models /metrics /v1/chat/completions /v1/completions`, and `/truth` (JSON of `truth`).
It runs in a thread with an event loop of its own, on a free port unless told otherwise; several may run at once.

What a request gets:
    `answer(body)` gives the text (default: the last user message, or the prompt). Its tokens are its words, each with
    the white space before it, so the pieces of a stream join to the text. `max_tokens` cuts it (finish_reason
    `length`); with `ignore_eos` and `max_tokens` it is repeated to exactly that many tokens.
    The first token is due `ttft_s` after the request got a slot, each further one `itl_s` later (absolute deadlines,
    so lateness does not add up). Not streamed: the whole answer when the last token is due.

What can be read, also while it runs (all times `time.perf_counter`, one clock for all processes of a Linux host):
    `url`       base URL without `/v1`.
    `seen`      every generation request in order of arrival (method, path, headers in lower case, body, `json`).
    `samples`   (time, running) at each change; running excludes requests that wait for a slot. `peak`, `running`.
    `truth`     one `Truth` per answered request: when it was read, when each token was written, when it ended.
    All of it is on record before the last byte of an answer leaves, so a test may look as soon as it has the answer.

What can go wrong, on purpose:
    `faults`    a mapping from the number of a generation request (from 1, in order of arrival) to a `Fault`, or a
                callable `(number, body) -> Fault | None`; `every(n, fault)` makes one. May be assigned while it runs.
    `die_after` the server dies when generation request number `die_after + 1` arrives: it stops listening and drops
                every connection. `die()` does so at once, from any thread.
    `api_key`   requests with another one, or none, are answered 401.
    `lockstep`  (in flight, in all): a request is answered only while so many are in flight, or all have come. A client
                that keeps fewer in flight gets no answer, however fast or slow the machine is.
    `hangs_up`  every answer says that the connection is kept, and then the server closes it (llama.cpp after streams).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, cast

import httptools

__all__ = ["FakeServer", "Fault", "Seen", "Truth", "echo", "every"]

SO_TIMESTAMPNS = 35
BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
GENERATION = frozenset({"/v1/chat/completions", "/v1/completions"})


class Fault(StrEnum):
    """What a request gets instead of an answer."""

    HTTP_400 = "400"
    HTTP_500 = "500"
    RATE_LIMITED = "429"
    """With Retry-After: `retry_after`."""
    GARBAGE = "garbage"
    """Bytes that are not HTTP."""
    NOT_JSON = "not-json"
    """Status 200 with a body that is not JSON."""
    NO_CHOICES = "no-choices"
    """Status 200, JSON, but nothing of an answer in it."""
    CUT = "cut"
    """The connection closes in the middle of the body."""
    SILENT = "silent"
    """No byte ever comes."""
    REDIRECT = "redirect"
    """302 to `redirect_to`."""


Faults = Mapping[int, Fault] | Callable[[int, dict[str, Any]], Fault | None]


def every(n: int, fault: Fault) -> Callable[[int, dict[str, Any]], Fault | None]:
    """Let each n-th request fail."""
    return lambda number, _body: fault if number % n == 0 else None


def echo(body: dict[str, Any]) -> str:
    """The last user message of a chat, or the prompt."""
    if "messages" in body:
        users = [m["content"] for m in body["messages"] if m["role"] == "user"]
        return str(users[-1]) if users else ""
    return str(body.get("prompt", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One generation request as it arrived."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    time_s: float
    arrived_s: float = 0.0

    @property
    def json(self) -> dict[str, Any]:
        """The body, parsed."""
        return cast("dict[str, Any]", json.loads(self.body))


@dataclass(slots=True, kw_only=True)
class Truth:
    """What the server did with one request that it answered.

    Attributes:
        number: As in `Seen`.
        read_s: When the request had been read.
        arrived_s: When its last bytes had come, by the kernel (Linux); `read_s` where that is not known.
        started_s: When it had a slot.
        tokens_s: When each token was about to be handed to the socket (streamed requests).
        end_s: When the last byte was.
    """

    number: int
    read_s: float
    arrived_s: float = 0.0
    started_s: float = 0.0
    tokens_s: list[float] = field(default_factory=list)
    end_s: float = 0.0

    @property
    def ttft_s(self) -> float:
        """From reading the request, waiting for a slot included, to writing the first token."""
        return self.tokens_s[0] - self.read_s

    @property
    def gaps_s(self) -> list[float]:
        """Gaps between the writes of consecutive tokens."""
        return [b - a for a, b in zip(self.tokens_s, self.tokens_s[1:], strict=False)]


class _Stamped(socket.socket):
    """A socket whose reads bear the kernel's time stamp; made here and not taken from llmgate, which it judges."""

    stamp = b""

    def accept(self) -> tuple[socket.socket, Any]:
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        accepted = _Stamped(self.family, self.type, self.proto, fileno=descriptor)
        with contextlib.suppress(OSError):
            accepted.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        return accepted, address

    def recv(self, size: int, flags: int = 0) -> bytes:
        data, said, _, _ = self.recvmsg(size, socket.CMSG_SPACE(16), flags)
        self.stamp = said[0][2] if said else b""
        return data


def _ahead_s() -> float:
    """The clock of the day minus `perf_counter`."""
    tries = []
    for _ in range(9):
        before, day, after = time.perf_counter(), time.time(), time.perf_counter()
        tries.append((after - before, day - (before + after) / 2))
    return min(tries)[1]


class FakeServer:
    """See the module's text.

    Args:
        model: The name that `/v1/models` shows.
        answer: The text for a request body.
        ttft_s: Seconds from getting a slot to the first token.
        itl_s: Seconds between tokens.
        slots: How many requests run at once, the others wait; 0 for no limit.
        tokens_per_chunk: Tokens in one event of a stream.
        role_chunk: Whether a chat stream begins, at once, with an event that has a role and no token.
        usage: Whether token counts are sent (in a stream: if asked for).
        histogram: Whether `/metrics` has `vllm:time_to_first_token_seconds`.
        histogram_offset_s: Added to each value of that histogram: a server that disagrees.
        faults: See the module's text.
        retry_after: Value of that header with 429.
        redirect_to: Target of `Fault.REDIRECT`.
        die_after: See the module's text.
        api_key: Key that requests must carry.
        lockstep: See the module's text.
        hangs_up: See the module's text.
        host: Address to listen on.
        port: 0 for a free one.
        ssl: Server context for https.
    """

    def __init__(
        self,
        *,
        model: str = "fake-model",
        answer: Callable[[dict[str, Any]], str] = echo,
        ttft_s: float = 0.0,
        itl_s: float = 0.0,
        slots: int = 0,
        tokens_per_chunk: int = 1,
        role_chunk: bool = False,
        usage: bool = True,
        histogram: bool = True,
        histogram_offset_s: float = 0.0,
        faults: Faults | None = None,
        retry_after: str = "0",
        redirect_to: str = "http://elsewhere.invalid/v1/chat/completions",
        die_after: int | None = None,
        api_key: str | None = None,
        lockstep: tuple[int, int] | None = None,
        hangs_up: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: Any = None,
    ) -> None:
        self.model = model
        self.answer = answer
        self.ttft_s = ttft_s
        self.itl_s = itl_s
        self.slots = slots
        self.tokens_per_chunk = tokens_per_chunk
        self.role_chunk = role_chunk
        self.usage = usage
        self.histogram = histogram
        self.histogram_offset_s = histogram_offset_s
        self.faults: Faults = faults if faults is not None else {}
        self.retry_after = retry_after
        self.redirect_to = redirect_to
        self.die_after = die_after
        self.api_key = api_key
        self.lockstep = lockstep
        self.hangs_up = hangs_up
        self.host = host
        self.port = port
        self.ssl = ssl
        self.seen: list[Seen] = []
        self.samples: list[tuple[float, int]] = []
        self.truth: list[Truth] = []
        self.running = 0
        self.peak = 0
        self.connections = 0
        self.open: set[_Connection] = set()
        self.waiting: deque[_Answer] = deque()
        self.ttfts: list[float] = []
        self.events: dict[tuple[bool, str, str | None], bytes] = {}
        self.tokens = 0
        self.alive = False
        self.ahead_s = _ahead_s()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake-server", daemon=True)
        self._listening = threading.Event()
        self._failure: BaseException | None = None
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Base URL without `/v1`."""
        return f"{'https' if self.ssl else 'http'}://{self.host}:{self.port}"

    def __enter__(self) -> FakeServer:
        self._thread.start()
        self._listening.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self.loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def die(self) -> None:
        """Stop listening and drop every connection, at once."""
        done = threading.Event()

        def now() -> None:
            self._die()
            done.set()

        self.loop.call_soon_threadsafe(now)
        done.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self._server = self.loop.run_until_complete(
                self.loop.create_server(
                    lambda: _Connection(self), sock=self._listening_socket(), ssl=self.ssl, backlog=2048
                )
            )
            self.port = self._server.sockets[0].getsockname()[1]
            self.alive = True
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for us
            self._failure = error
        self._listening.set()
        if self._failure is None:
            self.loop.run_forever()
            self.loop.run_until_complete(self._drain())
        self.loop.close()

    def _listening_socket(self) -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        listening = _Stamped(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except BaseException:
            listening.close()
            raise
        return listening

    async def _drain(self) -> None:
        """End with no socket open: whoever was just accepted is dropped too, before the listening socket closes."""
        for listening in self._server.sockets if self._server else ():
            self.loop.remove_reader(listening.fileno())
        for _ in range(10):
            await asyncio.sleep(0.001)
        self._close()

    def _stop(self) -> None:
        self._drop()
        self.loop.stop()

    def _die(self) -> None:
        self._close()
        self._drop()

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()

    def _drop(self) -> None:
        self.alive = False
        for connection in list(self.open):
            connection.abort()

    # Called by connections, in the loop's thread.

    def change(self, by: int) -> None:
        """Count a request that starts or ends."""
        self.running += by
        self.peak = max(self.peak, self.running)
        self.samples.append((time.perf_counter(), self.running))

    def accept(self, connection: _Connection, seen: Seen) -> None:
        """Answer one generation request, now or when a slot is free."""
        self.seen.append(seen)
        if self.die_after is not None and seen.number > self.die_after:
            self._die()
            return
        try:
            body = seen.json
        except ValueError:
            connection.reply(400, _error("body is not JSON"))
            return
        fault = self.faults(seen.number, body) if callable(self.faults) else self.faults.get(seen.number)
        try:
            answer = _Answer(self, connection, seen, body, fault)
        except Exception as error:  # noqa: BLE001 - a bad `answer` must not kill the loop
            connection.reply(500, _error(f"{type(error).__name__}: {error}"))
            return
        if self.slots and self.running >= self.slots:
            self.waiting.append(answer)
        else:
            answer.start()

    def next(self) -> None:
        """Give a freed slot to who waits longest."""
        while self.waiting and (not self.slots or self.running < self.slots):
            self.waiting.popleft().start()

    def holds(self, number: int) -> bool:
        """Whether the answer to a request waits for others to come."""
        if self.lockstep is None:
            return False
        in_flight, in_all = self.lockstep
        return len(self.seen) < min(number + in_flight - 1, in_all)

    def metrics(self) -> bytes:
        """Prometheus text with the names that vLLM uses."""
        labels = f'engine="0",model_name="{self.model}"'
        lines = [
            "# TYPE vllm:num_requests_running gauge",
            f"vllm:num_requests_running{{{labels}}} {float(self.running)}",
            "# TYPE vllm:num_requests_waiting gauge",
            f"vllm:num_requests_waiting{{{labels}}} {float(len(self.waiting))}",
            "# TYPE vllm:generation_tokens_total counter",
            f"vllm:generation_tokens_total{{{labels}}} {float(self.tokens)}",
        ]
        if self.histogram:
            name = "vllm:time_to_first_token_seconds"
            lines.append(f"# TYPE {name} histogram")
            for bound in BUCKETS:
                count = sum(value <= bound for value in self.ttfts)
                lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {float(count)}')
            lines.append(f'{name}_bucket{{{labels},le="+Inf"}} {float(len(self.ttfts))}')
            lines.append(f"{name}_count{{{labels}}} {float(len(self.ttfts))}")
            lines.append(f"{name}_sum{{{labels}}} {sum(self.ttfts)!r}")
        return ("\n".join(lines) + "\n").encode()


class _Connection(asyncio.Protocol):
    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.transport: asyncio.Transport | None = None
        self.requests: deque[Callable[[], None]] = deque()
        self.busy = False
        self.silent: _Answer | None = None
        self._stamped: _Stamped | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        below = self.transport.get_extra_info("socket")
        below.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stamped = getattr(below, "_sock", None)
        self.server.connections += 1
        self.server.open.add(self)
        if not self.server.alive:  # it was being accepted while the server ended
            self.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.transport = None
        self.server.open.discard(self)
        if self.silent is not None:
            silent, self.silent = self.silent, None
            silent.end()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()
        self.pump()

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        path = self._url.decode().split("?")[0]
        headers, body, now = self._headers, b"".join(self._body), time.perf_counter()
        self.requests.append(lambda: self._route(method, path, headers, body, now))

    def pump(self) -> None:
        while self.requests and not self.busy and self.transport is not None:
            self.requests.popleft()()

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def reply(self, status: int, content: bytes | object, *extra: str, kind: str = "application/json") -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        head = [f"HTTP/1.1 {status} Fake", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *extra]
        self.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def _arrived_s(self, now: float) -> float:
        """When the bytes that were read last had come; `now` if the kernel did not say, or a time that cannot be."""
        stamp = self._stamped.stamp if self._stamped is not None else b""
        if len(stamp) != 16:
            return now
        seconds, nanoseconds = struct.unpack("@ll", stamp)
        arrived_s = seconds - self.server.ahead_s + nanoseconds * 1e-9
        return arrived_s if now - 1 < arrived_s < now else now

    def _route(self, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
        server = self.server
        locked = server.api_key is not None and path.startswith("/v1/")
        if locked and headers.get("authorization") != f"Bearer {server.api_key}":
            self.reply(401, _error("Unauthorized"))
        elif path in GENERATION and method == "POST":
            number = len(server.seen) + 1
            arrived_s = self._arrived_s(now)
            seen = Seen(
                number=number, method=method, path=path, headers=headers, body=body, time_s=now, arrived_s=arrived_s
            )
            server.accept(self, seen)
        elif path == "/v1/models":
            card = {"id": server.model, "object": "model", "owned_by": "fake", "root": server.model}
            self.reply(200, {"object": "list", "data": [{**card, "max_model_len": 32768}]})
        elif path == "/health":
            self.reply(200, b"")
        elif path == "/version":
            self.reply(200, {"version": "0.0.0-fake"})
        elif path == "/truth":
            self.reply(200, [asdict(t) for t in server.truth])
        elif path == "/metrics":
            self.reply(200, server.metrics(), kind="text/plain; version=0.0.4")
        else:
            self.reply(404, _error(f"no route {method} {path}"))


class _Answer:
    """One generation request on its way."""

    def __init__(
        self, server: FakeServer, connection: _Connection, seen: Seen, body: dict[str, Any], fault: Fault | None
    ) -> None:
        self.server = server
        self.connection = connection
        self.fault = fault
        self.chat = seen.path.endswith("/chat/completions")
        self.stream = bool(body.get("stream"))
        self.with_usage = server.usage and bool((body.get("stream_options") or {}).get("include_usage"))
        self.pieces, self.finish = _pieces(server.answer(body), body)
        self.prompt_tokens = max(1, len(re.findall(r"\S+", echo(body))))
        self.truth = Truth(number=seen.number, read_s=seen.time_s, arrived_s=seen.arrived_s)
        self.at = 0
        connection.busy = True

    def start(self) -> None:
        self.server.change(1)
        self.truth.started_s = time.perf_counter()
        if self.fault is not None and self.fault is not Fault.CUT:
            self._fail(self.fault)
            return
        if self.stream:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            role = {"role": "assistant", "content": ""}
            self.connection.write(head + (self._event(role, None) if self.chat and self.server.role_chunk else b""))
            first = self.server.ttft_s
        else:
            first = self.server.ttft_s + max(0, len(self.pieces) - 1) * self.server.itl_s
        self.due = self.server.loop.time() + first
        self.server.loop.call_at(self.due, self._fire)

    def _fire(self) -> None:
        if self.connection.transport is None or self.connection.transport.is_closing():
            self.end()
        elif self.server.holds(self.truth.number):
            self.server.loop.call_later(0.001, self._fire)
        elif self.stream:
            self._write_tokens()
        else:
            self._write_whole()

    def _write_tokens(self) -> None:
        server = self.server
        piece = "".join(self.pieces[self.at : self.at + server.tokens_per_chunk])
        self.at += server.tokens_per_chunk
        last = self.at >= len(self.pieces)
        data = self._quick({"content": piece}, self.finish if last else None)
        if self.fault is Fault.CUT and (last or self.at >= len(self.pieces) / 2):
            self.connection.write(data[: len(data) // 2])
            self.connection.close()
            self.end()
            return
        self.truth.tokens_s.append(time.perf_counter())
        if len(self.truth.tokens_s) == 1:
            server.ttfts.append(self.truth.ttft_s + server.histogram_offset_s)
        if last:
            self._done(lambda: self.connection.write(data + self._tail()))
        else:
            self.connection.write(data)
            self.due += server.itl_s * server.tokens_per_chunk
            server.loop.call_at(self.due, self._fire)

    def _write_whole(self) -> None:
        text = "".join(self.pieces)
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.finish, "logprobs": None}
        choice |= {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        content = self._base() | {"choices": [choice]} | ({"usage": self._usage()} if self.server.usage else {})
        self.server.ttfts.append(time.perf_counter() - self.truth.read_s + self.server.histogram_offset_s)
        if self.fault is Fault.CUT:
            data = json.dumps(content).encode()
            self.connection.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            self.connection.write(b"Content-Length: %d\r\n\r\n" % len(data) + data[: len(data) // 2])
            self.connection.close()
            self.end()
            return
        self._done(lambda: self.connection.reply(200, content))

    def _fail(self, fault: Fault) -> None:
        connection = self.connection
        if fault is Fault.SILENT:
            connection.silent = self  # keeps its slot until the client gives up, as a hung request does
            return
        if fault is Fault.GARBAGE:
            connection.write(b"\x00\xff\x13garbage\r\n\r\n\x80 not http \xfe")
            connection.close()
        elif fault is Fault.NOT_JSON:
            connection.reply(200, b"<html>gateway</html>", kind="text/html")
        elif fault is Fault.NO_CHOICES:
            connection.reply(200, {"object": "chat.completion", "id": "x"})
        elif fault is Fault.REDIRECT:
            connection.reply(302, b"", f"Location: {self.server.redirect_to}")
        elif fault is Fault.RATE_LIMITED:
            connection.reply(429, _error("rate limited"), f"Retry-After: {self.server.retry_after}")
        else:
            connection.reply(int(fault.value), _error("injected"))
        self.end()

    def _done(self, write: Callable[[], None]) -> None:
        # Everything is on record before the last byte leaves: who has the answer may look at once.
        self.truth.end_s = time.perf_counter()
        self.server.truth.append(self.truth)
        self.server.tokens += len(self.pieces)
        self.server.change(-1)
        write()
        if self.server.hangs_up:
            self.connection.close()
        self._free()

    def end(self) -> None:
        self.server.change(-1)
        self._free()

    def _free(self) -> None:
        self.connection.busy = False
        self.server.next()
        self.connection.pump()

    def _quick(self, delta: dict[str, str], finish: str | None) -> bytes:
        """As `_event`; JSON is written once per text, since a server that is slow itself is no truth."""
        key = (self.chat, delta.get("content", ""), finish)
        before = b'data: {"id":"fake-%d",' % self.truth.number
        after = self.server.events.get(key)
        if after is None:
            after = self._event(delta, finish).partition(b",")[2].removesuffix(b"\r\n")
            self.server.events[key] = after
        return _chunk(before + after)

    def _base(self) -> dict[str, Any]:
        kind = ("chat.completion" if self.chat else "text_completion") + (".chunk" if self.stream and self.chat else "")
        return {"id": f"fake-{self.truth.number}", "object": kind, "created": 1700000000, "model": self.server.model}

    def _usage(self) -> dict[str, int]:
        done = len(self.pieces)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": done,
            "total_tokens": self.prompt_tokens + done,
        }

    def _event(self, delta: dict[str, str], finish: str | None) -> bytes:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None}
        choice |= {"delta": delta} if self.chat else {"text": delta["content"]}
        return _sse(self._base() | {"choices": [choice]})

    def _tail(self) -> bytes:
        usage = _sse(self._base() | {"choices": [], "usage": self._usage()}) if self.with_usage else b""
        return usage + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def _pieces(text: str, body: Mapping[str, Any]) -> tuple[list[str], str]:
    words = re.findall(r"\s*\S+|\s+$", text) or [""]
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is None:
        return words, "stop"
    if body.get("ignore_eos"):
        longer = [*words, *([w if w[:1].isspace() else " " + w for w in words] * (limit // len(words)))]
        return longer[:limit], "length"
    return words[:limit], "length" if len(words) > limit else "stop"


def _sse(content: object) -> bytes:
    return _chunk(b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "fake", "code": 0}}


def main() -> None:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(description="OpenAI-compatible fake with known timing")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--model", default="fake-model")
    parser.add_argument("--ttft-ms", type=float, default=20.0)
    parser.add_argument("--itl-ms", type=float, default=5.0)
    parser.add_argument("--slots", type=int, default=0)
    parser.add_argument("--words", type=int, default=0, help="answer with that many words instead of an echo")
    parser.add_argument("--role-chunk", action="store_true")
    given = parser.parse_args()
    text = " ".join(["hello"] * given.words)
    server = FakeServer(
        model=given.model,
        answer=(lambda _body: text) if given.words else echo,
        ttft_s=given.ttft_ms / 1e3,
        itl_s=given.itl_ms / 1e3,
        slots=given.slots,
        role_chunk=given.role_chunk,
        host=given.host,
        port=given.port,
    )
    with server, contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(f"fake server on {server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
