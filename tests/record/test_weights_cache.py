"""Digests of earlier times: what is believed, and by whom."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.servers import model_folder

from llmgate.record.weights import weights_digest, weights_manifest
from llmgate.record.weights_cache import WeightsCache, cache_file, entry_key, read_entries

if TYPE_CHECKING:
    from collections.abc import Callable

LATER = 10.0
"""Seconds after which a file is old enough to be remembered."""


def later() -> float:
    return time.time() + LATER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "llmgate" / "weights.json"


def filled(path: Path, folder: Path) -> WeightsCache:
    """A cache that knows a folder, read again from its file."""
    weights_manifest(folder, cache=WeightsCache(path, clock=later))
    return WeightsCache(path)


def poison(path: Path) -> None:
    """Write another digest to every entry, which shows whether the cache was believed."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["files"] = dict.fromkeys(content["files"], "0" * 64)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_what_was_hashed_is_not_read_again(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = filled(path, folder)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    truth = weights_digest(folder)
    monkeypatch.delattr(os, "readv")
    assert weights_manifest(folder, cache=cache).digest == truth


def test_a_young_file_is_not_remembered(path: Path, folder: Path) -> None:
    weights_manifest(folder, cache=WeightsCache(path))
    assert read_entries(path) == {}


def test_contents_that_were_exchanged_are_noticed_though_size_and_mtime_are_the_old_ones(
    path: Path, folder: Path
) -> None:
    cache, weights = filled(path, folder), folder / "model.safetensors"
    before, truth = weights.stat(), weights_digest(folder)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    with weights.open("r+b") as file:
        file.write(data)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = weights.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    found = weights_manifest(folder, cache=cache).digest
    assert found == weights_digest(folder) != truth


def test_a_file_that_took_anothers_name_is_noticed(path: Path, folder: Path) -> None:
    (folder / "other.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{ ")
    cache, truth = filled(path, folder), weights_digest(folder)
    (folder / "other.safetensors").replace(folder / "model.safetensors")
    assert weights_manifest(folder, cache=cache).digest == weights_digest(folder) != truth


def hard_link(path: Path) -> None:
    os.link(path, path.with_name("second"))


def symbolic_link(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


def of_another_user(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(path, 65534, 65534)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "spoil",
    [
        hard_link,
        symbolic_link,
        of_another_user,
        lambda path: path.chmod(0o666),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.write_text("[" * 100_000, encoding="utf-8"),
        lambda path: path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8"),
        lambda path: path.write_text(path.read_text(encoding="utf-8").replace("0" * 64, "x"), encoding="utf-8"),
        lambda path: path.write_text(path.read_text(encoding="utf-8").replace(":", ";", 3), encoding="utf-8"),
        lambda path: path.write_text('{"version": 1, "files": 3}', encoding="utf-8"),
        lambda path: path.write_text(
            path.read_text(encoding="utf-8").replace('"version": 1', '"version": 2'), encoding="utf-8"
        ),
        lambda path: path.write_bytes(path.read_bytes() + b" " * 8_000_000),
        fifo,
    ],
)
def test_a_cache_that_is_not_the_users_own_or_is_broken_is_as_if_it_were_empty(
    path: Path, folder: Path, spoil: Callable[[Path], object]
) -> None:
    truth = weights_digest(folder)
    filled(path, folder)
    poison(path)
    assert weights_manifest(folder, cache=WeightsCache(path)).digest != truth
    spoil(path)
    assert weights_manifest(folder, cache=WeightsCache(path, clock=later)).digest == truth


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert weights_manifest(folder, cache=WeightsCache(tmp_path / "file" / "x.json", clock=later)).digest


ADD = """
import sys, time
from pathlib import Path
from llmgate.record.weights_cache import WeightsCache
path, folder, number = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for turn in range(10):
    file = folder / f"{number}-{turn}.bin"
    file.write_text(f"{number} {turn}", encoding="ascii")
    cache = WeightsCache(path, clock=lambda: time.time() + 10)
    cache.note(file.stat(), f"{number:032d}{turn:032d}", began=cache.now())
    cache.save()
"""
"""What one of several processes does: note files of its own, many times."""


def test_processes_that_write_at_once_lose_nothing(path: Path, folder: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", ADD, str(path), str(folder), str(number)]) for number in range(4)
    ]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    known = read_entries(path)
    assert len(known) == 40
    for number in range(4):
        assert known[entry_key((folder / f"{number}-3.bin").stat())] == f"{number:032d}{3:032d}"


def test_a_lock_that_somebody_keeps_delays_for_a_moment_only(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr("llmgate.record.weights_cache.LOCK_WAIT_S", 0.05)
    filled(path, folder)
    before = path.read_bytes()
    with path.with_name("weights.json.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "new.bin").write_text("new", encoding="utf-8")
        weights_manifest(folder, cache=WeightsCache(path, clock=later))
    assert path.read_bytes() == before


def test_what_nobody_saw_for_long_goes_first(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.record.weights_cache.MOST_ENTRIES", 3)
    filled(path, folder)
    for name in ("a.bin", "b.bin"):
        (folder / name).write_text(name, encoding="utf-8")
    cache = WeightsCache(path, clock=later)
    weights_manifest(folder, cache=cache)
    assert len(read_entries(path)) == 3


def test_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_file({}) == tmp_path / ".cache" / "llmgate" / "weights.json"
    assert cache_file({"XDG_CACHE_HOME": "/c"}) == Path("/c/llmgate/weights.json")
    assert cache_file({"XDG_CACHE_HOME": "relative"}) == tmp_path / ".cache" / "llmgate" / "weights.json"
