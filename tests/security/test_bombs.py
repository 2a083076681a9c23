"""Small files that stand for gigabytes or hours: each ends in a clear error, in little memory and little time.

The bombs and who reads them are in `support.bombs`. Each is lit in a process of its own, whose resident memory at its
highest and whose processor time are measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.bombs import BOMBS

from llmgate.errors import DatasetError, RecordError
from llmgate.record.growth import BASE_MB, Growth, check_rows
from llmgate.suite.data.rows import parse_rows

TESTS = Path(__file__).parents[1]
MOST_MB = 500
MOST_S = 5.0
LLMGATE_ERRORS = {"DatasetError", "RecordError", "SuiteError", "UsageError"}


def test_every_bomb_ends_in_a_clear_error(tmp_path: Path) -> None:
    """One test, as workers would each light all of them for the rows of a table."""
    paths = [str(TESTS.parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    done = subprocess.run(
        [sys.executable, TESTS / "support" / "bombs.py", tmp_path],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(paths)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    blasts = [json.loads(line) for line in done.stdout.splitlines()]
    assert {blast["name"] for blast in blasts} == set(BOMBS)
    assert [blast for blast in blasts if not is_clear(blast)] == []


def is_clear(blast: dict[str, Any]) -> bool:
    """Whether a bomb ended in one of our errors, shortly worded, in little memory and little time."""
    return (
        blast["error"] in LLMGATE_ERRORS
        and BOMBS[blast["name"]].says in blast["message"]
        and blast["length"] < 1000
        and blast["seconds"] < MOST_S
        and blast["peak_mb"] < MOST_MB
    )


def test_who_trusts_a_file_can_raise_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    growth = Growth(0, "d.jsonl")
    with pytest.raises(RecordError, match="LLMGATE_MAX_GROWTH_MB to more than 256"):
        growth.spend(BASE_MB * 1_000_000 + 1)
    monkeypatch.setenv("LLMGATE_MAX_GROWTH_MB", "300")
    Growth(0, "d.jsonl").spend(BASE_MB * 1_000_000 + 1)
    with pytest.raises(DatasetError, match="LLMGATE_MAX_ROWS"):
        check_rows(2_000_001, "d.jsonl")
    monkeypatch.setenv("LLMGATE_MAX_ROWS", "3000000")
    check_rows(2_000_001, "d.jsonl")


@pytest.mark.parametrize("written", ["", "much", "-1", "1e9", "٣", "9" * 30])
def test_what_is_no_limit_changes_none(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_MAX_ROWS", written)
    with pytest.raises(DatasetError, match="more than 2000000"):
        check_rows(2_000_001, "d.jsonl")


@pytest.mark.parametrize(
    "row", ['{{"id": {}, "q": "2+2"}}', '{{"id": {}, "q": "' + "why " * 50 + '", "tags": ["a", "b"]}}']
)
def test_a_million_rows_of_any_size_are_within_the_limits(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on a thousand of them, with a thousandth of the part that does not depend on the file."""
    monkeypatch.setattr("llmgate.record.growth.MB", 1_000)
    data = "".join(row.format(1_000_000 + i) + "\n" for i in range(1_000)).encode()
    assert len(parse_rows(data, source="d.jsonl")) == 1_000
