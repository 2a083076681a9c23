"""What comes over the wire: refused for the right reason, in bounded time and room."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.webhooks import SECRET, created, headers_of

from llmgate.errors import CannotRunError
from llmgate.promote.webhook.refusal import DeliveryRefusedError
from llmgate.promote.webhook.replay import SeenDeliveries
from llmgate.promote.webhook.signature import DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from llmgate.session.webhook.http import MOST_CONNECTIONS, DeliveryServer, RefusalLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from llmgate.promote.webhook.events import Event


STEP_S = 60.0


class Site:
    """A server and what it accepted."""

    def __init__(self, **options: Any) -> None:
        self.accepted: list[Event] = []
        self.deliveries: list[str] = []
        self.said: list[str] = []
        self.full = False
        self.seen = SeenDeliveries()
        self.server = DeliveryServer(
            **{"secrets": [SECRET], "seen": self.seen, "accept": self.accept, "say": self.said.append, **options}
        )
        self.port = 0

    def accept(self, event: Event, delivery: str) -> str:
        if self.full:
            raise DeliveryRefusedError(503, "full")
        self.accepted.append(event)
        self.deliveries.append(delivery)
        return "queued"

    async def post(self, body: bytes, headers: dict[str, str], path: str = "/webhook") -> tuple[int, dict[str, Any]]:
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"http://127.0.0.1:{self.port}{path}", data=body, headers=headers) as answer,
        ):
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else {}

    async def raw(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(), STEP_S)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def open_site(**options: Any) -> AsyncIterator[Site]:
    site = Site(**options)
    site.port = await site.server.start("127.0.0.1", 0)
    try:
        yield site
    finally:
        await site.server.stop()


def run(play: Callable[[Site], Coroutine[Any, Any, None]], **options: Any) -> Site:
    async def staged() -> Site:
        async with open_site(**options) as site:
            await play(site)
        return site

    return asyncio.run(staged())


def test_a_good_delivery_is_accepted_and_its_copy_refused() -> None:
    async def play(site: Site) -> None:
        body = created()
        headers = headers_of(body)
        assert await site.post(body, headers) == (202, {"status": "queued"})
        assert await site.post(body, headers) == (409, {"refused": "a delivery with this id came already"})
        assert (await site.post(body, headers_of(body)))[0] == 202

    assert len(run(play).accepted) == 2


def test_of_copies_that_come_at_once_one_is_accepted() -> None:
    async def play(site: Site) -> None:
        body = created()
        headers = headers_of(body)
        answers = await asyncio.gather(*(site.post(body, headers) for _ in range(20)))
        assert sorted(status for status, _ in answers) == [202] + [409] * 19

    assert len(run(play).accepted) == 1


def changed_headers(body: bytes, **changed: str | None) -> dict[str, str]:
    names = {"delivery": DELIVERY_HEADER, "timestamp": TIMESTAMP_HEADER, "signature": SIGNATURE_HEADER}
    headers = headers_of(body)
    for name, value in changed.items():
        key = names.get(name, name.replace("_", "-"))
        headers.pop(key, None)
        if value is not None:
            headers[key] = value
    return headers


BAD: dict[str, tuple[int, Callable[[bytes], tuple[bytes, dict[str, str]]]]] = {
    "wrong secret": (401, lambda body: (body, headers_of(body, secret="another-secret-that-is-long"))),
    "no signature": (401, lambda body: (body, changed_headers(body, signature=None))),
    "empty signature": (401, lambda body: (body, changed_headers(body, signature=""))),
    "truncated base64": (401, lambda body: (body, changed_headers(body, signature=headers_of(body)[SIGNATURE_HEADER][:-2]))),
    "signature of another delivery": (401, lambda body: (body, changed_headers(body, signature=headers_of(body)[SIGNATURE_HEADER]))),
    "another id": (401, lambda body: (body, changed_headers(body, delivery=str(uuid.uuid4())))),
    "no id": (401, lambda body: (body, changed_headers(body, delivery=None))),
    "no time": (401, lambda body: (body, changed_headers(body, timestamp=None))),
    "another time": (401, lambda body: (body, changed_headers(body, timestamp=str(int(time.time()) - 7)))),
    "swapped headers": (401, lambda body: (body, changed_headers(body, delivery=str(int(time.time())), timestamp=str(uuid.uuid4())))),
    "old": (401, lambda body: (body, headers_of(body, ago=302))),
    "future": (401, lambda body: (body, headers_of(body, ago=-60))),
    "another body": (401, lambda body: (body.replace(b"bot", b"bad"), headers_of(body))),
    "text": (415, lambda body: (body, changed_headers(body, Content_Type="text/plain"))),
    "form": (415, lambda body: (body, changed_headers(body, Content_Type="application/x-www-form-urlencoded"))),
    "compressed": (415, lambda body: (gzip.compress(body), changed_headers(body, Content_Encoding="gzip"))),
    "bad json": (400, lambda body: (body[:1], headers_of(body[:1]))),
    "no event": (400, lambda body: (body[:1] + b"}", headers_of(body[:1] + b"}"))),
    "no version": (422, lambda body: (body.replace(b'"7"', b'"x"'), headers_of(body.replace(b'"7"', b'"x"')))),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_bad_is_refused_and_not_carried_out(case: str) -> None:
    status, make = BAD[case]

    async def play(site: Site) -> None:
        body, headers = make(created())
        got, told = await site.post(body, headers)
        assert got == status, told
        assert told["refused"]

    site = run(play)
    assert site.accepted == []
    assert len(site.said) == 1
    assert f"refused with {status}, from 127.0.0.1" in site.said[0]
    assert SECRET not in site.said[0]
    assert site.seen.young(time.time()) == {}


def test_bad_json_of_a_stranger_is_not_even_read() -> None:
    async def play(site: Site) -> None:
        assert (await site.post(b"{", headers_of(b"{", secret="another-secret-that-is-long")))[0] == 401

    run(play)


def test_two_signatures_are_refused() -> None:
    async def play(site: Site) -> None:
        body = created()
        lines = [*headers_of(body).items(), (SIGNATURE_HEADER, headers_of(body)[SIGNATURE_HEADER])]
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        request = f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body
        assert b" 401 " in (await site.raw(request)).partition(b"\r\n")[0]

    assert run(play).accepted == []


def test_a_body_that_says_it_is_huge_is_refused_before_it_comes() -> None:
    async def play(site: Site) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers_of(b"").items())
        request = f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n{head}\r\n".encode()
        assert b" 413 " in (await site.raw(request)).partition(b"\r\n")[0]

    assert run(play).accepted == []


def test_a_huge_body_of_unknown_length_is_cut() -> None:
    async def play(site: Site) -> None:
        async def endless() -> AsyncIterator[bytes]:
            for _ in range(1000):
                yield b"x" * 100_000

        async with aiohttp.ClientSession() as client:
            try:
                async with client.post(
                    f"http://127.0.0.1:{site.port}/webhook", data=endless(), headers=headers_of(b"")
                ) as answer:
                    assert answer.status == 413
            except aiohttp.ClientError:
                pass  # The connection was closed while we were still sending.

    site = run(play)
    assert site.accepted == []
    assert "413" in site.said[0]


def test_a_slow_body_is_given_up() -> None:
    async def play(site: Site) -> None:
        body = created()
        head = "".join(f"{name}: {value}\r\n" for name, value in headers_of(body).items())
        request = f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode()
        assert b" 408 " in (await site.raw(request + body[:5])).partition(b"\r\n")[0]

    assert run(play, body_s=0.3).accepted == []


@pytest.mark.parametrize("start", [b"", b"POST /web", b"POST /webhook HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_a_slow_head_is_given_up(start: bytes) -> None:
    async def play(site: Site) -> None:
        assert await site.raw(start) == b""

    run(play, head_s=0.3)


def test_more_connections_than_there_may_be_are_closed() -> None:
    async def play(site: Site) -> None:
        waiting = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(MOST_CONNECTIONS)]
        # Those that are there wait for an hour; this one is closed at once.
        assert await site.raw(b"") == b""
        for _, writer in waiting:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in waiting))
        body, status = created(), 0
        deadline = time.monotonic() + STEP_S
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError):
                status, _ = await site.post(body, headers_of(body))
                break
            await asyncio.sleep(0.1)
        assert status == 202

    run(play, head_s=3600)


def test_the_connection_ends_with_the_answer() -> None:
    async def play(site: Site) -> None:
        told = await site.raw(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in told
        assert b'{"status": "ok"}' in told

    run(play)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/webhook", 405), ("POST", "/", 404), ("POST", "/health", 405)]
)
def test_other_doors_are_shut(method: str, path: str, status: int) -> None:
    async def play(site: Site) -> None:
        told = await site.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert f" {status} ".encode() in told.partition(b"\r\n")[0]

    run(play)


def test_what_is_refused_for_want_of_room_may_come_again() -> None:
    async def play(site: Site) -> None:
        body = created()
        headers = headers_of(body)
        site.full = True
        assert (await site.post(body, headers))[0] == 503
        site.full = False
        assert (await site.post(body, headers))[0] == 202

    run(play)


def test_the_old_and_the_new_secret_are_taken() -> None:
    async def play(site: Site) -> None:
        for secret in (SECRET, "the-new-secret-is-long-too"):
            body = created()
            assert (await site.post(body, headers_of(body, secret=secret)))[0] == 202

    run(play, secrets=[SECRET, "the-new-secret-is-long-too"])


def test_a_flood_of_refusals_is_counted_and_not_logged() -> None:
    now = [0.0]
    said: list[str] = []
    log = RefusalLog(said.append, lambda: now[0])
    for _ in range(100):
        log.refused("1.2.3.4", DeliveryRefusedError(401, "no"))
    assert len(said) == 1
    now[0] = 60
    log.refused("1.2.3.4", DeliveryRefusedError(401, "no"))
    assert said[1].endswith("(99 more refused before)")


def test_a_port_that_is_taken_is_said() -> None:
    async def play(site: Site) -> None:
        with pytest.raises(CannotRunError, match="cannot listen"):
            await Site().server.start("127.0.0.1", site.port)

    run(play)
