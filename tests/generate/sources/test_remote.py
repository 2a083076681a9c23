"""Object stores behind fsspec; its own file system in memory stands for them here, real servers do in tests/e2e."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.told import Told

from llmgate.errors import CannotRunError
from llmgate.generate.sources.fetched import fetch_folder
from llmgate.generate.sources.listing import BrokenOffError, RemoteFile
from llmgate.generate.sources.place import ObjectFolder, read_place
from llmgate.generate.sources.remote import ObjectStore
from llmgate.generate.sources.work import Counter
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

fsspec = pytest.importorskip("fsspec")

FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights" * 100_000,
    "sub/vocab.txt": b"a\n",
    "README.md": b"# Bot",
    "optimizer.pt": b"state" * 100,
    "requirements.txt": b"evil\n",
}


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory", skip_instance_cache=True)
    system.store.clear()
    for name, data in FILES.items():
        system.pipe(f"/bucket/models/bot/{name}", data)
    system.pipe("/bucket/models/bottom/config.json", b"another model")
    yield system
    system.store.clear()


def place(text: str = "s3://bucket/models/bot") -> ObjectFolder:
    found = read_place(text)
    assert isinstance(found, ObjectFolder)
    return found


def test_a_folder_of_objects_is_the_model_that_the_same_local_folder_is(memory: Any, tmp_path: Path) -> None:
    local = tmp_path / "local"
    for name, data in FILES.items():
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).write_bytes(data)
    store = ObjectStore(place(), system=memory)
    found = fetch_folder(store, name="bot", root=tmp_path / "cache", cache=None, progress=Told())
    assert sorted(path.name for path in found.folder.rglob("*") if path.is_file()) == [
        "config.json",
        "model.safetensors",
        "vocab.txt",
    ]
    assert weights_digest(found.folder) == weights_digest(local)


def test_objects_that_are_listed_elsewhere_are_refused(memory: Any) -> None:
    class Lying:
        def invalidate_cache(self) -> None:
            """Nothing is kept."""

        def find(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"other/secret.json": {"size": 1, "type": "file"}}

    with pytest.raises(CannotRunError, match="which lies elsewhere"):
        ObjectStore(place(), system=Lying()).listing()


@pytest.mark.parametrize("name", ["../../x.json", "a/../../x.json", "/abs.json", "a//b.json"])
def test_hostile_keys_are_refused_before_anything_is_fetched(tmp_path: Path, name: str) -> None:
    class Hostile:
        def invalidate_cache(self) -> None:
            """Nothing is kept."""

        def find(self, root: str, **_: Any) -> dict[str, Any]:
            return {f"{root}/{key}": {"size": 1, "type": "file", "ETag": '"e"'} for key in ("config.json", name)}

    with pytest.raises(CannotRunError, match="outside the model's folder"):
        fetch_folder(
            ObjectStore(place(), system=Hostile()), name="bot", root=tmp_path / "c", cache=None, progress=Told()
        )
    assert list(tmp_path.iterdir()) == []


def test_tags_and_digests_are_read_as_both_stores_write_them() -> None:
    class Listed:
        def invalidate_cache(self) -> None:
            """Nothing is kept."""

        def find(self, root: str, **_: Any) -> dict[str, Any]:
            return {
                f"{root}/a.json": {"size": 2, "ETag": '"abc"', "type": "file"},
                f"{root}/b.json": {"size": 2, "etag": "CKih", "md5Hash": "mZFLkyvTelC5g8XnyQrpOw==", "type": "file"},
                f"{root}/c.json": {"size": 2, "generation": 17, "md5Hash": "no base64", "type": "file"},
                f"{root}/folder/": {"size": 0, "type": "file"},
                f"{root}/folder": {"size": 0, "type": "directory"},
            }

    files = {file.path: file for file in ObjectStore(place(), system=Listed()).listing()}
    assert {path: (file.tag, file.md5) for path, file in files.items()} == {
        "a.json": ("abc", ""),
        "b.json": ("CKih", "99914b932bd37a50b983c5e7c90ae93b"),
        "c.json": ("17", ""),
    }


@pytest.mark.parametrize(
    ("error", "what", "fix"),
    [
        (PermissionError("Access Denied"), "may not be read", "AWS_ACCESS_KEY_ID"),
        (FileNotFoundError("bucket"), "no such bucket", "Check the place"),
        (
            type("NoCredentialsError", (Exception,), {"__module__": "botocore.exceptions"})("no"),
            "no credentials",
            "AWS_PROFILE",
        ),
        (
            type("EndpointConnectionError", (Exception,), {"__module__": "botocore.exceptions"})("x"),
            "cannot be reached",
            "AWS_ENDPOINT_URL",
        ),
        (OSError("odd"), "the store says: odd", "Try again"),
    ],
)
def test_what_stores_say_is_worded(error: Exception, what: str, fix: str) -> None:
    class Failing:
        def invalidate_cache(self) -> None:
            """Nothing is kept."""

        def find(self, *_: Any, **__: Any) -> dict[str, Any]:
            raise error

    with pytest.raises(CannotRunError) as caught:
        ObjectStore(place(), system=Failing()).listing()
    assert what in caught.value.what
    assert fix in str(caught.value.fix)
    assert caught.value.where == "s3://bucket/models/bot"


def test_a_mistake_of_ours_is_not_the_stores() -> None:
    class Broken:
        def invalidate_cache(self) -> None:
            raise KeyError("x")

    with pytest.raises(KeyError):
        ObjectStore(place(), system=Broken()).listing()


def test_secrets_of_the_environment_never_stand_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIsecret12345")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hunter22secret@127.0.0.1:9")

    class Failing:
        def invalidate_cache(self) -> None:
            raise OSError("signature wJalrXUtnFEMIsecret12345 for http://user:hunter22secret@127.0.0.1:9 is wrong")

    store = ObjectStore(place(), system=Failing())
    with pytest.raises(CannotRunError) as caught:
        store.listing()
    assert "wJalrXUtnFEMIsecret12345" not in str(caught.value) + store.identity
    assert "hunter22secret" not in str(caught.value) + store.identity


def test_a_transfer_that_breaks_off_may_be_tried_again(memory: Any, tmp_path: Path) -> None:
    class Breaking:
        def open(self, *_: Any, **__: Any) -> Any:
            raise ConnectionResetError("Connection reset by peer")

    with pytest.raises(BrokenOffError):
        ObjectStore(place(), system=Breaking()).fetch(RemoteFile(path="config.json"), tmp_path / "x", Counter())


def test_work_that_was_given_up_ends_between_two_pieces(memory: Any, tmp_path: Path) -> None:
    counter = Counter()
    counter.stop.set()
    with pytest.raises(CannotRunError, match="the transfer was ended"):
        ObjectStore(place(), system=memory).fetch(RemoteFile(path="config.json"), tmp_path / "x", counter)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme, module in (("s3", "s3fs"), ("gs", "gcsfs")):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(CannotRunError, match=rf"{scheme}:// needs {module}.*pytest-llmgate\[{scheme}\]"):
            ObjectStore(place(f"{scheme}://bucket/models/bot"))
