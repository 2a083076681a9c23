"""The connection: where a response ends, what breaks it, when it may be used again."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_server import FakeServer

from llmgate.bench.client.http import Connection, Exchange, HttpOrigin, connect, fetch
from llmgate.errors import BenchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\n\r\r\n7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab\r\n\r"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 9\r\n\r\n"


def body_of(reader: ResponseReader) -> bytes:
    return b"".join(data for _, data in reader.pieces)


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


@settings(deadline=None)
@given(st.sampled_from([CHUNKED, LENGTH, EMPTY, EARLY + CHUNKED]), st.lists(st.integers(1, 30), max_size=60))
def test_a_response_ends_where_it_ends_however_it_is_cut(response: bytes, cuts: list[int]) -> None:
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(response[at : at + cut])
        at += cut
    pieces = [piece for piece in (*pieces, response[at:]) if piece]
    reader = ResponseReader()
    ends = [reader.feed(float(k), piece) for k, piece in enumerate(pieces)]
    assert ends == [False] * (len(pieces) - 1) + [True]
    whole = {CHUNKED: b"ab\r\n\r\r\n0\r\n\r\n", LENGTH: b"ab\r\n\r", EMPTY: b""}
    expected = next(body for key, body in whole.items() if response.endswith(key))
    assert body_of(reader) == expected
    assert reader.keep_alive
    times = [time_s for time_s, _ in reader.pieces]
    assert times == sorted(times)
    assert all(time_s < len(pieces) for time_s in times)


def test_body_bytes_carry_the_time_of_their_own_read_although_parsed_later() -> None:
    reader = ResponseReader()
    reader.feed(1.0, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    reader.feed(2.0, b"1\r\na\r\n")
    reader.feed(3.0, b"1\r\nb\r\n")
    assert reader.feed(4.0, b"0\r\n\r\n")
    assert reader.pieces == [(2.0, b"a"), (3.0, b"b")]


@pytest.mark.parametrize(
    "response",
    [
        b"\x00\xff garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc",
    ],
)
def test_what_is_not_http_is_an_error(response: bytes) -> None:
    with pytest.raises(httptools.HttpParserError):
        ResponseReader().feed(0.0, response)


def test_a_connection_is_not_used_again_when_the_server_says_so() -> None:
    reader = ResponseReader()
    assert reader.feed(0.0, LENGTH.replace(b"\r\n\r\nab", b"\r\nConnection: close\r\n\r\nab"))
    assert not reader.keep_alive


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"garbage", b"\x00"])
def test_bytes_after_the_response_are_not_part_of_it(surplus: bytes) -> None:
    reader = ResponseReader()
    assert reader.feed(0.0, LENGTH + surplus)
    assert body_of(reader) == b"ab\r\n\r"
    assert not reader.keep_alive


def test_a_response_without_a_length_ends_with_the_connection() -> None:
    reader = ResponseReader()
    assert not reader.feed(1.0, b"HTTP/1.1 200 OK\r\n\r\nab")
    assert not reader.feed(2.0, b"cd")
    assert reader.at_eof()
    assert body_of(reader) == b"abcd"
    cut = ResponseReader()
    cut.feed(1.0, CHUNKED[:-3])
    assert not cut.at_eof()


async def served(answer: bytes, use: Callable[[HttpOrigin], Awaitable[Exchange]], *, close: bool = False) -> Exchange:
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


async def ask(origin: HttpOrigin) -> Exchange:
    connection = await connect(origin)
    try:
        return await fetch(connection, origin.get("/v1/models"), timeout_s=0.5)
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
    exchange = asyncio.run(served(answer, ask, close=close))
    assert exchange.error is not None
    assert message in exchange.error
    assert exchange.end_s > exchange.sent_s


def test_garbage_that_was_put_off_is_found_when_the_server_closes() -> None:
    reader = ResponseReader()
    assert not reader.feed(1.0, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert not reader.feed(2.0, b"zz\r\n")
    with pytest.raises(httptools.HttpParserError):
        reader.at_eof()


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
    async def check() -> bool:
        connection = Connection()
        assert not connection.usable
        connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        return connection.usable

    assert not asyncio.run(check())


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

    async def check(url: str, client: ssl.SSLContext | None) -> int:
        origin = HttpOrigin.parse(url)
        connection = await connect(origin, ssl_context=client)
        exchange = await fetch(connection, origin.get("/health"), timeout_s=5)
        connection.close()
        await asyncio.sleep(0.05)
        return exchange.status

    with FakeServer(ssl=context) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert asyncio.run(check(url, trusting)) == 200
        with pytest.raises(BenchError, match="certificate"):
            asyncio.run(check(url, None))
