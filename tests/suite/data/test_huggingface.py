"""Hub files are pinned to a commit, come from the cache without a network, and are locked beside the suite."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from support.project import write_suite

from llmgate.errors import DatasetError, SuiteError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.session.commands.datasets import verify
from llmgate.suite.data.dataset import check_lock, load_dataset, write_lock
from llmgate.suite.data.locate import is_uri, locate
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

constants = pytest.importorskip("huggingface_hub.constants")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
URI = f"hf://datasets/acme/faq/data/test.jsonl@{COMMIT}"
ROWS = b'{"id": "a", "q": "x"}\n{"id": "b", "q": "y"}\n'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache without a network."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder


def put(cache: Path, commit: str = COMMIT, data: bytes = ROWS) -> None:
    file = cache / "datasets--acme--faq" / "snapshots" / commit / "data" / "test.jsonl"
    file.parent.mkdir(parents=True)
    file.write_bytes(data)


@pytest.mark.parametrize(
    "uri",
    [URI, f"hf://datasets/acme/faq@{COMMIT}/data/test.jsonl", f"hf://acme/faq@{COMMIT}/data/test.jsonl"],
)
def test_the_cache_is_enough(cache: Path, tmp_path: Path, uri: str) -> None:
    put(cache)
    source = locate(uri, tmp_path)
    assert source.lock == tmp_path / "hf-datasets-acme-faq-data-test.jsonl.lock.json"
    lock = write_lock(source, licence="MIT")
    assert (lock.source, lock.name) == (URI, "test")
    assert lock.sha256 == hashlib.sha256(ROWS).hexdigest()
    assert [row.id for row in load_dataset(source).rows] == ["a", "b"]


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("hf://datasets/acme/faq/test.jsonl", "no revision is named. Pin all 40"),
        ("hf://datasets/acme/faq/test.jsonl@main", "'main' is no full commit"),
        ("hf://datasets/acme/faq/test.jsonl@0123456", "no full commit"),
        ("hf://datasets/acme/faq@main/test.jsonl", "no full commit"),
        (f"hf://datasets/acme/faq/test.jsonl@{COMMIT.upper()}", "no full commit"),
        (f"hf://datasets/faq@{COMMIT}", "no file of a dataset"),
        (f"hf://datasets/acme/faq@{COMMIT}", "no file of a dataset"),
        (f"hf://datasets/acme/faq/../../x@{COMMIT}", "no file of a dataset"),
        (f"hf://datasets/../faq/x@{COMMIT}", "no file of a dataset"),
        (f"hf://datasets/acme/faq/a@{COMMIT}/b", "before and after"),
        ("s3://bucket/rows.jsonl", "not fetched from there"),
    ],
)
def test_what_is_not_pinned_is_refused(tmp_path: Path, uri: str, what: str) -> None:
    with pytest.raises(DatasetError, match=what) as caught:
        locate(uri, tmp_path)
    assert caught.value.where == uri
    assert is_uri(uri)


def test_without_cache_and_network_it_says_what_to_do(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the hub cannot be reached, and the file is not in the cache") as caught:
        locate(URI, tmp_path).read(missing_fix="")
    assert "HF_HOME" in str(caught.value.fix)


def test_another_commit_needs_another_version(cache: Path, tmp_path: Path) -> None:
    other = COMMIT.replace("0", "f")
    put(cache)
    put(cache, other, ROWS + b'{"id": "c", "q": "z"}\n')
    write_lock(locate(URI, tmp_path))
    moved = locate(URI.replace(COMMIT, other), tmp_path)
    with pytest.raises(DatasetError, match=f"the lock is for {URI}, not for"):
        check_lock(moved)
    with pytest.raises(DatasetError, match="the lock is for"):
        write_lock(moved)
    assert write_lock(moved, version="1.1.0").source.endswith(other)


def test_a_suite_names_it(cache: Path, tmp_path: Path) -> None:
    put(cache)
    path = write_suite(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("words.jsonl", URI), encoding="utf-8")
    suite = load_suite(path, VOCABULARY)
    assert suite.source.lock.parent == tmp_path
    path.write_text(text.replace("words.jsonl", "hf://datasets/acme/faq/test.jsonl@main"), encoding="utf-8")
    with pytest.raises(SuiteError, match="no full commit") as caught:
        load_suite(path, VOCABULARY)
    assert caught.value.where == f"{path}:5"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as one file needs."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        found = self.path == f"/datasets/acme/faq/resolve/{COMMIT}/data/test.jsonl"
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha1(ROWS).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound" if COMMIT in self.path else "RevisionNotFound")
        self.send_header("Content-Length", str(len(ROWS) if found else 0))
        self.end_headers()
        if body and found:
            self.wfile.write(ROWS)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield tmp_path
    server.shutdown()
    server.server_close()


def test_it_is_fetched_once(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = locate(URI, hub)
    assert source.read(missing_fix="").data == ROWS
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert source.read(missing_fix="").data == ROWS


def test_the_hubs_refusals_are_worded(hub: Path) -> None:
    with pytest.raises(DatasetError, match="has no file data/none.jsonl at this commit"):
        locate(URI.replace("test.jsonl", "none.jsonl"), hub).read(missing_fix="")
    with pytest.raises(DatasetError, match="has no commit ffff"):
        locate(f"hf://datasets/acme/faq/x.jsonl@{'f' * 40}", hub).read(missing_fix="")


def test_a_folder_is_verified_with_what_lies_elsewhere(cache: Path, tmp_path: Path) -> None:
    put(cache)
    write_lock(locate(URI, tmp_path))
    (result,) = verify([str(tmp_path)])
    assert (result.name, result.problem) == (URI, None)
    (cache / "datasets--acme--faq" / "snapshots" / COMMIT / "data" / "test.jsonl").write_bytes(ROWS[: len(ROWS) // 2])
    (result,) = verify([str(tmp_path)])
    assert "row 'b' removed since version 1.0.0" in str(result.problem)


def test_the_lock_file_says_where_it_is_from(cache: Path, tmp_path: Path) -> None:
    put(cache)
    source = locate(URI, tmp_path)
    write_lock(source)
    assert json.loads(source.lock.read_bytes())["source"] == URI
