"""The connection: where a response ends, what breaks it, when it may be used again."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.fake_server import FakeServer

from llmgate.bench.client.http import Connection, HttpExchange, HttpOrigin, Reply, connect, fetch
from llmgate.bench.client.stamps import KernelClock
from llmgate.errors import BenchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\n\r\r\n7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host:99999",
        "http://host/?q=1",
        "http://user:pw@host/",
        "http://host/a b",
        "http://host/\r\nX: y",
        "http://höst/",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="URL|plain"):
        HttpOrigin.parse(url)


@pytest.mark.parametrize("key", ["s3cret\nb", "s3cret\r\nX: y", " s3cret", "schlüssel"])
def test_keys_that_cannot_stand_in_a_header(key: str) -> None:
    with pytest.raises(UsageError, match="API key") as error:
        HttpOrigin.parse("http://host", api_key=key)
    assert key.strip() not in str(error.value).lower()


@pytest.mark.parametrize(
    ("url", "host", "line"),
    [
        ("http://host:8000", "host:8000", "/v1/x"),
        ("http://host:8000/", "host:8000", "/v1/x"),
        ("http://host/v1", "host", "/v1/x"),
        ("http://host/v1/", "host", "/v1/x"),
        ("https://host/openai/v1", "host", "/openai/v1/x"),
        ("http://host/gateway", "host", "/gateway/v1/x"),
        ("http://[::1]:8000", "[::1]:8000", "/v1/x"),
        ("https://host:8443", "host:8443", "/v1/x"),
    ],
)
def test_urls_with_and_without_v1(url: str, host: str, line: str) -> None:
    request = HttpOrigin.parse(url, api_key="k").post("/v1/x", b"{}").decode()
    assert request.startswith(f"POST {line} HTTP/1.1\r\nHost: {host}\r\n")
    assert "Authorization: Bearer k\r\n" in request
    assert request.endswith("Content-Length: 2\r\n\r\n{}")
    assert "Authorization" not in HttpOrigin.parse(url).get("/metrics").decode()


async def served(
    answer: bytes, use: Callable[[HttpOrigin], Awaitable[HttpExchange]], *, close: bool = False
) -> HttpExchange:
    """Talk to a server that answers every read with the same bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(answer)
            if close:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await use(HttpOrigin.parse(f"http://127.0.0.1:{port}"))
    finally:
        server.close()


async def ask(origin: HttpOrigin, timeout_s: float = 30.0) -> HttpExchange:
    connection = await connect(origin)
    try:
        return await fetch(connection, origin.get("/v1/models"), timeout_s=timeout_s)
    finally:
        connection.close()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("answer", "close", "message"),
    [
        (b"", True, "closed after 0 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", True, "closed after 40 bytes"),
        (b"\x00\xff\x13 nonsense", False, "not HTTP"),
        (b"", False, "no complete answer within 0.5 s"),
        (CHUNKED[:-3], False, "no complete answer within 0.5 s"),
        (CHUNKED[:-3], True, "closed after"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", True, "not HTTP"),
    ],
)
def test_broken_responses_are_recorded_not_raised(answer: bytes, close: bool, message: str) -> None:
    patience = partial(ask, timeout_s=0.5) if "within 0.5 s" in message else ask
    exchange = asyncio.run(served(answer, patience, close=close))
    assert exchange.error is not None
    assert message in exchange.error
    assert exchange.end_s > exchange.sent_s


def test_an_endless_response_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.bench.client.http.MAX_RESPONSE_BYTES", 1000)
    exchange = asyncio.run(served(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, ask))
    assert exchange.error == "the response is longer than 1000 bytes"


def test_a_response_that_ends_with_the_connection_is_complete() -> None:
    exchange = asyncio.run(served(b"HTTP/1.1 200 OK\r\n\r\nabc", ask, close=True))
    assert exchange.error is None
    assert exchange.pieces[0][1] == b"abc"


def test_a_connection_closed_while_idle_is_not_usable_and_says_so_before_sending() -> None:
    async def check() -> None:
        with FakeServer() as server:
            origin = HttpOrigin.parse(server.url)
            connection = await connect(origin)
            first = await fetch(connection, origin.get("/health"), timeout_s=5)
            assert (first.status, first.error, connection.usable) == (200, None, True)
            server.die()
            await asyncio.sleep(0.1)
            closed = not connection.usable
            assert closed
            with pytest.raises(RuntimeError, match="closed or busy"):
                connection.send(origin.get("/health"), lambda _: None, timeout_s=1)

    asyncio.run(check())


