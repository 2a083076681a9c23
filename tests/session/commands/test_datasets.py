"""`llmgate dataset …` through the command line."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.project import write_suite

from llmgate.cli import main
from llmgate.suite.data.lock import lock_path, read_lock

if TYPE_CHECKING:
    from pathlib import Path

ROWS: list[dict[str, Any]] = [
    {
        "id": f"r{i}",
        "text": f"Question number {i * 7919} about the {'cat' if i % 2 else 'dog'}",
        "topic": "ab"[i % 2],
        "doc": i // 3,
    }
    for i in range(12)
]


def llmgate(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    assert llmgate("dataset", "lock", path, "--licence", "MIT").exit_code == 0
    return path


@pytest.mark.parametrize("words", [("lock",), ("dataset", "lock")])
def test_lock_has_two_names(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    result = llmgate(*words, path)
    assert result.exit_code == 0
    assert result.output.startswith(f"{path}: version 1.0.0, 12 rows, sha256 ")
    assert llmgate(*words, path, "--check").exit_code == 0
    write_rows(path, ROWS[1:])
    for arguments in ((), ("--check",)):
        result = llmgate(*words, path, *arguments)
        assert result.exit_code == 2
        assert "row 'r0' removed since version 1.0.0" in result.output
    assert llmgate(*words, path, "--version", "1.1.0").exit_code == 0


def test_lock_takes_types_and_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("key,price\na,1\n", encoding="utf-8")
    assert llmgate("dataset", "lock", path, "--id-column", "key", "--type", "price=null|number").exit_code == 0
    assert dict(read_lock(path).columns) == {"key": "string", "price": "number"}
    for written in ("price", "=number", "price="):
        assert llmgate("dataset", "lock", path, "--type", written).exit_code == 2
    suite = write_suite(tmp_path)
    lock_path(tmp_path / "words.jsonl").unlink()
    assert llmgate("dataset", "lock", suite).exit_code == 0
    assert lock_path(tmp_path / "words.jsonl").exists()


def test_verify_says_all_and_exits_with_2_if_any_is_refused(data: Path) -> None:
    folder = data.parent
    suite = write_suite(folder)
    result = llmgate("dataset", "verify", folder)
    assert (result.exit_code, result.output.count("matches")) == (0, 2)
    write_rows(data, ROWS[:5])
    result = llmgate("dataset", "verify", folder)
    assert result.exit_code == 2
    assert "refused" in result.output
    assert "matches" in result.output
    assert llmgate("dataset", "verify", suite).exit_code == 0
    data.unlink()
    assert llmgate("dataset", "verify", folder).exit_code == 2
    (folder / "empty").mkdir()
    assert llmgate("dataset", "verify", folder / "empty").exit_code == 2
    assert llmgate("dataset", "verify").exit_code == 2


def test_verify_refuses_what_was_never_locked(tmp_path: Path) -> None:
    assert llmgate("dataset", "verify", write_rows(tmp_path / "x.jsonl", ROWS)).exit_code == 2
    result = llmgate("dataset", "verify", "hf://datasets/a/b/c.parquet@main")
    assert (result.exit_code, "no full commit" in result.output) == (2, True)


def test_diff_of_two_files(data: Path) -> None:
    other = write_rows(data.with_name("other.jsonl"), [*ROWS[1:], ROWS[0] | {"id": "new", "text": "\x1b[31m"}])
    result = llmgate("dataset", "diff", data, other)
    assert result.exit_code == 0
    assert result.output.splitlines() == ["+ new", "- r0", "1 added, 1 removed, 0 changed"]
    write_rows(other, [ROWS[0] | {"text": "\x1b[31m"}, *ROWS[1:]])
    result = llmgate("dataset", "diff", data, other)
    assert "\x1b" not in result.output
    facts = json.loads(llmgate("dataset", "diff", data, other, "--json").output)
    assert facts["changed"]["r0"]["text"] == {"before": ROWS[0]["text"], "after": "\x1b[31m"}


def test_diff_since_the_lock(data: Path) -> None:
    assert llmgate("dataset", "diff", data).output == "no differences\n"
    write_rows(data, [ROWS[0] | {"topic": "z"}, *ROWS[1:]])
    assert llmgate("dataset", "diff", data).output == "~ r0\n0 added, 0 removed, 1 changed\n"


def test_diff_since_a_revision(data: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(data.parent), *identity, *words], check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "rows")
    write_rows(data, [ROWS[0] | {"topic": "z"}, *ROWS[1:]])
    result = llmgate("dataset", "diff", data, "--against", "HEAD")
    assert result.output.splitlines() == ["~ r0", '    topic: "a" → "z"', "0 added, 0 removed, 1 changed"]
    for ref in ("nothing", "--help", "HEAD:x"):
        assert llmgate("dataset", "diff", data, f"--against={ref}").exit_code == 2
    assert llmgate("dataset", "diff", data, data, "--against", "HEAD").exit_code == 2


def test_stats(data: Path) -> None:
    rows = [
        *ROWS,
        ROWS[0] | {"id": "copy"},
        ROWS[3] | {"id": "near", "text": ROWS[3]["text"] + "."},
        ROWS[1] | {"id": "gap", "text": " "},
    ]
    write_rows(data, rows)
    result = llmgate("dataset", "stats", data, "--cluster", "doc")
    assert result.exit_code == 0
    assert "15 rows, 4 columns" in result.output
    assert "added since" in result.output
    facts = json.loads(llmgate("dataset", "stats", data, "--cluster", "doc", "--slice", "topic", "--json").output)
    assert facts["rows"] == 15
    assert facts["duplicates"] == [["r0", "copy"]]
    assert sorted(map(sorted, facts["near_duplicates"])) == [["copy", "r0"], ["near", "r3"]]
    assert facts["slices"] == {"topic": {"b": 8, "a": 7}}
    assert facts["clusters"] == {"3": 2, "4": 1, "5": 1}
    text = next(one for one in facts["columns"] if one["name"] == "text")
    assert (text["types"], text["missing"], text["distinct"]) == ("string", 1, 14)
    assert text["lengths"]["least"] == 1
    assert llmgate("dataset", "stats", data, "--slice", "tpoic").exit_code == 2
    assert llmgate("dataset", "stats", data, "--near", "0").exit_code == 2


def test_stats_of_a_suite_use_its_columns(tmp_path: Path) -> None:
    facts = json.loads(llmgate("dataset", "stats", write_suite(tmp_path), "--json").output)
    assert facts["slices"] == {"topic": {"animals": 20, "tools": 20}}
    assert facts["lock"] == "matches its lock, version 1.0.0"


def test_stats_without_a_lock(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    assert f"{path}: not locked" in llmgate("dataset", "stats", path).output


def test_sample_writes_a_locked_dataset(data: Path) -> None:
    out = data.with_name("small.jsonl")
    words = ("dataset", "sample", data, 4, "--seed", 3, "--stratify", "topic", "--out")
    assert llmgate(*words, out).exit_code == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert sorted(row["topic"] for row in rows) == ["a", "a", "b", "b"]
    assert all(row in ROWS for row in rows)
    lock = read_lock(out)
    assert (lock.name, lock.licence) == ("rows-sample", "MIT")
    assert lock.origin.startswith("4 of 12 rows of rows 1.0.0 (sha256 ")
    assert lock.origin.endswith("seed 3, stratified by topic")
    assert llmgate("dataset", "verify", out).exit_code == 0
    assert llmgate(*words, out).exit_code == 2
    other = data.with_name("again.jsonl")
    assert llmgate(*words, other).exit_code == 0
    assert other.read_bytes() == out.read_bytes()


def test_sample_refuses(data: Path) -> None:
    out = data.with_name("small.jsonl")
    for words in (
        (data, 40, "--out", out),
        (data, 0, "--out", out),
        (data, 3, "--out", out, "--stratify", "none"),
        (data, 3, "--out", data.with_name("small.csv")),
        (data, 3),
    ):
        assert llmgate("dataset", "sample", *words).exit_code == 2
    write_rows(data, ROWS[:6])
    assert llmgate("dataset", "sample", data, 3, "--out", out).exit_code == 2
    assert not out.exists()
