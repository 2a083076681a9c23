"""Servers that write down who asked what with which key, a proxy among them."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from support.endpoint import chat, vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Heard", "listener", "proxy"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What arrived.

    Attributes:
        url: Base URL of who heard it.
        lines: `GET /v1/models`, in order.
        keys: The Authorization header of each, "" for none.
    """

    url: str
    lines: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    heard: Heard

    def note(self) -> bytes:
        """Write down the request, and read its body."""
        self.heard.lines.append(f"{self.command} {self.path}")
        self.heard.keys.append(self.headers.get("Authorization", ""))
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def _serving(handler: type[_Handler], host: str) -> Iterator[Heard]:
    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128

    server = Server((host, 0), handler)
    handler.heard = Heard(f"http://{host}:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield handler.heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def listener(
    *, text: str = "word-0", redirect: tuple[int, str] | None = None, denies: bool = False, host: str = "127.0.0.1"
) -> Iterator[Heard]:
    """An endpoint with one model.

    Args:
        text: What it answers, also as the words of a judge.
        redirect: The status and the place by which it answers all that is posted.
        denies: Whether it answers 401 to who has no key.
        host: Where it listens.
    """

    class Endpoint(_Handler):
        def do_GET(self) -> None:
            self.note()
            denied = denies and not self.headers.get("Authorization")
            self.send(401 if denied else 200, b'{"data": [{"id": "m"}]}')

        def do_POST(self) -> None:
            body = json.loads(self.note())
            if redirect is not None:
                self.send(redirect[0], b"", Location=redirect[1] + self.path)
                return
            reply: dict[str, Any] = vectors(body, lambda _: [1.0]) if "input" in body else chat(text)
            self.send(200, json.dumps(reply).encode())

    with _serving(Endpoint, host) as heard:
        yield heard


@contextmanager
def proxy() -> Iterator[Heard]:
    """A proxy for plain http that passes on what it is given; of https it only hears where it leads."""

    class Proxy(_Handler):
        def do_GET(self) -> None:
            body, parts = self.note(), urlsplit(self.path)
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
            connection.request(self.command, parts.path, body=body or None, headers=dict(self.headers))
            response = connection.getresponse()
            self.send(response.status, response.read())
            connection.close()

        def do_POST(self) -> None:
            self.do_GET()

        def do_CONNECT(self) -> None:
            self.note()
            self.send(502, b"")

    with _serving(Proxy, "127.0.0.1") as heard:
        yield heard
