"""The cache of fetched models: whole or not at all, mended where it was changed, and nothing written elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from support.told import Told

from llmgate.errors import CannotRunError
from llmgate.generate.sources.fetched import Fetched, fetch_folder
from llmgate.generate.sources.listing import BrokenOffError, RemoteFile

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.generate.sources.work import Counter

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 1000, "sub/vocab.txt": b"a\nb\n"}


@dataclass
class FakeStore:
    """A place whose faults a test chooses."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    where: str = "s3://bucket/bot"
    identity: str = "s3 bucket/bot"
    sends: dict[str, list[bytes]] = field(default_factory=dict)
    listed: Sequence[RemoteFile] | None = None
    fetched: list[str] = field(default_factory=list)
    while_fetching: Callable[[str], None] | None = None
    tags: bool = True
    md5: bool = False

    def listing(self) -> Sequence[RemoteFile]:
        if self.listed is not None:
            return self.listed
        return [
            RemoteFile(
                path=path,
                size=len(data),
                tag=hashlib.sha1(data).hexdigest() if self.tags else "",
                md5=hashlib.md5(data).hexdigest() if self.md5 else "",
            )
            for path, data in self.files.items()
        ]

    def fetch(self, file: RemoteFile, into: Path, counter: Counter) -> None:
        assert not counter.stop.is_set()
        self.fetched.append(file.path)
        if self.while_fetching is not None:
            self.while_fetching(file.path)
        given = self.sends.get(file.path)
        into.write_bytes(given.pop(0) if given else self.files[file.path])


def bring(store: FakeStore, root: Path, told: Told | None = None, **options: Any) -> Fetched:
    given: dict[str, Any] = {
        "name": "bot",
        "cache": None,
        "progress": told or Told(),
        "sleep": lambda _: None,
        **options,
    }
    return fetch_folder(store, root=root, **given)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_is_fetched_once(tmp_path: Path) -> None:
    store = FakeStore()
    first = bring(store, tmp_path)
    assert content(first.folder) == FILES
    assert first.folder.name == "bot"
    assert sorted(store.fetched) == sorted(FILES)
    assert bring(store, tmp_path) == first
    assert len(store.fetched) == len(FILES)
    assert first.folder.parent.stat().st_mode & 0o077 == 0
    note = json.loads((first.folder.parent / "files.json").read_bytes())
    assert note["files"]["config.json"]["sha256"] == hashlib.sha256(b"{}").hexdigest()


def test_what_changed_there_is_another_model(tmp_path: Path) -> None:
    store = FakeStore()
    first = bring(store, tmp_path)
    store.files["config.json"] = b"[]"
    second = bring(store, tmp_path)
    assert second.folder != first.folder
    assert second.listed != first.listed
    assert content(second.folder)["config.json"] == b"[]"
    assert content(first.folder) == FILES


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/../../../escaped", "bot\\..\\x"])
def test_nothing_is_written_elsewhere(tmp_path: Path, name: str) -> None:
    store = FakeStore(files={**FILES, name: b"evil"})
    root = tmp_path / "deep" / "cache"
    with pytest.raises(CannotRunError, match="outside the model's folder"):
        bring(store, root)
    assert store.fetched == []
    assert not root.exists()


def test_a_file_that_breaks_off_is_tried_again(tmp_path: Path) -> None:
    store = FakeStore(sends={"model.safetensors": [b"weights", b""]})
    pauses: list[float] = []
    assert content(bring(store, tmp_path, sleep=pauses.append).folder) == FILES
    assert store.fetched.count("model.safetensors") == 3
    assert pauses == [1.0, 4.0]


def test_a_file_that_stays_short_is_refused_and_the_rest_is_kept(tmp_path: Path) -> None:
    store = FakeStore(sends={"model.safetensors": [b"weights"] * 3})
    with pytest.raises(BrokenOffError, match=r"'model.safetensors' has 7,000 bytes there, and 7 arrived"):
        bring(store, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and not path.name.endswith(".part")]
    store.fetched.clear()
    told = Told()
    assert content(bring(store, tmp_path, told).folder) == FILES
    assert "model.safetensors" in store.fetched
    assert set(store.fetched) | {"config.json", "sub/vocab.txt"} == set(FILES)


def test_more_bytes_than_listed_are_no_better(tmp_path: Path) -> None:
    store = FakeStore(sends={"config.json": [b"{}{}"] * 3})
    with pytest.raises(BrokenOffError, match="has 2 bytes there, and 4 arrived"):
        bring(store, tmp_path)


def test_bytes_of_the_right_length_are_held_against_a_digest_where_there_is_one(tmp_path: Path) -> None:
    store = FakeStore(sends={"config.json": [b"[]"] * 3}, md5=True)
    with pytest.raises(BrokenOffError, match="arrived with other bytes than the place says it has"):
        bring(store, tmp_path)


def test_a_place_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    store = FakeStore()

    def change(_: str) -> None:
        store.files["sub/vocab.txt"] = b"a\nc\n"

    store.while_fetching = change
    with pytest.raises(CannotRunError, match="were changed there while they were fetched"):
        bring(store, tmp_path)
    store.while_fetching = None
    assert content(bring(store, tmp_path).folder)["sub/vocab.txt"] == b"a\nc\n"


def test_a_disk_that_is_too_small_is_said_before(tmp_path: Path) -> None:
    store = FakeStore(listed=[RemoteFile(path="model.safetensors", size=3_000_000_000)])
    with pytest.raises(
        CannotRunError, match=r"3\.0 GB are to be fetched, and the disk of .* has 2\.0 GB left"
    ) as caught:
        bring(store, tmp_path, free=lambda _: 2_000_000_000)
    assert "XDG_CACHE_HOME" in str(caught.value.fix)
    assert store.fetched == []


