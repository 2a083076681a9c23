"""An endpoint says which model it serves, or the reason is told."""

from __future__ import annotations

import http.server
import json
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.endpoint import chat
from support.fake_server import FakeServer
from support.stub import Asked, Reply, Stub

from llmgate.errors import EndpointError
from llmgate.generate.endpoint import EndpointFacts, probe, served_models

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
        (401, b"", "a", "HTTP 401.*--api-key-env"),
        (400, b"", None, "HTTP 400.*the URL, and whether it wants a key.*--api-key-env"),
        (500, b"", None, "HTTP 500.*whether it wants a key.*LLMGATE_API_KEY.*--served-name"),
        (400, b'{"error": {"type": "no_db_connection", "message": "x"}}', None, "wants a key.*LLMGATE_API_KEY"),
        (500, b'{"error": {"type": "auth_error", "message": "x"}}', "a", "wants a key.*LLMGATE_API_KEY"),
        (429, b'{"error": {"code": "insufficient_quota"}}', None, "quota at the endpoint is used up"),
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


class Unlisting(Stub):
    """Has no list of models, and answers under one name."""

    def __init__(self, listed: Reply, *, name: str = "folder", refusal: Reply | None = None) -> None:
        super().__init__()
        self.listed, self.name, self.refusal = listed, name, refusal

    def answer(self, asked: Asked) -> Reply:
        if asked.method == "GET":
            return self.listed if asked.path == "/v1/models" else Reply(status=404)
        if asked.path == "/v1/embeddings":
            return Reply(json={"data": []})
        if asked.json["model"] != self.name:
            return Reply(status=400, json={"detail": f"Server is pinned to {self.name!r}"})
        return self.refusal or Reply(json=chat("Hi"))


UNLISTED = [
    (Reply(status=500, body=b"Internal Server Error"), "HTTP 500"),
    (Reply(status=404), "HTTP 404"),
    (Reply(json={"object": "list", "data": []}), "serves 0 models"),
    (Reply(json={"models": ["folder"]}), r"no data\[\]\.id"),
    (Reply(body=b"<html>"), "does not answer JSON"),
]


@pytest.mark.parametrize(("listed", "says"), UNLISTED)
def test_a_given_name_is_believed_where_nothing_is_listed_and_the_facts_say_so(listed: Reply, says: str) -> None:
    with Unlisting(listed) as server:
        facts = probe(f"{server.url}/v1", model="folder")
        assert served_models(f"{server.url}/v1", model="folder") == ("folder",)
        with pytest.raises(EndpointError, match="--served-name"):
            probe(f"{server.url}/v1")
    assert (facts.model, facts.names, facts.source) == ("folder", ("folder",), None)
    assert re.search(says, facts.unconfirmed)


def test_an_embedding_model_is_believed_by_an_embedding() -> None:
    with Unlisting(Reply(status=500)) as server:
        assert probe(f"{server.url}/v1", model="embedder", trial="embeddings").unconfirmed
    assert "POST /v1/embeddings" in server.requests


@pytest.mark.parametrize(("listed", "says"), UNLISTED)
def test_a_name_under_which_it_does_not_answer_is_not_believed(listed: Reply, says: str) -> None:
    with Unlisting(listed) as server, pytest.raises(EndpointError, match=rf"{says}.*HTTP 400.*pinned to 'folder'"):
        probe(f"{server.url}/v1", model="other")


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (Reply(status=500, body=b"Internal Server Error"), "HTTP 500.*if it wants a key, put it into LLMGATE_API_KEY"),
        (Reply(status=401), "wants a key, and none was sent"),
        (Reply(status=404, body=b"Not Found"), "HTTP 404: Not Found.*Check the URL and the name"),
    ],
)
def test_an_endpoint_that_answers_nothing_is_refused(refusal: Reply, says: str) -> None:
    # LiteLLM answers both requests with a bare 500 where no key is sent.
    listed = Reply(status=500, body=b"Internal Server Error")
    with Unlisting(listed, refusal=refusal) as server, pytest.raises(EndpointError, match=says):
        probe(f"{server.url}/v1", model="folder")


def test_an_endpoint_that_is_busy_is_believed() -> None:
    with Unlisting(Reply(status=500), refusal=Reply(status=429)) as server:
        assert probe(f"{server.url}/v1", model="folder").unconfirmed


def test_a_list_that_is_there_decides() -> None:
    with FakeServer(model="m") as server, pytest.raises(EndpointError, match=r"does not serve 'n'. Valid names: m"):
        probe(f"{server.url}/v1", model="n")
    assert server.seen == []
