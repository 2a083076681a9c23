"""A model folder that is changed while a server loads it."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from support.servers import model_folder

from llmgate.errors import WeightsError
from llmgate.generate.held_weights import HeldFolder, changes, check_held, hold_folder
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TICK_S = 0.02
"""Longer than a tick of the clock by which file systems take times."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = model_folder(tmp_path)
    (made / "model.safetensors").write_bytes(b"a" * 100)
    (made / "code").mkdir()
    (made / "code" / "modeling.py").write_text("pass\n", encoding="utf-8")
    for file in (made / "model.safetensors", made / "config.json", made / "code" / "modeling.py"):
        os.utime(file, (1, 1))
    return made


@pytest.fixture
def held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> HeldFolder:
    """The folder, none of its files young."""
    monkeypatch.setattr("llmgate.record.weights_hashing.YOUNG_S", 0.0)
    time.sleep(TICK_S)
    found = hold_folder(folder)
    assert not found.young
    time.sleep(TICK_S)
    return found


def same_times(file: Path, content: bytes) -> None:
    """Write a file in place, and set its time to what it was."""
    status = file.stat()
    with file.open("r+b") as open_file:
        open_file.write(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def overwritten(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"b" * 100)


def overwritten_with_its_old_time(folder: Path) -> None:
    same_times(folder / "model.safetensors", b"b" * 100)


def replaced(folder: Path) -> None:
    (folder / "new").write_bytes(b"b" * 100)
    os.utime(folder / "new", (1, 1))
    (folder / "new").replace(folder / "model.safetensors")


def longer(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"a")


def added(folder: Path) -> None:
    (folder / "more.safetensors").write_bytes(b"c")


def removed(folder: Path) -> None:
    (folder / "code" / "modeling.py").unlink()


CHANGED = {
    overwritten: "model.safetensors: 100 bytes as expected, but other contents",
    overwritten_with_its_old_time: "model.safetensors: 100 bytes as expected, but other contents",
    replaced: "model.safetensors: 100 bytes as expected, but other contents",
    longer: "model.safetensors: 101 bytes, not 100",
    added: "more.safetensors: added",
    removed: "code/modeling.py: missing",
}


@pytest.mark.parametrize(("change", "line"), CHANGED.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_what_changed_is_named(folder: Path, held: HeldFolder, change: Callable[[Path], None], line: str) -> None:
    change(folder)
    assert line in changes(held)
    with pytest.raises(WeightsError, match="changed on disk after it was hashed") as error:
        check_held(held)
    assert line in error.value.what
    assert error.value.where == str(folder)
    assert "start again" in str(error.value.fix)


def there_and_back(folder: Path) -> None:
    same_times(folder / "model.safetensors", b"b" * 100)
    same_times(folder / "model.safetensors", b"a" * 100)


def moved_aside_and_back(folder: Path) -> None:
    aside = folder.parent / "aside"
    (folder / "model.safetensors").rename(aside)
    shutil.copy2(aside, folder / "model.safetensors")
    (folder / "model.safetensors").write_bytes(b"b" * 100)
    aside.replace(folder / "model.safetensors")


def same_content_in_another_file(folder: Path) -> None:
    (folder / "new").write_bytes(b"a" * 100)
    (folder / "new").replace(folder / "model.safetensors")


@pytest.mark.parametrize("change", [there_and_back, moved_aside_and_back, same_content_in_another_file])
def test_the_same_bytes_again_are_no_excuse(folder: Path, held: HeldFolder, change: Callable[[Path], None]) -> None:
    change(folder)
    assert weights_digest(folder) == held.manifest.digest
    assert changes(held) == ("model.safetensors: the same bytes, but written, replaced or renamed since",)


def test_nothing_changed(folder: Path, held: HeldFolder) -> None:
    assert changes(held) == ()
    # Neither reading nor a note that nothing loads changes a model.
    (folder / "model.safetensors").read_bytes()
    (folder / "README.md").write_text("About.", encoding="utf-8")
    (folder / "README.md").unlink()
    check_held(held)


def test_what_was_written_just_before_is_read_again(folder: Path) -> None:
    held = hold_folder(folder)
    assert "model.safetensors" in held.young
    # Within the same tick of the clock, such a change does not show in any time.
    (folder / "model.safetensors").write_bytes(b"b" * 100)
    young = HeldFolder(
        folder=held.folder,
        manifest=held.manifest,
        keys={**held.keys, "model.safetensors": _key(folder / "model.safetensors")},
        young=held.young,
        links=held.links,
        folders=held.folders,
    )
    assert changes(young) == ("model.safetensors: 100 bytes as expected, but other contents",)


def _key(file: Path) -> str:
    status = file.stat()
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def test_other_numbers_of_device_and_inode_alone_are_no_change(held: HeldFolder) -> None:
    moved = {name: f"7:7:{key.split(':', 2)[2]}" for name, key in held.keys.items()}
    other = HeldFolder(
        folder=held.folder,
        manifest=held.manifest,
        keys=moved,
        young=held.young,
        links=held.links,
        folders=held.folders,
    )
    assert changes(other) == ()


def test_a_link_on_the_way_that_was_swapped_and_swapped_back(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "model.safetensors").write_bytes(b"b" * 100)
    current = tmp_path / "current"
    current.symlink_to(folder)
    held = hold_folder(current)
    assert held.folder == current
    time.sleep(TICK_S)
    current.unlink()
    current.symlink_to(other)
    assert "model.safetensors: 100 bytes as expected, but other contents" in changes(held)
    current.unlink()
    time.sleep(TICK_S)
    current.symlink_to(folder)
    assert changes(held) == (f"{current}: the link was replaced",)


def test_files_that_are_links_as_in_the_hubs_cache(tmp_path: Path, folder: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (folder / "model.safetensors").rename(blobs / "one")
    (blobs / "two").write_bytes(b"b" * 100)
    link = folder / "model.safetensors"
    link.symlink_to("../blobs/one")
    held = hold_folder(folder)
    assert changes(held) == ()
    time.sleep(TICK_S)
    link.unlink()
    link.symlink_to("../blobs/two")
    link.unlink()
    link.symlink_to("../blobs/one")
    assert changes(held) == (f"{link}: the link was replaced",)


def test_a_folder_that_was_swapped_and_swapped_back(tmp_path: Path, folder: Path, held: HeldFolder) -> None:
    folder.rename(tmp_path / "aside")
    (tmp_path / "aside").rename(folder)
    assert changes(held) == (f"{folder}/: the folder was renamed, or its rights were changed",)


def test_a_folder_that_is_gone(folder: Path, held: HeldFolder) -> None:
    shutil.rmtree(folder)
    (line,) = changes(held)
    assert "cannot be read any more (No such file or directory)" in line


def test_many_changes_are_counted(folder: Path, held: HeldFolder) -> None:
    for number in range(9):
        (folder / f"more-{number}.safetensors").write_bytes(b"c")
    with pytest.raises(WeightsError, match="and 4 more"):
        check_held(held)
