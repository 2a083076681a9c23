"""Plain tables of scores in every format: what is read, what counts as an error, and what is refused."""

from __future__ import annotations

import gzip
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import RecordError
from llmgate.record.results.layout import Layout
from llmgate.record.results.load import Results, load_results

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("jsonl", "csv", "parquet")
ROWS = [
    {"item_id": "b", "score": 1.0, "cluster": "x"},
    {"item_id": "a", "score": 0.25, "cluster": "x"},
    {"item_id": "c", "score": 0.0, "cluster": "y"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the format that the file's name says."""
    if path.name.endswith(".parquet"):
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows), path)
        return path
    if ".csv" in path.name:
        cells = [["" if value is None else str(value) for value in row.values()] for row in rows]
        text = "\n".join(",".join(row) for row in [list(rows[0]), *cells]) + "\n"
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def plain(results: Results) -> list[tuple[str, float | None, str | None, str | None]]:
    (table,) = results.tables
    return [(row.item_id, row.score, row.cluster, row.error) for row in table.rows()]


@pytest.mark.parametrize("name", ["s.jsonl", "s.jsonl.gz", "s.csv", "s.csv.gz", "s.parquet"])
def test_all_formats_say_the_same(name: str, tmp_path: Path) -> None:
    results = load_results(write(tmp_path / name, ROWS))
    assert plain(results) == [("b", 1.0, "x", None), ("a", 0.25, "x", None), ("c", 0.0, "y", None)]
    assert (results.format, results.main) == (name.split(".")[1], ("score",))


@pytest.mark.parametrize("kind", FORMATS)
def test_other_columns_are_read_where_somebody_names_them(kind: str, tmp_path: Path) -> None:
    rows = [{"q": i, "acc": i % 2, "f1": 0.5, "doc": f"d{i}", "lang": "en", "person": 1} for i in range(3)]
    layout = Layout(item="q", scores=("acc",), cluster="doc", human="person", slices=("lang",))
    (table,) = load_results(write(tmp_path / f"s.{kind}", rows), layout).tables
    assert [(r.item_id, r.score, r.cluster, r.human) for r in table.rows()] == [
        ("0", 0.0, "d0", 1.0),
        ("1", 1.0, "d1", 1.0),
        ("2", 0.0, "d2", 1.0),
    ]
    assert table.items.slices["lang"].names == ("en",)
    both = load_results(tmp_path / f"s.{kind}", Layout(item="q", scores=("acc", "f1")))
    assert both.main == ("acc", "f1")
    assert both.tables[0].items is both.tables[1].items


@pytest.mark.parametrize("kind", FORMATS)
def test_a_reason_stands_for_a_score_and_counts_as_an_error(kind: str, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"item_id": "a", "score": 1.0, "error": None},
        {"item_id": "b", "score": None, "error": "timeout"},
    ]
    assert plain(load_results(write(tmp_path / f"s.{kind}", rows))) == [
        ("a", 1.0, None, None),
        ("b", None, None, "timeout"),
    ]
    # A score beside an error is not believed.
    rows[1]["score"] = 1.0
    assert plain(load_results(write(tmp_path / f"s.{kind}", rows)))[1] == ("b", None, None, "timeout")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("nothing", [None, math.nan])
def test_nothing_and_nan_are_errors(kind: str, nothing: float | None, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"item_id": "a", "score": 1.0}, {"item_id": "b", "score": nothing}]
    assert plain(load_results(write(tmp_path / f"s.{kind}", rows)))[1] == ("b", None, None, "no score")


def test_null_is_an_error_in_json_lines_whose_columns_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", [{"id": "a", "acc": 1, "text": "x"}, {"id": "b", "acc": None, "text": "y"}])
    assert plain(load_results(path, Layout(item="id", scores=("acc",))))[1] == ("b", None, None, "no score")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"item_id": "a", "score": 1.01}], r":\d+: score is 1.01, but must lie in \[0, 1\]"),
        ([{"item_id": "a", "score": -0.5}], r"score is -0.5, but must lie in \[0, 1\]"),
        ([{"item_id": "a", "score": "good"}], "score (is 'good', but|holds string, but) must"),
        ([{"item_id": "a", "score": 1}, {"item_id": "a", "score": 1}], "item_id 'a' occur"),
        ([{"item_id": "", "score": 1}], "item_id is"),
        ([{"item_id": "a", "score": 1, "clutser": "x"}], "unknown key 'clutser'. Did you mean 'cluster'"),
        ([{"item_id": "a", "score": 1, "zzz": "x"}], "unknown key 'zzz'. Known keys: item_id, score"),
        ([{"item_id": "a", "cluster": "x"}], "no 'score'"),
        ([{"score": 1}], "no 'item_id'"),
    ],
)
def test_what_is_no_table_of_scores_is_refused(
    kind: str, rows: list[dict[str, Any]], says: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match=says):
        load_results(write(tmp_path / f"s.{kind}", rows))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("s.csv", b"item_id,score,score\na,1,1\n", "'score' is named twice"),
        ("s.csv", b"item_id,score\na,1,1\n", "s.csv:2: the row has 3 cells"),
        ("s.csv", b'item_id,score\n"a,1\n', "not CSV"),
        ("s.csv", b"item_id,score\na,inf\n", "s.csv:2: score is inf"),
        ("s.csv", b"", "no 'item_id'"),
        ("s.csv", b"item_id,score\n", "no scores"),
        ("s.csv", b"item_id,score\n\xff,1\n", "not UTF-8"),
        ("s.parquet", b"PAR1 and no more", "is not Parquet"),
        ("s.jsonl.gz", b"\x1f\x8b and no more", "cannot be unpacked"),
        ("s.jsonl.gz", gzip.compress(b'{"item_id": "a"', mtime=0)[:-4], "cannot be unpacked"),
        ("s.jsonl", b'{"item_id": "a", "score": 1, "error": 3}', "error is 3, but must be a text"),
    ],
)
def test_damaged_files_are_refused(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match=says):
        load_results(tmp_path / name)


