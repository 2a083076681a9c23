"""A gateway before models: it answers with the names and headers that gateways send, streamed or not."""

from __future__ import annotations

import http.server
import json
import threading
import uuid
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["LiteLLM", "Routed", "gateway"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What a gateway answers.

    Attributes:
        text: The answer.
        fields: Top-level fields of the reply; `model` is the one asked for unless it stands here, None for no model.
        headers: Sent besides.
        raw: A whole reply instead, such as embeddings.
    """

    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, Any] | None = None


@contextmanager
def gateway(
    route: Callable[[dict[str, Any]], Routed], *, listed: Sequence[str | Mapping[str, Any]] = ("mock-a",)
) -> Iterator[str]:
    """Serve `route(body)`.

    Args:
        route: Called with every request's body.
        listed: The list of models: names, or whole entries.

    Yields:
        The base URL.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def send(self, data: bytes, headers: Mapping[str, str], kind: str = "application/json") -> None:
            self.send_response(200)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            data = [{"id": one} if isinstance(one, str) else dict(one) for one in listed]
            self.send(json.dumps({"data": data}).encode(), {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            routed = route(body)
            common = {"id": f"chatcmpl-{uuid.uuid4().hex}", "model": body["model"], **routed.fields}
            common = {name: value for name, value in common.items() if value is not None}
            if body.get("stream"):
                self.send(streamed(common, routed.text), routed.headers, "text/event-stream")
                return
            message = {"role": "assistant", "content": routed.text}
            reply = {**common, "choices": [{"message": message, "finish_reason": "stop"}]}
            self.send(json.dumps(routed.raw or reply).encode(), routed.headers)

        def log_message(self, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def streamed(common: Mapping[str, Any], text: str) -> bytes:
    """Two tokens, the usage and the end, as events."""
    choices = [
        {"delta": {"content": text}, "finish_reason": None},
        {"delta": {"content": "."}, "finish_reason": "stop"},
    ]
    events = [{**common, "choices": [choice]} for choice in choices]
    events.append({**common, "choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 2}})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


class LiteLLM:
    """As LiteLLM's proxy answers: with a fallback while the first backend is busy, and with a cache in memory.

    Args:
        answer: What both backends say.
        busy: Of three requests, how many the first backend cannot take.
        caches: Whether an answer to the same request is given again.
        silent: Whether it does not say so.
        alike: Whether requests that end in the same word are the same to it, as those that mean the same are to a
            semantic cache.
    """

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], str],
        *,
        busy: int = 0,
        caches: bool = False,
        silent: bool = False,
        alike: bool = False,
    ) -> None:
        self.answer = answer
        self.busy = busy
        self.caches = caches
        self.silent = silent
        self.alike = alike
        self.kept: dict[str, Routed] = {}
        self.reached = 0
        self._lock = threading.Lock()

    def __call__(self, body: dict[str, Any]) -> Routed:
        key = body["messages"][-1]["content"].split()[-1] if self.alike else json.dumps(body, sort_keys=True)
        with self._lock:
            if self.caches and key in self.kept:
                kept = self.kept[key]
                headers = {} if self.silent else {"x-litellm-cache-key": "586bf3f3c1bf5aecb5"}
                return Routed(text=kept.text, fields=kept.fields, headers=headers)
            self.reached += 1
            fell_back = self.reached % 3 < self.busy
            routed = Routed(
                text=self.answer(body),
                fields={"id": f"chatcmpl-{uuid.uuid4().hex}", **({"model": "mock-b"} if fell_back else {})},
                headers={"x-litellm-attempted-fallbacks": str(int(fell_back)), "x-litellm-attempted-retries": "0"},
            )
            self.kept[key] = routed
            return routed
