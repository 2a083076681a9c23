"""An endpoint says which model it serves, or the reason is told."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.fake_server import FakeServer

from llmgate.errors import EndpointError
from llmgate.generate.endpoint import EndpointFacts, probe

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def answering(status: int, content: bytes) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/v1/models" else 404)
            self.send_header("Location", "http://elsewhere.invalid/")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def models(*names: str) -> bytes:
    return json.dumps({"data": [{"id": name, "root": f"/models/{name}"} for name in names]}).encode()


def test_the_only_model_is_taken() -> None:
    with FakeServer(model="m") as server:
        found = probe(f"{server.url}/v1")
    assert found.model == "m"
    assert found.engine == "vllm"


def test_a_server_without_a_version_route_is_no_vllm() -> None:
    with answering(200, models("a")) as url:
        facts = probe(url)
    assert facts == EndpointFacts(model="a", engine="openai-compatible", version=None, source="/models/a", names=("a",))


def test_names_of_the_same_origin_are_one_model_and_an_adapter_is_another() -> None:
    entries = [
        {"id": "base", "root": "/m", "parent": None},
        {"id": "prod", "root": "/m"},
        {"id": "adapter", "root": "/m", "parent": "base"},
        {"id": "unknown"},
        {"id": "unknown-too"},
    ]
    with answering(200, json.dumps({"data": entries}).encode()) as url:
        assert probe(url, model="prod").names == ("prod", "base")
        assert probe(url, model="adapter").names == ("adapter",)
        assert probe(url, model="unknown").names == ("unknown",)


@pytest.mark.parametrize(
    ("status", "content", "model", "says"),
    [
        (200, models("a", "b"), None, r"serves 2 models \(a, b\).*--served-name"),
        (200, models(), None, r"serves 0 models \(none\)"),
        (200, models("llama"), "lama", "does not serve 'lama'. Did you mean llama"),
        (200, b"<html>", None, "does not answer JSON"),
        (200, b"[]", None, r"no data\[\]\.id"),
        (200, b'{"data": 3}', None, r"no data\[\]\.id"),
        (200, b'{"data": [{"id": null}]}', None, r"no data\[\]\.id"),
        (200, b'{"data": [{"id": ""}]}', None, r"no data\[\]\.id"),
        (200, b'{"data": [{"id": ["a"]}]}', None, r"no data\[\]\.id"),
        (200, b'{"data": [{"id": "a\\ud800"}]}', None, "does not answer JSON in valid Unicode"),
        (200, b'{"data": [{"id": "a", "root": "\\ud800"}]}', None, "does not answer JSON in valid Unicode"),
        (200, b'{"data": [{"id": "a", "id": "b"}]}', None, "does not answer JSON"),
        (200, b"[" * 100_000, None, "does not answer JSON"),
        (401, b"", None, "HTTP 401.*--api-key-env"),
        (400, b"", None, "HTTP 400.*the URL, and the key.*--api-key-env"),
        (503, b"", None, "HTTP 503.*Wait until the server has loaded its model"),
        (500, b"", None, "HTTP 500"),
        (302, b"", None, "HTTP 302"),
    ],
)
def test_what_is_wrong_is_said(status: int, content: bytes, model: str | None, says: str) -> None:
    with answering(status, content) as url, pytest.raises(EndpointError, match=says):
        probe(url, model=model)


def test_nobody_there() -> None:
    with pytest.raises(EndpointError, match="127.0.0.1:9.*cannot be reached.*Start the server"):
        probe("http://127.0.0.1:9/v1")