def test_a_disk_that_fills_up_keeps_what_is_whole(tmp_path: Path) -> None:
    store = FakeStore()

    def full(path: str) -> None:
        if path == "sub/vocab.txt":
            until(lambda: any(b"model.safetensors" in note.read_bytes() for note in tmp_path.glob("*.part/files.json")))
            raise OSError(28, "No space left on device", "x")

    store.while_fetching = full
    with pytest.raises(CannotRunError, match="the disk is full"):
        bring(store, tmp_path)
    store.while_fetching = None
    store.fetched.clear()
    assert content(bring(store, tmp_path).folder) == FILES
    assert "model.safetensors" not in store.fetched


@pytest.mark.parametrize(
    "kind", ["changed", "shortened", "removed", "added", "link", "hard link", "folder link", "note"]
)
def test_a_copy_that_was_changed_is_found_and_mended(tmp_path: Path, kind: str) -> None:
    store = FakeStore()
    folder = bring(store, tmp_path / "cache").folder
    weights, elsewhere = folder / "model.safetensors", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"WEIGHTS" * 1000)
    if kind == "changed":
        weights.write_bytes(b"WEIGHTS" * 1000)
    elif kind == "shortened":
        os.truncate(weights, 10)
    elif kind == "removed":
        weights.unlink()
    elif kind == "added":
        (folder / "modeling.py").write_text("raise SystemExit", encoding="utf-8")
    elif kind == "link":
        weights.unlink()
        weights.symlink_to(elsewhere)
    elif kind == "hard link":
        weights.unlink()
        weights.hardlink_to(elsewhere)
    elif kind == "folder link":
        (folder / "sub").rename(tmp_path / "sub")
        (folder / "sub").symlink_to(tmp_path / "sub")
    else:
        (folder.parent / "files.json").write_text("[", encoding="utf-8")
    store.fetched.clear()
    told = Told()
    assert content(bring(store, tmp_path / "cache", told).folder) == FILES
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert "is not what was fetched" in told.lines[0]
    expected = {"added": set(), "folder link": {"sub/vocab.txt"}, "note": set(FILES)}
    assert set(store.fetched) == expected.get(kind, {"model.safetensors"})
    assert elsewhere.read_bytes() == b"WEIGHTS" * 1000


def test_a_folder_where_a_file_belongs_is_no_obstacle(tmp_path: Path) -> None:
    store = FakeStore()
    folder = bring(store, tmp_path).folder
    (folder / "config.json").unlink()
    (folder / "config.json" / "deep").mkdir(parents=True)
    assert content(bring(store, tmp_path).folder) == FILES


def test_a_place_that_cannot_be_asked_is_no_place_to_take_the_cache_for(tmp_path: Path) -> None:
    store = FakeStore()
    bring(store, tmp_path)

    class Gone(FakeStore):
        def listing(self) -> Sequence[RemoteFile]:
            raise CannotRunError("the store cannot be reached", where=self.where)

    with pytest.raises(CannotRunError, match="cannot be reached"):
        bring(Gone(), tmp_path)


def test_an_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    store, hold = FakeStore(), threading.Event()

    def wait(_: str) -> None:
        hold.wait(30)

    store.while_fetching = wait
    try:
        with pytest.raises(KeyboardInterrupt):
            bring(store, tmp_path, Told(ends_after=0))
    finally:
        hold.set()


OTHER = """
import sys, time
from pathlib import Path
from llmgate.generate.sources.fetched import fetch_folder
from llmgate.generate.sources.listing import RemoteFile

root, signs = Path(sys.argv[1]), Path(sys.argv[2])
FILES = eval(sys.stdin.read())

class Store:
    where, identity = "s3://bucket/bot", "s3 bucket/bot"
    def listing(self):
        import hashlib
        return [RemoteFile(path=p, size=len(d), tag=hashlib.sha1(d).hexdigest()) for p, d in FILES.items()]
    def fetch(self, file, into, counter):
        (signs / "waiting").touch()
        while not (signs / "go").exists():
            time.sleep(0.02)
        into.write_bytes(FILES[file.path])
        (signs / file.path.replace("/", "-")).touch()

class Told:
    def stage(self, text): pass
    def count(self, *args): pass
    def check(self): pass

fetch_folder(Store(), name="bot", root=root, cache=None, progress=Told())
"""


def until(true: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_processes_fetch_once(tmp_path: Path) -> None:
    root, signs = tmp_path / "cache", tmp_path / "signs"
    signs.mkdir()
    command = [sys.executable, "-c", OTHER, str(root), str(signs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdin is not None
            other.stdin.write(repr(FILES))
            other.stdin.close()
            until((signs / "waiting").exists)
            told, mine, here = Told(), FakeStore(), list[Fetched]()
            thread = threading.Thread(target=lambda: here.append(bring(mine, root, told)))
            thread.start()
            until(lambda: told.lines)
            assert told.lines == ["another process is fetching s3://bucket/bot: waiting for it"]
            (signs / "go").touch()
            thread.join(60)
        finally:
            (signs / "go").touch()
    assert other.returncode == 0
    assert {path.name for path in signs.iterdir()} == {
        "waiting",
        "go",
        "config.json",
        "model.safetensors",
        "sub-vocab.txt",
    }
    assert mine.fetched == []
    assert content(here[0].folder) == FILES


def test_a_lock_that_somebody_planted_is_refused(tmp_path: Path) -> None:
    store = FakeStore()
    entry = bring(store, tmp_path).folder.parent
    lock = tmp_path / f"{entry.name}.lock"
    lock.unlink()
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    lock.symlink_to(victim)
    with pytest.raises(CannotRunError, match="symbolic link"):
        bring(store, tmp_path)
    assert victim.read_text(encoding="utf-8") == "mine"
