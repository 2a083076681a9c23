"""`s3://` through s3fs, against moto's server over HTTP. Run by tests/e2e/test_object_stores.py."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from support.told import Told

from llmgate.errors import CannotRunError
from llmgate.generate.sources.local import bring_home, models_root
from llmgate.generate.sources.place import read_place
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmgate.generate.sources.model import LocalModel

SECRET = "wJalrXUtnFEMIK7MDENGsecret"
FILES = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + b"weights" * 2_000_000,
    "tokenizer/vocab.json": b"{}",
    "README.md": b"# Bot",
    "optimizer.pt": b"state" * 1000,
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def s3(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": server,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=server)
    bucket = f"models-{hashlib.sha1(str(tmp_path).encode()).hexdigest()[:12]}"
    client.create_bucket(Bucket=bucket)
    for name, data in FILES.items():
        client.put_object(Bucket=bucket, Key=f"bots/v1/{name}", Body=data)
    client.put_object(Bucket=bucket, Key="bots/v10/config.json", Body=b"another model")
    client.put_object(Bucket=bucket, Key="bots/v1/", Body=b"")
    client.bucket = bucket
    return client


def bring(text: str, told: Told | None = None) -> LocalModel:
    return bring_home(read_place(text), tracking_uri=None, code=False, cache=None, progress=told or Told())


def test_a_prefix_is_the_same_model_as_the_folder_that_was_uploaded(s3: Any, tmp_path: Path) -> None:
    local = tmp_path / "local"
    for name, data in FILES.items():
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).write_bytes(data)
    found = bring(f"s3://{s3.bucket}/bots/v1")
    assert weights_digest(found.folder) == weights_digest(local)
    assert found.name == found.folder.name == "v1"
    assert found.revision.startswith("objects sha256:")
    told = Told()
    assert bring(f"s3://{s3.bucket}/bots/v1/", told).folder == found.folder
    assert told.lines == []


def test_an_object_that_changed_is_another_model(s3: Any) -> None:
    first = bring(f"s3://{s3.bucket}/bots/v1")
    changed = FILES["model.safetensors"][:-1] + b"X"
    s3.put_object(Bucket=s3.bucket, Key="bots/v1/model.safetensors", Body=changed)
    second = bring(f"s3://{s3.bucket}/bots/v1")
    assert second.revision != first.revision
    assert (second.folder / "model.safetensors").read_bytes() == changed
    assert (first.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_part_that_was_uploaded_in_pieces(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=s3.bucket, Key="bots/v1/model-00002.safetensors")["UploadId"]
    pieces = [b"a" * (5 << 20), b"b" * 1000]
    given = {"Bucket": s3.bucket, "Key": "bots/v1/model-00002.safetensors", "UploadId": upload}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(Body=piece, PartNumber=number, **given)["ETag"]}
        for number, piece in enumerate(pieces, start=1)
    ]
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **given)
    assert (bring(f"s3://{s3.bucket}/bots/v1").folder / "model-00002.safetensors").read_bytes() == b"".join(pieces)


def test_a_copy_that_was_changed_here_is_mended(s3: Any) -> None:
    found = bring(f"s3://{s3.bucket}/bots/v1")
    weights = found.folder / "model.safetensors"
    weights.write_bytes(b"\0" * weights.stat().st_size)
    told = Told()
    bring(f"s3://{s3.bucket}/bots/v1", told)
    assert "is not what was fetched ('model.safetensors')" in told.lines[0]
    assert weights.read_bytes() == FILES["model.safetensors"]


@pytest.mark.parametrize("key", ["bots/v1/../../escaped", "bots/v1//etc/passwd", "bots/v1/a\\..\\b", "bots/v1/a\x01b"])
def test_hostile_keys_are_refused(s3: Any, key: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=s3.bucket, Key=key, Body=b"evil")
    with pytest.raises(CannotRunError):
        bring(f"s3://{s3.bucket}/bots/v1")
    assert not list(models_root().glob("*/v1")) if models_root().exists() else True


@pytest.mark.parametrize(
    ("text", "what"),
    [("s3://no-such-bucket-here/x", "no such bucket|no files"), ("s3://{}/nothing", "no files|no such")],
)
def test_what_is_not_there_is_said(s3: Any, text: str, what: str) -> None:
    with pytest.raises(CannotRunError, match=what):
        bring(text.format(s3.bucket))


def test_a_store_that_is_not_there_is_said(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(CannotRunError, match="cannot be reached") as caught:
        bring(f"s3://{s3.bucket}/bots/v1")
    assert SECRET not in str(caught.value)


def test_without_keys_it_says_where_they_belong(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CannotRunError, match="there are no credentials") as caught:
        bring(f"s3://{s3.bucket}/bots/v1")
    assert "AWS_ACCESS_KEY_ID" in str(caught.value.fix)


class Proxy(BaseHTTPRequestHandler):
    """Sends the first answers of a large object only in part, and hands everything else on."""

    upstream = ""
    cuts = 0
    refuse = False

    def do_HEAD(self) -> None:
        self.hand_on()

    def do_GET(self) -> None:
        self.hand_on()

    def hand_on(self) -> None:
        import urllib.error
        import urllib.request

        if type(self).refuse:
            self.send_response(403)
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        asked = urllib.request.Request(type(self).upstream + self.path, headers=headers, method=self.command)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                body, status, fields = answer.read(), answer.status, answer.headers
        except urllib.error.HTTPError as error:
            body, status, fields = error.read(), error.code, error.headers
        self.send_response(status)
        for name, value in fields.items():
            if name.lower() not in {"connection", "transfer-encoding", "content-length", "server", "date"}:
                self.send_header(name, value)
        length = fields.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "GET" and len(body) > 1_000_000 and type(self).cuts:
            type(self).cuts -= 1
            self.wfile.write(body[: len(body) // 3])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Proxy]]:
    kind = type("OwnProxy", (Proxy,), {"upstream": server})
    running = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{running.server_port}")
    yield kind
    running.shutdown()
    running.server_close()


def test_transfers_that_break_off_are_gone_on_with(
    s3: Any, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"{__import__('os').environ['AWS_ENDPOINT_URL']}")
    proxy.cuts = 2
    found = bring(f"s3://{s3.bucket}/bots/v1")
    assert (found.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert proxy.cuts == 0


def test_a_bucket_that_may_not_be_read_is_said(s3: Any, proxy: type[Proxy]) -> None:
    proxy.refuse = True
    with pytest.raises(CannotRunError, match="may not be read"):
        bring(f"s3://{s3.bucket}/bots/v1")


def test_an_object_that_changes_meanwhile_is_refused(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmgate.generate.sources import remote

    honest = remote.ObjectStore.fetch

    def fetch(self: Any, *args: Any) -> None:
        honest(self, *args)
        s3.put_object(Bucket=s3.bucket, Key="bots/v1/config.json", Body=b"[]")

    monkeypatch.setattr(remote.ObjectStore, "fetch", fetch)
    with pytest.raises(CannotRunError, match="were changed there while they were fetched|other bytes|arrived"):
        bring(f"s3://{s3.bucket}/bots/v1")
    monkeypatch.setattr(remote.ObjectStore, "fetch", honest)
    assert (bring(f"s3://{s3.bucket}/bots/v1").folder / "config.json").read_bytes() == b"[]"


def test_a_run_can_be_registered_where_it_lies_and_nothing_is_kept_of_the_keys(s3: Any) -> None:
    found = bring(f"s3://{s3.bucket}/bots/v1")
    kept = [path for path in models_root().rglob("*") if path.is_file()]
    assert kept
    assert not any(SECRET.encode() in path.read_bytes() for path in kept)
    assert SECRET not in repr(found)
