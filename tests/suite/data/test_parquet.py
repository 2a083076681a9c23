"""Parquet rows are the same rows as in JSON Lines; what JSON lacks is refused."""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import DatasetError
from llmgate.suite.data.dataset import load_dataset, write_lock
from llmgate.suite.data.formats import Format
from llmgate.suite.data.rows import parse_rows

if TYPE_CHECKING:
    from pathlib import Path

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS: list[dict[str, Any]] = [
    {"id": "a", "q": "x", "n": 1, "tags": ["u"], "more": {"k": 1.5}, "ok": True},
    {"id": "b", "q": None, "n": 2, "tags": [], "more": {"k": None}, "ok": False},
]


def written(table: Any) -> bytes:
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def parse(data: bytes) -> list[dict[str, Any]]:
    return [dict(row.values) for row in parse_rows(data, source="d.parquet", kind=Format.PARQUET)]


def test_rows_have_the_digests_of_json_lines() -> None:
    data = written(pa.Table.from_pylist(ROWS))
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    one = parse_rows(data, source="d", kind=Format.PARQUET)
    other = parse_rows(lines, source="d")
    assert [row.digest for row in one] == [row.digest for row in other]
    assert [row.line for row in one] == [1, 2]


def test_it_is_locked_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    path.write_bytes(written(pa.Table.from_pylist(ROWS)))
    assert write_lock(path).format == "parquet"
    assert [row.id for row in load_dataset(path).rows] == ["a", "b"]
    path.write_bytes(written(pa.Table.from_pylist([ROWS[0], ROWS[1] | {"n": 3}])))
    with pytest.raises(DatasetError, match="row 'b' changed since version 1.0.0"):
        load_dataset(path)


def test_dictionaries_and_small_floats_are_values() -> None:
    table = pa.table({"id": pa.array(["a", "b"]).dictionary_encode(), "n": pa.array([0.5, 1.5], pa.float32())})
    assert parse(written(table)) == [{"id": "a", "n": 0.5}, {"id": "b", "n": 1.5}]


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([datetime.date(2026, 1, 1)], "holds date32"),
        ([datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)], "holds timestamp"),
        ([Decimal("1.5")], "holds decimal128"),
        ([b"x"], "holds binary"),
        ([[b"x"]], "holds binary"),
        ([{"k": datetime.time(1)}], "holds time64"),
        ([float("nan")], "holds nan"),
        ([[float("inf")]], "holds inf"),
    ],
)
def test_what_json_lacks_is_refused(values: list[object], what: str) -> None:
    with pytest.raises(DatasetError, match=f"the column 'v' {what}"):
        parse(written(pa.table({"id": ["a"], "v": pa.array(values)})))


def test_repeated_names_are_refused() -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["id", "id"])
    with pytest.raises(DatasetError, match="'id' is there 2 times"):
        parse(written(table))


def test_no_rows_is_refused() -> None:
    with pytest.raises(DatasetError, match="has no rows"):
        parse(written(pa.table({"id": pa.array([], pa.string())})))


@given(st.data())
def test_damaged_files_are_refused_as_ours(data: st.DataObject) -> None:
    whole = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DatasetError):
        assert parse(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


GOOD = written(pa.Table.from_pylist(ROWS))


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DatasetError, match=r"need pyarrow\. pip install 'pytest-llmgate\[data\]'"):
        parse(GOOD)