def test_a_busy_connection_refuses_a_second_request() -> None:
    async def check() -> None:
        with FakeServer(ttft_s=0.2) as server:
            origin = HttpOrigin.parse(server.url)
            connection = await connect(origin)
            request = origin.post("/v1/chat/completions", b'{"messages":[{"role":"user","content":"hi"}]}')
            pending = asyncio.ensure_future(fetch(connection, request, timeout_s=5))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="busy"):
                connection.send(request, lambda _: None, timeout_s=1)
            assert (await pending).status == 200
            assert connection.usable
            connection.close()
            await asyncio.sleep(0.01)

    asyncio.run(check())


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    async def check() -> tuple[bool, bool]:
        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await talking.wait()
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.close()

        talking = asyncio.Event()
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            connection = await connect(HttpOrigin.parse(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
            before = connection.usable
            talking.set()
            await asyncio.sleep(0.2)
            return before, connection.usable

    assert asyncio.run(check()) == (True, False)


async def reply_to(request: bytes, origin: HttpOrigin, connection: Connection) -> Reply:
    done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    connection.send(request, done.set_result, timeout_s=5)
    return await done


@pytest.mark.parametrize("kept", [False, True])
def test_a_connection_that_closes_before_a_byte_says_so_and_whether_it_had_carried_anything(kept: bool) -> None:
    async def check() -> tuple[Reply, list[Connection]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(kept):
                await reader.read(65536)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await reader.read(65536)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            origin = HttpOrigin.parse(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            connection = await connect(origin)
            ended: list[Connection] = []
            connection.on_idle_end = ended.append
            for _ in range(kept):
                assert (await reply_to(origin.get("/"), origin, connection)).error is None
            reply = await reply_to(origin.get("/"), origin, connection)
            await asyncio.sleep(0.01)
            return reply, ended

    reply, ended = asyncio.run(check())
    assert (reply.dropped, reply.reused, reply.error) == (True, kept, "the connection closed after 0 bytes")
    assert ended == [], "it was not idle"


def test_a_connection_that_got_some_bytes_was_not_dropped() -> None:
    async def check(origin: HttpOrigin) -> HttpExchange:
        connection = await connect(origin)
        reply = await reply_to(origin.get("/"), origin, connection)
        assert not reply.dropped
        return reply.exchange(None)

    assert asyncio.run(served(b"H", check, close=True)).error == "the connection closed after 1 bytes"


def test_the_end_of_an_idle_connection_is_told() -> None:
    async def check() -> bool:
        with FakeServer() as server:
            connection = await connect(HttpOrigin.parse(server.url))
            ended: list[Connection] = []
            connection.on_idle_end = ended.append
            server.die()
            await asyncio.sleep(0.1)
        return ended == [connection]

    assert asyncio.run(check())


def test_a_server_that_is_not_there() -> None:
    with FakeServer() as server:
        url = server.url
    with pytest.raises(BenchError, match="cannot be reached") as error:
        asyncio.run(connect(HttpOrigin.parse(url)))
    assert str(error.value).startswith(url)
    with pytest.raises(BenchError, match="cannot be reached"):
        asyncio.run(connect(HttpOrigin.parse(f"http://{'x' * 70}.invalid")))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key)]
    subprocess.run([*make, "-out", str(certificate), *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def check(url: str, client: ssl.SSLContext | None) -> HttpExchange:
        origin = HttpOrigin.parse(url)
        connection = await connect(origin, ssl_context=client, clock=clock)
        body = b'{"stream":true,"messages":[{"role":"user","content":"a b c"}]}'
        reply = await reply_to(origin.post("/v1/chat/completions", body), origin, connection)
        connection.close()
        await asyncio.sleep(0.05)
        return reply.exchange(clock)

    clock = KernelClock()
    with FakeServer(ssl=context, itl_s=0.03) as server, contextlib.closing(clock):
        url = server.url.replace("127.0.0.1", "localhost")
        exchange = asyncio.run(check(url, trusting))
        assert (exchange.status, exchange.error) == (200, None)
        assert b"".join(data for _, data in exchange.pieces).count(b"data: {") == 3
        times = [time_s for time_s, _ in exchange.pieces]
        assert times[-1] - times[0] > 0.05, "the arrival of each, with TLS too"
        if sys.platform == "linux":
            assert exchange.unstamped < len(exchange.pieces)
        with pytest.raises(BenchError, match="certificate"):
            asyncio.run(check(url, None))
