"""PairedResults of many systems: what is read, and what is refused with its line."""

from __future__ import annotations

import csv
import gzip
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.shared_data import shared_file

from llmgate.errors import RecordError
from llmgate.record.results.paired import is_paired, load_paired, paired_name

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    {"item_id": "q2", "system": "b", "score": 1, "output": "text that nobody needs here"},
    {"item_id": "q1", "system": "a", "score": 0.5, "cluster": None},
    {"item_id": "q2", "system": "a", "score": 0},
]


def write(path: Path, rows: list[Any]) -> Path:
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["set.v1.jsonl", "set.v1.jsonl.gz"])
def test_a_score_of_each_system_on_each_item(tmp_path: Path, name: str) -> None:
    found = load_paired(write(tmp_path / name, [*ROWS, "\n"]))
    assert (found.name, found.systems, found.items, found.clusters) == ("set.v1", ("a", "b"), ("q1", "q2"), None)
    assert np.array_equal(found.scores, [[0.5, 0.0], [math.nan, 1.0]], equal_nan=True)
    assert len(found.sha256) == 64


def test_items_without_a_key_are_clusters_of_their_own(tmp_path: Path) -> None:
    keys = ["x", None, "y", "x", None]
    rows = [{"item_id": f"q{i}", "system": s, "score": 1, "cluster": key} for i, key in enumerate(keys) for s in "ab"]
    clusters = load_paired(write(tmp_path / "set.jsonl", rows)).clusters
    assert clusters is not None
    assert clusters[0] == clusters[3]
    assert len(set(clusters.tolist())) == 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "not JSON"),
        ("[1]\n", "a list instead of an object"),
        ('{"item_id": "q", "item_id": "r"}\n', "a key occurs twice"),
        ({"system": "c", "score": 1}, "no 'item_id'"),
        ({"item_id": "q", "score": 1}, "no 'system'"),
        ({"item_id": "q", "system": "c"}, "no 'score'"),
        ({"item_id": 3, "system": "c", "score": 1}, "item_id is 3, but must be a text"),
        ({"item_id": "q", "system": "", "score": 1}, "system is '', but must be a text"),
        ({"item_id": "q", "system": "c", "score": True}, "score is True"),
        ({"item_id": "q", "system": "c", "score": None}, "score is None"),
        ({"item_id": "q", "system": "c", "score": 1.5}, "score is 1.5, but must be a number in [0, 1]"),
        ('{"item_id": "q", "system": "c", "score": NaN}\n', "NaN is not a number"),
        ({"item_id": "q", "system": "c", "score": 1, "cluster": 4}, "cluster is 4"),
        (
            {"item_id": "q1", "system": "c", "score": 1, "cluster": "x"},
            "'q1' is in cluster 'x' here, but in None above",
        ),
        ({"item_id": "q1", "system": "a", "score": 1}, "a second row of 'a' on 'q1'"),
    ],
)
def test_a_broken_row_is_named_by_its_line(tmp_path: Path, row: Any, message: str) -> None:
    path = write(tmp_path / "set.jsonl", [*ROWS, row])
    with pytest.raises(RecordError) as caught:
        load_paired(path)
    assert message in str(caught.value)
    assert caught.value.where == f"{path}:4"


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="results of 1 system cannot be compared"):
        load_paired(write(tmp_path / "one.jsonl", ROWS[1:]))
    whole = write(tmp_path / "whole.jsonl.gz", ROWS).read_bytes()
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-9])
    (tmp_path / "no.jsonl.gz").write_bytes(b"plain")
    for name in ("cut.jsonl.gz", "no.jsonl.gz"):
        with pytest.raises(RecordError, match="cannot be unpacked"):
            load_paired(tmp_path / name)
    (tmp_path / "latin.jsonl").write_bytes('{"item_id": "ü"}'.encode("latin-1"))
    with pytest.raises(RecordError, match="not UTF-8 at byte 13"):
        load_paired(tmp_path / "latin.jsonl")
    with pytest.raises(RecordError, match="cannot be read"):
        load_paired(tmp_path / "missing.jsonl")


def test_other_files_may_lie_beside_results(tmp_path: Path) -> None:
    assert is_paired(write(tmp_path / "a.jsonl", ["\n", *ROWS]))
    assert not is_paired(write(tmp_path / "b.jsonl", [{"item_id": "q", "question": "?"}]))
    assert not is_paired(write(tmp_path / "c.jsonl", []))
    with pytest.raises(RecordError, match="not JSON"):
        is_paired(write(tmp_path / "d.jsonl", ["x\n"]))
    names = ("a.b.jsonl", "a.jsonl.gz", "pairs.csv", ".jsonl", "a b.jsonl", "../a.jsonl")
    assert [paired_name(tmp_path / name) for name in names] == ["a.b", "a", None, None, None, "a"]


def test_every_published_pair_is_read_as_it_was_published() -> None:
    sets = {name: load_paired(shared_file(f"paired/{name}.jsonl{end}")) for name, end in
            (("gsm8k", ""), ("openqa-nq301", ""), ("evouna-nq", ".gz"), ("livebench", ".gz"))}  # fmt: skip
    checked = 0
    with shared_file("paired/pairs.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["label"] not in {"score", "human"}:
                continue
            found = sets[row["set"]]
            one, other = (found.scores[found.systems.index(row[side])] for side in ("system_a", "system_b"))
            differences = (other - one)[~np.isnan(other - one)]
            assert len(differences) == int(row["n"])
            assert 100 * differences.mean() == pytest.approx(float(row["delta_pp"]), abs=1e-4)
            checked += 1
    assert checked > 2_000
