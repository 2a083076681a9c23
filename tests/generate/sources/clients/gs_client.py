"""`gs://` through gcsfs, against an emulator of Google's storage. Run by tests/e2e/test_object_stores.py."""

from __future__ import annotations

import importlib
import json
import urllib.parse
import urllib.request
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.told import Told

from llmgate.errors import CannotRunError
from llmgate.generate.sources.local import bring_home
from llmgate.generate.sources.place import read_place
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmgate.generate.sources.model import LocalModel

FILES = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + b"weights" * 100_000,
    "tokenizer/vocab.json": b"{}",
    "README.md": b"# Bot",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = importlib.import_module("gcp_storage_emulator.server").create_server("127.0.0.1", 0, in_memory=True)
    running.start()
    port = running._api._httpd.server_address[1]
    yield f"http://127.0.0.1:{port}"
    running.stop()


def upload(url: str, bucket: str, name: str, data: bytes) -> None:
    quoted = urllib.parse.quote(name, safe="")
    asked = urllib.request.Request(
        f"{url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quoted}",
        data=data,
        headers={"Content-Type": "application/octet-stream"},
    )
    urllib.request.urlopen(asked, timeout=30).close()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server)
    monkeypatch.setenv("FSSPEC_GCS_TOKEN", "anon")
    monkeypatch.setenv("FSSPEC_GS_TOKEN", "anon")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name = f"models-{abs(hash(str(tmp_path))) % 10**8}"
    asked = urllib.request.Request(
        f"{server}/storage/v1/b?project=test",
        data=json.dumps({"name": name}).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(asked, timeout=30).close()
    for path, data in FILES.items():
        upload(server, name, f"bots/v1/{path}", data)
    return name


def bring(text: str, told: Told | None = None) -> LocalModel:
    return bring_home(read_place(text), tracking_uri=None, code=False, cache=None, progress=told or Told())


def test_a_prefix_is_the_same_model_as_the_folder_that_was_uploaded(bucket: str, tmp_path: Path) -> None:
    local = tmp_path / "local"
    for name, data in FILES.items():
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).write_bytes(data)
    found = bring(f"gs://{bucket}/bots/v1")
    assert weights_digest(found.folder) == weights_digest(local)
    told = Told()
    assert bring(f"gs://{bucket}/bots/v1", told) == found
    assert told.lines == []


def test_an_object_that_changed_is_another_model(bucket: str, server: str) -> None:
    first = bring(f"gs://{bucket}/bots/v1")
    upload(server, bucket, "bots/v1/config.json", b'{"architectures": ["LlamaForCausalLX"]}')
    second = bring(f"gs://{bucket}/bots/v1")
    assert second.revision != first.revision
    assert b"LlamaForCausalLX" in (second.folder / "config.json").read_bytes()


def test_google_tells_digests_and_they_are_held_against_what_arrives(bucket: str) -> None:
    from llmgate.generate.sources.place import ObjectFolder
    from llmgate.generate.sources.remote import ObjectStore

    place = read_place(f"gs://{bucket}/bots/v1")
    assert isinstance(place, ObjectFolder)
    files: Any = ObjectStore(place).listing()
    assert all(len(file.md5) == 32 for file in files)
    assert all(file.tag for file in files)


@pytest.mark.parametrize("text", ["gs://{}/nothing", "gs://no-such-bucket-here/x"])
def test_what_is_not_there_is_said(bucket: str, text: str) -> None:
    with pytest.raises(CannotRunError, match="no files|no such"):
        bring(text.format(bucket))


def test_a_store_that_is_not_there_is_said(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")

    async def at_once(_: float) -> None:
        """Its pauses between six attempts are half a minute in all, and show nothing of ours."""

    monkeypatch.setattr(importlib.import_module("gcsfs.retry"), "asyncio", SimpleNamespace(sleep=at_once))
    with pytest.raises(CannotRunError, match="cannot be reached"):
        bring(f"gs://{bucket}/bots/v1")
