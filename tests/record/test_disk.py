"""What is written: for the owner alone, whole or not at all, and never through what somebody put there."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import DatasetError, RecordError
from llmgate.record import disk
from llmgate.record.disk import open_own, private_folder, write_atomic

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277])
def umask(request: pytest.FixtureRequest) -> object:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_whatever_the_umask_the_owner_alone_reads(tmp_path: Path, umask: int) -> None:
    write_atomic(tmp_path / "x", b"1")
    os.close(open_own(tmp_path / "y", os.O_RDWR))
    private_folder(tmp_path / "a" / "b" / "c")
    private_folder(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / name) for name in ("x", "y", "a", "a/b", "a/b/c")] == [0o600, 0o600, 0o700, 0o700, 0o700]
    write_atomic(tmp_path / "public", b"1", private=False)
    assert mode(tmp_path / "public") == 0o666 & ~umask


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    private_folder(tmp_path / "mine")
    assert mode(tmp_path / "mine") == 0o755
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        private_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        private_folder(tmp_path / "file" / "inner")


def test_what_an_older_llmgate_wrote_is_private_once_it_is_written_to(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).write_bytes(b"old ")
        (tmp_path / name).chmod(0o644)
    write_atomic(tmp_path / "x", b"new")
    descriptor = open_own(tmp_path / "y", os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, b"and new")
    os.close(descriptor)
    assert (tmp_path / "y").read_bytes() == b"old and new"
    assert mode(tmp_path / "x") == mode(tmp_path / "y") == 0o600


def test_a_link_at_the_path_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "x").symlink_to("other")
    write_atomic(tmp_path / "x", b"1")
    assert not (tmp_path / "x").is_symlink()
    assert (tmp_path / "other").read_bytes() == b"other"


def test_a_draft_has_a_name_that_nobody_knows_and_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / f".x.{os.getpid()}.tmp").symlink_to("other")
    write_atomic(tmp_path / "x", b"1")
    assert (tmp_path / "other").read_bytes() == b"other"
    # Even who guessed it gets nothing written.
    monkeypatch.setattr(disk.secrets, "token_hex", lambda _: "known")  # type: ignore[attr-defined]
    (tmp_path / ".x.known.tmp").symlink_to("other")
    with pytest.raises(DatasetError, match="cannot be written"):
        write_atomic(tmp_path / "x", b"2", error=DatasetError)
    assert (tmp_path / "other").read_bytes() == b"other"
    assert (tmp_path / "x").read_bytes() == b"1"


def test_no_draft_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot be written"):
        write_atomic(tmp_path / "folder", b"1")
    write_atomic(tmp_path / ("n" * 255), b"1")
    assert sorted(path.name[:6] for path in tmp_path.iterdir()) == ["folder", "nnnnnn"]


def test_what_somebody_put_there_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "hard").hardlink_to(tmp_path / "other")
    os.mkfifo(tmp_path / "fifo")
    for name, why in (
        ("link", "symbolic link"),
        ("gone", "symbolic link"),
        ("hard", "a hard link"),
        ("fifo", "no regular file"),
        ("../../../../../dev/null", "no regular file|Permission|No such file"),
    ):
        with pytest.raises(OSError, match=why):
            open_own(tmp_path / name, os.O_RDWR)
    assert not (tmp_path / "nowhere").exists()
    assert mode(tmp_path / "other") == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others")
def test_a_file_of_another_user_is_written_to_only_in_their_own_folder(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for folder in (tmp_path, theirs):
        (folder / "x").touch()
        os.chown(folder / "x", 65_534, 65_534)
    os.chown(theirs, 65_534, 65_534)
    with pytest.raises(OSError, match="belongs to another user"):
        open_own(tmp_path / "x", os.O_RDWR)
    os.close(open_own(theirs / "x", os.O_RDWR))
