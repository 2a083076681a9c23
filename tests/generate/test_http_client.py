"""The wire of the client: where a response ends, what a server may not do, and which connection is used again."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import shutil
import socket
import ssl
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest
from support.fake_server import FakeServer

from llmgate.errors import EndpointError
from llmgate.generate.http_client import EndpointHttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from llmgate.generate.http_connection import HttpAnswer

OK = b"HTTP/1.1 200 OK\r\n"
Piece = bytes | float | None
"""What a scripted server does: send bytes, wait so many seconds, close."""


class Scripted:
    """A server that does what it is told for each request, over whatever connection it comes."""

    def __init__(self, *answers: Sequence[Piece]) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.through = asyncio.Semaphore(0)
        self.requests: list[bytes] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self, host: str = "127.0.0.1") -> AsyncIterator[Scripted]:
        server = await asyncio.start_server(self.serve, host, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self.answered(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection is kept."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        self.requests.append(head + await reader.readexactly(length))
        try:
            for piece in self.answers.pop(0):
                if piece is None:
                    return False
                if isinstance(piece, float):
                    await asyncio.sleep(piece)
                else:
                    writer.write(piece)
                    await writer.drain()
        finally:
            self.through.release()
        return True


def sized(body: bytes, *headers: bytes) -> bytes:
    return OK + b"".join(it + b"\r\n" for it in headers) + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def talk(
    server: Scripted,
    work: Callable[[EndpointHttp], Awaitable[None]],
    *,
    host: str = "127.0.0.1",
    url: str = "http://127.0.0.1:{port}/v1",
    timeout_s: float = 30.0,
) -> None:
    async def run() -> None:
        async with server.running(host):
            http = EndpointHttp(url.format(port=server.port), headers={}, timeout_s=timeout_s, connect_s=5.0)
            try:
                await work(http)
            finally:
                await http.close()

    asyncio.run(run())


def answers(server: Scripted, count: int = 1, **how: float) -> list[HttpAnswer]:
    got: list[HttpAnswer] = []

    async def work(http: EndpointHttp) -> None:
        for _ in range(count):
            got.append(await http.post("chat/completions", b"{}"))
            await server.through.acquire()
            await asyncio.sleep(0.01)  # what the server did last, such as a close, is on its way

    talk(server, work, **how)  # type: ignore[arg-type]
    return got


def fails(server: Scripted, error: type[Exception] = OSError, match: str | None = None, **how: float) -> None:
    with pytest.raises(error, match=match):
        answers(server, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "pieces",
    [
        (sized(b"hello"),),
        tuple(sized(b"hello")[i : i + 1] for i in range(len(sized(b"hello")))),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n", 0.01, b"3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", 0.01, sized(b"hello")),
        (OK + b"\r\nhe", 0.01, b"llo", None),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", None),
        (sized(gzip.compress(b"hello"), b"Content-Encoding: gzip"),),
        (sized(zlib.compress(b"hello"), b"content-encoding: Deflate"),),
    ],
    ids=["length", "byte by byte", "chunked", "after 1xx", "until it closes", "1.0", "gzip", "deflate"],
)
def test_a_whole_answer_however_it_is_framed(pieces: Sequence[Piece]) -> None:
    (answer,) = answers(Scripted(pieces))
    assert (answer.status, answer.body) == (200, b"hello")


def test_a_connection_is_used_again() -> None:
    server = Scripted(*[(sized(b"%d" % i),) for i in range(5)])
    assert [answer.body for answer in answers(server, 5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert server.connections == 1


@pytest.mark.parametrize(
    "first",
    [
        (sized(b"a", b"Connection: close"),),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",),
        (sized(b"a"), None),
        (sized(b"a") + sized(b"not asked for"),),
        (sized(b"a"), 0.003, sized(b"not asked for")),
        (sized(b"a") + b"rubbish",),
    ],
    ids=["says so", "1.0", "closes it all the same", "two answers", "a late second one", "rubbish behind it"],
)
def test_a_connection_that_may_not_be_used_again_is_not(first: Sequence[Piece]) -> None:
    server = Scripted(first, (sized(b"b"),))
    assert [answer.body for answer in answers(server, 2)] == [b"a", b"b"]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        ((None,), "closed the connection before it answered"),
        ((OK, None), "after 17 bytes"),
        ((sized(b"hello")[:-1], None), "closed the connection after"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", None), "closed the connection after"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), "not HTTP"),
        ((OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",), "not HTTP"),
        ((OK + b"Content-Length: -1\r\n\r\n",), "not HTTP"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",), "not HTTP"),
        ((b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",), "not HTTP"),
        ((OK + b"X: " + b"y" * 300_000,), "head of the answer is larger"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,), "head of the answer is larger"),
        ((sized(b"hello", b"Content-Encoding: br"),), "packed as 'br', which was not asked for"),
        ((sized(b"hello", b"Content-Encoding: gzip"),), "cannot be unpacked"),
        ((sized(gzip.compress(b"hello" * 99)[:-9], b"Content-Encoding: gzip"),), "cannot be unpacked"),
    ],
)
def test_what_is_no_answer_says_why(pieces: Sequence[Piece], says: str) -> None:
    fails(Scripted(pieces), match=says)


@pytest.mark.parametrize(
    "pieces",
    [
        (sized(b"x" * 20_000),),
        (OK + b"\r\n" + b"x" * 20_000, 1.0),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n4e20\r\n" + b"x" * 20_000, 1.0),
        (sized(gzip.compress(b"x" * 20_000), b"Content-Encoding: gzip"),),
    ],
    ids=["length", "until it closes", "chunked", "unpacked"],
)
def test_an_answer_that_is_too_large_is_given_up(pieces: Sequence[Piece], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.generate.http_connection.MAX_BODY_BYTES", 10_000)
    fails(Scripted(pieces), match="larger than 10000 bytes")


@pytest.mark.parametrize("pieces", [(5.0,), (OK, 5.0), (sized(b"hello")[:-1], 5.0)])
def test_what_does_not_come_in_time_is_given_up(pieces: Sequence[Piece]) -> None:
    fails(Scripted(pieces), TimeoutError, timeout_s=0.05)


def test_who_stops_waiting_leaves_no_connection_that_somebody_else_could_read() -> None:
    server = Scripted((0.1, sized(b"for the first")), (sized(b"for the second"),))

    async def work(http: EndpointHttp) -> None:
        first = asyncio.ensure_future(http.post("x", b"{}"))
        await asyncio.sleep(0.02)
        first.cancel()
        assert (await http.post("x", b"{}")).body == b"for the second"
        with pytest.raises(asyncio.CancelledError):
            await first

    talk(server, work)
    assert server.connections == 2


def test_what_is_sent() -> None:
    server = Scripted((sized(b"ok"),), (sized(b"ok"),))

    async def work(http: EndpointHttp) -> None:
        await http.post("chat/completions", b'{"a": 1}')
        await http.post("embeddings", b"{}")

    talk(server, work, url="http://127.0.0.1:{port}/my proxy/v1")
    first, second = server.requests
    head, _, body = first.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /my%20proxy/v1/chat/completions HTTP/1.1"
    assert b"Host: 127.0.0.1:%d" % server.port in lines
    assert b"Content-Type: application/json" in lines
    assert b"Accept-Encoding: identity" in lines
    assert not any(line.lower().startswith((b"authorization", b"cookie")) for line in lines)
    assert body == b'{"a": 1}'
    assert second.startswith(b"POST /my%20proxy/v1/embeddings HTTP/1.1\r\n")


def test_headers_are_found_in_any_case_and_all_of_them_are_told() -> None:
    (answer,) = answers(Scripted((sized(b"x", b"Retry-After: 3", b"X-Cache: MISS", b"x-cache: HIT \xff"),)))
    assert answer.headers.get("retry-after") == answer.headers["RETRY-AFTER"] == "3"
    assert answer.headers.get("absent") is None
    told = [value for name, value in answer.headers.items() if name.lower() == "x-cache"]
    assert told == ["MISS", "HIT \udcff"]


def test_a_cookie_is_not_sent_back() -> None:
    server = Scripted((sized(b"a", b"Set-Cookie: a=b"),), (sized(b"b"),))
    answers(server, 2)
    assert not any(b"cookie" in request.lower() for request in server.requests)


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert answers(Scripted((sized(b"direct"),)))[0].body == b"direct"


def test_an_address_of_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    server = Scripted((sized(b"six"),))

    async def work(http: EndpointHttp) -> None:
        assert (await http.post("x", b"{}")).body == b"six"

    try:
        talk(server, work, host="::1", url="http://[::1]:{port}/v1")
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert b"Host: [::1]:%d" % server.port in server.requests[0].split(b"\r\n")


@pytest.mark.parametrize("key", ["s3cret\nb", "s3cret\r\nX: y", "schl\u00fcssel", "s3cret\x00"])
def test_a_key_that_cannot_stand_in_a_header_is_not_repeated(key: str) -> None:
    with pytest.raises(EndpointError, match="Authorization has characters") as error:
        EndpointHttp("http://host/v1", headers={"Authorization": f"Bearer {key}"}, timeout_s=1, connect_s=1)
    assert "s3cret" not in str(error.value)
    assert "schl" not in str(error.value)


@pytest.mark.parametrize("host", ["a" * 64, "x..y"])
def test_a_host_that_has_no_address_is_no_crash(host: str) -> None:
    async def run() -> None:
        http = EndpointHttp(f"http://{host}:9/v1", headers={}, timeout_s=5, connect_s=5)
        await http.post("x", b"{}")

    with pytest.raises(OSError, match="a{64}|x..y|known|host"):
        asyncio.run(run())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key)]
    make += ["-out", str(certificate), "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(make, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def ask(url: str) -> list[bytes]:
        http = EndpointHttp(f"{url}/v1", headers={}, timeout_s=10, connect_s=10)
        body = b'{"messages": [{"role": "user", "content": "%b"}]}' % (b"long " * 20_000)
        try:
            return [(await http.post("chat/completions", body)).body for _ in range(2)]
        finally:
            await http.close()

    with FakeServer(ssl=context) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            asyncio.run(ask(server.url))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        first, second = asyncio.run(ask(server.url))
    assert len(first) > 100_000
    assert len(second) > 100_000
