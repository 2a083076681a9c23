"""An endpoint whose every reply is scripted, word for word: for embeddings, log probabilities, tool calls, judges."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["chat", "scripted_endpoint", "vectors"]


def chat(text: str | None, **extra: Any) -> dict[str, Any]:
    """A chat completion; `extra` goes into the choice, its `message` into the message."""
    message = {"role": "assistant", "content": text, **extra.pop("message", {})}
    usage = {"prompt_tokens": 8, "completion_tokens": 2, **extra.pop("usage", {})}
    return {"choices": [{"message": message, "finish_reason": "stop", **extra}], "usage": usage}


def vectors(body: dict[str, Any], of: Callable[[str], list[float]]) -> dict[str, Any]:
    """An embeddings reply."""
    return {"data": [{"index": i, "embedding": of(text)} for i, text in enumerate(body["input"])]}


@contextmanager
def scripted_endpoint(
    reply: Callable[[str, dict[str, Any]], dict[str, Any] | bytes], *, model: Any = "scripted"
) -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """Serve `reply(path, body)`, which is sent as JSON unless it is bytes.

    Yields:
        The base URL, and what was asked: (path, body) in order of arrival.
    """
    seen: list[tuple[str, dict[str, Any]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet: in two, the second waits 40 ms for the first one's acknowledgement.
        wbufsize = -1

        def answer(self, content: dict[str, Any] | bytes) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self.answer({"data": [{"id": model}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, body))
            self.answer(reply(self.path, body))

        def log_message(self, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        # Of 64 connections at once, five would find room, and the others try again a second later.
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