def test_parquet_columns_of_other_types_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for row, says in (
        ({"item_id": 1.5, "score": 1}, "item_id holds double"),
        ({"item_id": None, "score": 1}, "item_id is null"),
        ({"item_id": "a", "score": [1]}, "score holds list"),
        ({"item_id": "a", "score": 1, "cluster": [1]}, "cluster holds list"),
    ):
        with pytest.raises(RecordError, match=says):
            load_results(write(tmp_path / "s.parquet", [row]))


def test_parquet_reads_booleans_numbers_and_dictionaries(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "item_id": pa.array(["a", "b", "c"]).dictionary_encode(),
        "score": pa.array([True, False, None]),
        "cluster": pa.array([1, 1, 2], type=pa.int64()),
    }
    parquet.write_table(pa.table(columns), tmp_path / "s.parquet")
    assert plain(load_results(tmp_path / "s.parquet")) == [
        ("a", 1.0, "1", None),
        ("b", 0.0, "1", None),
        ("c", None, "2", "no score"),
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_one_of_several_systems_is_chosen(kind: str, tmp_path: Path) -> None:
    rows = [{"item_id": f"{i}", "score": float(s == "x"), "system": s} for s in ("x", "y") for i in range(2)]
    path = write(tmp_path / f"s.{kind}", rows)
    for system, score in (("x", 1.0), ("y", 0.0)):
        assert [row[:2] for row in plain(load_results(path, Layout(only=(("system", system),))))] == [
            ("0", score),
            ("1", score),
        ]
    with pytest.raises(RecordError, match="no scores with system = z"):
        load_results(path, Layout(only=(("system", "z"),)))
    with pytest.raises(RecordError, match="no 'sistem'. Did you mean 'system'"):
        load_results(path, Layout(item="item_id", only=(("sistem", "z"),)))


@pytest.mark.parametrize("kind", FORMATS)
def test_what_people_say_belongs_to_one_column_of_scores(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"s.{kind}", [{"item_id": "a", "score": 1, "f1": 0.5, "human": 1}])
    with pytest.raises(RecordError, match="people's scores stand beside 2 columns"):
        load_results(path, Layout(scores=("score", "f1")))
    unlabelled = write(tmp_path / f"u.{kind}", [{"item_id": "a", "score": 1, "f1": 0.5, "human": None}])
    assert load_results(unlabelled, Layout(scores=("score", "f1"))).tables[0].human is None


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no format 'parqet'. Did you mean parquet"):
        load_results(write(tmp_path / "s.jsonl", ROWS), kind="parqet")


@given(st.dictionaries(st.text(min_size=1), st.none() | st.floats(0, 1), min_size=1, max_size=20))
def test_parquet_reads_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, scores: dict[str, float | None]
) -> None:
    rows = [{"item_id": item, "score": score} for item, score in scores.items()]
    try:
        path = write(tmp_path_factory.mktemp("scores") / "s.parquet", rows)
    except UnicodeEncodeError:
        return
    if any(score is not None for score in scores.values()):
        assert {row[0]: row[1] for row in plain(load_results(path))} == scores


@pytest.mark.parametrize(
    ("cell", "score"),
    [("True", 1.0), ("FALSE", 0.0), ("yes", 1.0), ("No", 0.0), ("1", 1.0), (" 0.5 ", 0.5), ("", None), ("NaN", None)],
)
def test_words_for_right_and_wrong_in_csv(tmp_path: Path, cell: str, score: float | None) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfitem_id,score\r\n" + f"a,{cell}\r\n".encode())
    (table,) = load_results(path).tables
    (row,) = table.rows()
    assert (row.score, row.error) == (score, None if score is not None else "no score")


@pytest.mark.parametrize("cell", ["inf", "-1", "=1+0", "maybe", "1e400", "y"])
def test_other_words_in_csv_are_refused(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"item_id,score\na,{cell}\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"t.csv:2: score is"):
        load_results(path)
