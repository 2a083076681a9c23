"""A small server that speaks as much of the Hugging Face hub's API as its client needs for models, with faults."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

__all__ = ["A", "B", "MODEL", "Hub", "hub_server", "sha"]

A, B = "a" * 40, "b" * 40
WEIGHTS = b"\x02\0\0\0\0\0\0\0{}" + bytes(range(256)) * 64
MODEL = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"model_max_length": 2048}',
    "chat_template.jinja": b"{{ messages }}",
    "additional_chat_templates/tool_use.jinja": b"{{ tools }}",
    "model.safetensors": WEIGHTS,
    "consolidated.safetensors": WEIGHTS + b"again",
    "pytorch_model.bin": b"pickled" * 100,
    "modeling_bot.py": b"raise SystemExit\n",
    "README.md": b"# Bot\n",
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "onnx/model.onnx": b"onnx" * 100,
    "original/config.json": b"{}",
}
"""A repository as they are: what vLLM loads, and what it does not."""


def sha(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def git_name(data: bytes) -> str:
    """What git calls a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(kw_only=True)
class Hub:
    """What the server has and does.

    Attributes:
        url: Where it answers.
        commits: Files by commit.
        refs: Commits by branch or tag.
        asked: Every request, `METHOD PATH`.
        tokens: Every Authorization header that came.
        served: Bytes that are served instead of those that are listed, by path.
        cut: Paths of which only the first half is sent, and how often.
        status: Answer everything with this status, 0 for not.
        code: With this X-Error-Code.
        gate: Of downloads of large files: they wait for it.
    """

    url: str = ""
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {A: dict(MODEL)})
    refs: dict[str, str] = field(default_factory=lambda: {"main": A})
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    served: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    status: int = 0
    code: str = ""
    gate: threading.Event | None = None
    names: tuple[str, ...] = ()
    """Further names that are listed and lead nowhere."""

    def downloads(self) -> list[str]:
        """The files whose bytes were asked for."""
        return [line.rpartition("/resolve/")[2].partition("/")[2] for line in self.asked if line.startswith("GET") and "/resolve/" in line]


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path}")
        if self.headers.get("Authorization"):
            hub.tokens.append(self.headers["Authorization"])
        if hub.status:
            self.refuse(hub.status, hub.code)
        elif path.startswith("/api/models/acme/bot/revision/"):
            self.info(path.removeprefix("/api/models/acme/bot/revision/"))
        elif path.startswith("/acme/bot/resolve/"):
            revision, _, name = path.removeprefix("/acme/bot/resolve/").partition("/")
            self.file(revision, name, body=body)
        else:
            self.refuse(404, "RepoNotFound")

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def info(self, revision: str) -> None:
        commit = self.hub.refs.get(revision, revision)
        if commit not in self.hub.commits:
            self.refuse(404, "RevisionNotFound")
            return
        siblings: list[dict[str, Any]] = [{"rfilename": name, "size": 1, "blobId": "0" * 40} for name in self.hub.names]
        for name, data in self.hub.commits[commit].items():
            large = {"sha256": sha(data), "size": len(data), "pointerSize": 130}
            siblings.append(
                {"rfilename": name, "size": len(data), "blobId": git_name(data)} | ({"lfs": large} if is_large(name) else {})
            )
        content = json.dumps({"id": "acme/bot", "modelId": "acme/bot", "sha": commit, "siblings": siblings}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def file(self, revision: str, name: str, *, body: bool) -> None:
        hub, commit = self.hub, self.hub.refs.get(revision, revision)
        if commit not in hub.commits or name not in hub.commits[commit]:
            self.refuse(404, "EntryNotFound" if commit in hub.commits else "RevisionNotFound")
            return
        listed = hub.commits[commit][name]
        data = hub.served.get(name, listed)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{sha(listed) if is_large(name) else git_name(listed)}"')
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if not body:
            return
        if hub.gate is not None and is_large(name):
            hub.gate.wait(20)
        if hub.cut.get(name, 0):
            hub.cut[name] -= 1
            self.wfile.write(data[start : max(start, len(data) // 2)])
            self.close_connection = True
            return
        self.wfile.write(data[start:])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def is_large(name: str) -> bool:
    """Whether the hub keeps a file in its large file storage."""
    return name.endswith((".safetensors", ".bin", ".onnx"))


@contextmanager
def hub_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve while the block runs; the client of this process asks it."""
    from huggingface_hub import close_session, constants

    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    try:
        yield hub
    finally:
        if hub.gate is not None:
            hub.gate.set()
        server.shutdown()
        server.server_close()
        close_session()
