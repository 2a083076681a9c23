"""A small HTTP server whose answers a test decides, for client libraries whose address can be set."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["Asked", "Fault", "Reply", "Stub"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request. `path` is decoded, `raw` is as it was sent."""

    method: str
    path: str
    raw: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer; `json` instead of `body` for JSON."""

    status: int = 200
    json: Any = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Fault:
    """An answer to the requests whose method and path contain `on`, instead of what the server would do.

    Attributes:
        times: How often; -1 for ever.
        after: Do what is asked before answering so, as when an answer gets lost.
        hangs: Answer only when the server ends, so that whoever waits gives up however slow the machine is.
    """

    on: str
    reply: Reply
    times: int = -1
    after: bool = False
    hangs: bool = False


class Stub:
    """A server on a free port of this machine, while the block lasts. A subclass implements `answer`."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.lock = threading.RLock()
        self.ending = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

            def log_message(self, *args: object) -> None:
                pass

            def handle_one(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline().strip() or b"0", 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                parts = urlsplit(self.path)
                asked = Asked(
                    method=self.command,
                    path=unquote(parts.path),
                    raw=self.path,
                    query={key: values[-1] for key, values in parse_qs(parts.query).items()},
                    headers={key.lower(): value for key, value in self.headers.items()},
                    body=body,
                )
                reply = stub.respond(asked)
                data = reply.body if reply.json is None else json.dumps(reply.json).encode()
                kind = "application/octet-stream" if reply.json is None else "application/json"
                self.send_response(reply.status)
                headers = {"Content-Type": kind, "Content-Length": str(len(data)), **reply.headers}
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_one  # noqa: N815

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            # Of 32 connections at once, five would find room, and the others try again a second later.
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that gave up waiting is no error of the server's."""

        self.server = Quiet(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()

    def respond(self, asked: Asked) -> Reply:
        with self.lock:
            self.requests.append(str(asked))
            fault = next((one for one in self.faults if one.times and one.on in str(asked)), None)
            if fault is not None:
                fault.times -= 1
                if fault.after:
                    self.answer(asked)
            else:
                return self.answer(asked)
        if fault.hangs:
            self.ending.wait()
        return fault.reply

    def answer(self, asked: Asked) -> Reply:
        """What the service would answer."""
        raise NotImplementedError
