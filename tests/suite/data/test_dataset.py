"""Content that differs from its lock is refused; a version never means two things."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import DatasetError
from llmgate.suite.data.dataset import check_lock, load_dataset, write_lock
from llmgate.suite.data.lock import lock_path, read_lock

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"id": name, "q": f"What is {name}?", "n": n} for n, name in enumerate(("ant", "bee", "cat"))]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def edit_lock(path: Path, **changes: object) -> None:
    fields = json.loads(lock_path(path).read_bytes()) | changes
    lock_path(path).write_text(json.dumps({k: v for k, v in fields.items() if v is not ...}), encoding="utf-8")


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    path = write_rows(tmp_path / "animals.jsonl", ROWS)
    write_lock(path, licence="Apache-2.0")
    return path


def refusal(path: Path, *, id_column: str = "id") -> str:
    with pytest.raises(DatasetError) as caught:
        load_dataset(path, id_column=id_column)
    assert caught.value.exit_code == 2
    assert caught.value.fix
    with pytest.raises(DatasetError) as again:
        check_lock(path, id_column=id_column)
    assert str(again.value) == str(caught.value)
    return str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "no.jsonl"
    assert refusal(path).startswith(f"{path}: there is no such file")
    with pytest.raises(DatasetError, match="no such file"):
        write_lock(path)
    assert list(tmp_path.iterdir()) == []


def test_folder_instead_of_file(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refusal(tmp_path)


def test_missing_lock(animals: Path) -> None:
    lock_path(animals).unlink()
    message = refusal(animals)
    assert message.startswith(f"{lock_path(animals)}: there is no such file")
    assert f"Run `llmgate lock {animals}`" in message


def test_changed_row(animals: Path) -> None:
    write_rows(animals, [ROWS[0], ROWS[1] | {"n": 9}, ROWS[2]])
    assert refusal(animals) == (
        f"{animals}:2: row 'bee' changed since version 1.0.0 was locked. "
        f"Run `llmgate lock {animals} --version 1.1.0` to lock it as it is, or restore the file"
    )


def test_added_removed_and_moved_rows(animals: Path) -> None:
    write_rows(animals, [ROWS[2], ROWS[1], {"id": "dog", "q": "", "n": 0}])
    message = refusal(animals)
    assert "row 'dog' added, row 'ant' removed and row" in message
    assert "moved since version 1.0.0 was locked" in message


def test_reordered_rows(animals: Path) -> None:
    write_rows(animals, [ROWS[1], ROWS[2], ROWS[0]])
    assert f"{animals}:3: row 'ant' moved since" in refusal(animals)


def test_only_removed_rows(animals: Path) -> None:
    write_rows(animals, ROWS[:1])
    assert refusal(animals).startswith(f"{animals}: rows 'bee', 'cat' removed since")


@pytest.mark.parametrize("locked_with", [b"\n", b"\r\n"])
def test_line_endings_are_named(animals: Path, locked_with: bytes) -> None:
    unix = animals.read_bytes()
    windows = unix.replace(b"\n", b"\r\n")
    lock_path(animals).unlink()
    animals.write_bytes(unix if locked_with == b"\n" else windows)
    write_lock(animals)
    animals.write_bytes(windows if locked_with == b"\n" else unix)
    message = refusal(animals)
    assert "the line endings changed since version 1.0.0 was locked" in message
    assert ".gitattributes" in message


def test_changed_spacing(animals: Path) -> None:
    animals.write_bytes(animals.read_bytes().replace(b": ", b":"))
    assert "no row changed, but the file's bytes did since version 1.0.0" in refusal(animals)


def test_other_id_column(animals: Path) -> None:
    assert "locked with the id column 'id', but asked for 'q'" in refusal(animals, id_column="q")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the lock is not JSON"),
        (b'{"major": 1,\n<<<<<<< HEAD\n', "the lock is not JSON"),
        (b"\xff\xfe", "the lock is not JSON"),
        (b"[" * 100_000, "the lock is not JSON"),
        (b"[]", "format major None"),
        (b"{}", "format major None"),
        (b'{"major": 2}', "format major 2, but this llmgate reads 1. Use the llmgate version that wrote it"),
        (b'{"major": "1"}', "format major '1'"),
        (b'{"major": true}', "format major True"),
        (b'{"major": 1}', "the lock is malformed"),
    ],
)
def test_unreadable_lock(animals: Path, content: bytes, what: str) -> None:
    lock_path(animals).write_bytes(content)
    message = refusal(animals)
    assert message.startswith(str(lock_path(animals)))
    assert what in message
    with pytest.raises(DatasetError):
        write_lock(animals, version="9.0.0")
    assert lock_path(animals).read_bytes() == content


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "0" * 63},
        {"sha256": "0" * 64},
        {"sha256": ...},
        {"row_count": 2},
        {"row_count": "3"},
        {"rows": []},
        {"rows": ["ant"]},
        {"version": "1.0"},
        {"version": "01.0.0"},
        {"version": 1},
        {"columns": {"id": "string"}},
        {"columns": {"id": "string", "q": "string", "n": "string"}},
        {"id_column": ""},
        {"licence": None},
    ],
)
def test_edited_lock(animals: Path, changes: dict[str, object]) -> None:
    edit_lock(animals, **changes)
    assert refusal(animals)


def test_edited_row_digest(animals: Path) -> None:
    lines = [*read_lock(animals).rows]
    edit_lock(animals, rows=[f"{'0' * 64} ant", *lines[1:]])
    assert "row 'ant' changed" in refusal(animals)
    edit_lock(animals, rows=[lines[0], lines[0], lines[2]])
    assert "names 2 different ids" in refusal(animals)


def test_a_newer_field_of_the_same_major_is_ignored(animals: Path) -> None:
    edit_lock(animals, invented_later={"x": 1})
    assert load_dataset(animals).version == "1.0.0"


def test_load(animals: Path) -> None:
    dataset = load_dataset(animals)
    assert (dataset.name, dataset.version, dataset.licence) == ("animals", "1.0.0", "Apache-2.0")
    assert dataset.columns == ("id", "n", "q")
    assert [dict(row.values) for row in dataset.rows] == ROWS
    assert dataset.digest == hashlib.sha256(animals.read_bytes()).hexdigest()


def test_lock_file(animals: Path) -> None:
    text = lock_path(animals).read_text(encoding="utf-8")
    assert lock_path(animals).name == "animals.lock.json"
    assert text.endswith("}\n")
    fields = json.loads(text)
    assert list(fields) == sorted(fields)
    assert fields["major"] == 1
    assert fields["row_count"] == 3
    assert fields["columns"] == {"id": "string", "n": "number", "q": "string"}
    assert [line.split(" ", 1)[1] for line in fields["rows"]] == ["ant", "bee", "cat"]
    assert check_lock(animals) == read_lock(animals)


def test_locking_again_changes_nothing(animals: Path) -> None:
    before = lock_path(animals).read_bytes()
    write_lock(animals)
    write_lock(animals, version="1.0.0")
    assert lock_path(animals).read_bytes() == before


@pytest.mark.parametrize("version", [None, "1.0.0", "0.9.9"])
def test_changed_content_needs_a_higher_version(animals: Path, version: str | None) -> None:
    before = lock_path(animals).read_bytes()
    write_rows(animals, [ROWS[0] | {"n": 5}, *ROWS[1:]])
    with pytest.raises(DatasetError, match=r"row 'ant' changed since version 1\.0\.0|lower than the locked 1\.0\.0"):
        write_lock(animals, version=version)
    assert lock_path(animals).read_bytes() == before


def test_unchanged_content_cannot_go_back_to_a_lower_version(animals: Path) -> None:
    write_lock(animals, version="1.10.0")
    with pytest.raises(DatasetError, match=r"1\.9\.0 is lower than the locked 1\.10\.0"):
        write_lock(animals, version="1.9.0")


def test_new_version(animals: Path) -> None:
    write_rows(animals, ROWS[:2])
    lock = write_lock(animals, version="1.1.0")
    assert (lock.version, lock.licence, lock.name, lock.row_count) == ("1.1.0", "Apache-2.0", "animals", 2)
    assert load_dataset(animals).version == "1.1.0"


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0-rc1", "1.0.0\n", "١.0.0", "-1.0.0"])
def test_bad_version(animals: Path, version: str) -> None:
    with pytest.raises(DatasetError, match=r"is not major\.minor\.patch"):
        write_lock(animals, version=version)


def test_other_id_column_needs_a_new_version(animals: Path) -> None:
    with pytest.raises(DatasetError, match="locked with the id column 'id'"):
        write_lock(animals, id_column="q")
    assert write_lock(animals, id_column="q", version="2.0.0").id_column == "q"
    assert load_dataset(animals, id_column="q").rows[0].id == "What is ant?"
    assert write_lock(animals).id_column == "q"


def test_first_lock_defaults(tmp_path: Path) -> None:
    lock = write_lock(write_rows(tmp_path / "x.y.jsonl", ROWS))
    assert (lock.name, lock.version, lock.licence) == ("x.y", "1.0.0", "unspecified")
    assert (tmp_path / "x.y.lock.json").exists()


def test_malformed_data_is_not_locked(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"{}\n")
    with pytest.raises(DatasetError, match="has no 'id'"):
        write_lock(path)
    assert not lock_path(path).exists()


def test_a_failed_write_leaves_the_old_lock(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lock_path(animals).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DatasetError, match=r"cannot be written \(No space left on device\)"):
        write_lock(animals, version="1.1.0")
    assert lock_path(animals).read_bytes() == before
    assert sorted(p.name for p in animals.parent.iterdir()) == ["animals.jsonl", "animals.lock.json"]
