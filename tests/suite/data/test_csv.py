"""CSV is read as RFC 4180 has it, typed by the lock only, and refused where a reader would have to guess."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import DatasetError
from llmgate.suite.data.csv import read_csv
from llmgate.suite.data.dataset import check_lock, load_dataset, write_lock
from llmgate.suite.data.formats import Format
from llmgate.suite.data.lock import lock_path
from llmgate.suite.data.rows import parse_rows

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


def rows(text: str, **types: str) -> list[tuple[int, dict[str, object]]]:
    return [(line, dict(values)) for line, values in read_csv(text.encode(), source="d.csv", types=types)]


@given(st.lists(st.lists(TEXT, min_size=2, max_size=2), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_what_pythons_writer_writes_is_read_back(cells: list[list[str]], end: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["id", "q"], *cells])
    assert [list(values.values()) for _, values in rows(file.getvalue())] == cells


@given(st.binary(max_size=60))
def test_hostile_bytes_are_refused_as_ours(data: bytes) -> None:
    for kind in Format:
        with contextlib.suppress(DatasetError):
            parsed = parse_rows(b"id,q\n" + data if kind is Format.CSV else data, source="d", kind=kind)
            assert len({row.id for row in parsed}) == len(parsed)


def test_quotes_commas_line_breaks_and_lines() -> None:
    assert rows('id,q\r\na,"x, ""y""\nz"\r\nb,plain') == [
        (2, {"id": "a", "q": 'x, "y"\nz'}),
        (4, {"id": "b", "q": "plain"}),
    ]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "d.csv", "has no rows"),
        ("id,q\n", "d.csv", "has no rows"),
        ("\ufeffid,q\na,b\n", "d.csv", "byte order mark"),
        ("id,q\na\n", "d.csv:2", "the row has 1 cells, but the header names 2 columns"),
        ("id,q\na,b,c\n", "d.csv:2", "3 cells"),
        ("id,q\na,b\n\nc,d\n", "d.csv:3", "blank"),
        ('id,q\na,"b\n', "d.csv:2", "never closed"),
        ('id,q\na,"b"c\n', "d.csv:2", "follows a closing quote"),
        ('id,q\na,b"c\n', "d.csv:2", "inside a cell that is not quoted"),
        ("id,q\ra,b\n", "d.csv:1", "carriage return stands alone"),
        ("id,\na,b\n", "d.csv:1", "no name"),
        ("id, q\na,b\n", "d.csv:1", "white space"),
        ("id,q,q\na,b,c\n", "d.csv:1", "named 2 times"),
        ("id,q\na,b\na,c\n", "d.csv:3", "already used in line 2"),
        ("key,q\na,b\n", "d.csv:2", "has no 'id'"),
    ],
)
def test_what_is_not_csv_is_refused(text: str, where: str, what: str) -> None:
    with pytest.raises(DatasetError, match=what) as caught:
        parse_rows(text.encode(), source="d.csv", kind=Format.CSV)
    assert caught.value.where == where
    assert caught.value.fix


def test_bytes_that_are_not_utf_8_are_named_with_their_line() -> None:
    with pytest.raises(DatasetError, match="not UTF-8") as caught:
        parse_rows(b"id,q\na,b\nc,\xff\n", source="d.csv", kind=Format.CSV)
    assert caught.value.where == "d.csv:3"


def test_cells_are_text_unless_the_types_say_otherwise() -> None:
    text = 'id,n,flag,tags,note,price\na,07,true,"[""x""]",,1.5\nb,1,null,[],y,\n'
    assert rows(text)[0][1]["n"] == "07"
    assert rows(text)[1][1] == {"id": "b", "n": "1", "flag": "null", "tags": "[]", "note": "y", "price": ""}
    typed = rows(text, tags="array", flag="boolean|null", price="null|number", note="null|string")
    assert [values["tags"] for _, values in typed] == [["x"], []]
    assert [values["flag"] for _, values in typed] == [True, None]
    assert [values["price"] for _, values in typed] == [1.5, None]
    assert [values["note"] for _, values in typed] == [None, "y"]


@pytest.mark.parametrize(
    ("cell", "kinds"), [("07", "number"), ("", "number"), ("NaN", "number"), ("x", "object"), ("1", "boolean")]
)
def test_a_cell_of_another_type_is_refused(cell: str, kinds: str) -> None:
    with pytest.raises(DatasetError, match=f"the cell of 'n' should be {kinds}") as caught:
        rows(f"id,n\na,{cell}\n", n=kinds)
    assert caught.value.where == "d.csv:2"


def test_reserved_columns_are_kept_and_never_ragged() -> None:
    text = "id,q,__expected,__config:x\na,b,equals: c,1\n"
    assert set(rows(text)[0][1]) == {"id", "q", "__expected", "__config:x"}
    lines = '{"id": "a", "__expected": "x"}\n{"id": "b"}\n'
    assert len(parse_rows(lines.encode(), source="d.jsonl")) == 2
    with pytest.raises(DatasetError, match="other|lack"):
        parse_rows(b'{"id": "a", "_expected": "x"}\n{"id": "b"}\n', source="d.jsonl")


def test_the_lock_keeps_the_types(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("id,price,name\na,1.5,x\nb,2,y\n", encoding="utf-8")
    lock = write_lock(path, types={"price": "number"}, licence="MIT")
    assert (lock.format, dict(lock.columns)) == ("csv", {"id": "string", "name": "string", "price": "number"})
    dataset = load_dataset(path)
    assert [row.values["price"] for row in dataset.rows] == [1.5, 2]
    path.write_text("id,price,name\na,cheap,x\nb,2,y\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"shop\.csv:2: the cell of 'price' should be number"):
        load_dataset(path)
    path.write_text("id,price,name\na,1.5,z\nb,2,y\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="row 'a' changed since version 1.0.0"):
        check_lock(path)
    assert write_lock(path, version="1.1.0").columns["price"] == "number"
    assert write_lock(path, version="1.2.0", types={"price": "string"}).columns["price"] == "string"


@pytest.mark.parametrize(
    ("types", "what"),
    [
        ({"prize": "number"}, "no column 'prize'. Did you mean price"),
        ({"price": "int"}, "cannot have the type 'int'"),
        ({"price": "number|string"}, "nobody could tell text"),
    ],
)
def test_impossible_types_are_refused(tmp_path: Path, types: dict[str, str], what: str) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("id,price\na,1\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=what):
        write_lock(path, types=types)
    assert not lock_path(path).exists()


def test_two_formats_do_not_share_a_lock(tmp_path: Path) -> None:
    one, other = tmp_path / "d.jsonl", tmp_path / "d.csv"
    one.write_text('{"id": "a", "q": "b"}\n', encoding="utf-8")
    other.write_text("id,q\na,b\n", encoding="utf-8")
    write_lock(one)
    with pytest.raises(DatasetError, match="the lock is for the format jsonl, but the data is csv"):
        load_dataset(other)
    with pytest.raises(DatasetError, match="the lock is for the format jsonl"):
        write_lock(other)
    with pytest.raises(DatasetError, match="types are for CSV"):
        write_lock(one, types={"q": "number"})


def test_a_lock_of_an_unknown_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("id,q\na,b\n", encoding="utf-8")
    write_lock(path)
    fields = json.loads(lock_path(path).read_bytes()) | {"format": "xml"}
    lock_path(path).write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(DatasetError, match="format 'xml' is not one of"):
        load_dataset(path)


def test_a_million_quotes_take_no_time() -> None:
    with pytest.raises(DatasetError):
        rows("id,q\n" + '"' * 1_000_001)
    assert len(rows('id,q\na,"' + '""' * 500_000 + '"\n')[0][1]["q"]) == 500_000  # type: ignore[arg-type]
