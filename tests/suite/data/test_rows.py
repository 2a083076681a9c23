"""Bad JSONL is refused with file, line and reason; what is accepted is digested by meaning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import DatasetError
from llmgate.suite.data.rows import MAX_ID_LENGTH, parse_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.suite.asserts import Json

GOOD = b'{"id": "a", "q": "?"}\n'


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (b"", "d.jsonl", "no rows"),
        (b"\xef\xbb\xbf" + GOOD, "d.jsonl", "byte order mark"),
        (b"\n", "d.jsonl:1", "blank"),
        (GOOD + b"\n" + GOOD, "d.jsonl:2", "blank"),
        (GOOD + b"\n", "d.jsonl:2", "blank"),
        (GOOD + b"  \t", "d.jsonl:2", "blank"),
        (GOOD + b'{"id": "b", "q": "\xff"}\n', "d.jsonl:2", "byte 19 of the line is not UTF-8"),
        (GOOD.decode().encode("utf-16"), "d.jsonl:1", "not UTF-8"),
        (GOOD + b'{"id": "b", "q"}\n', "d.jsonl:2", "not JSON: Expecting ':' delimiter (column 16)"),
        (GOOD + b"{'id': 'b'}\n", "d.jsonl:2", "not JSON"),
        (GOOD + GOOD[:-1] + b",\n", "d.jsonl:2", "not JSON: Extra data"),
        (b'{"id": "a", "q": NaN}\n', "d.jsonl:1", "NaN is not a JSON value"),
        (b'{"id": "a", "q": [-Infinity]}\n', "d.jsonl:1", "-Infinity is not a JSON value"),
        (b'{"id": "a", "q": 1e999}\n', "d.jsonl:1", "the number 1e999 is too large"),
        (b'{"id": "a", "q": ' + b"9" * 5000 + b"}\n", "d.jsonl:1", "number is too long"),
        (b'{"id": "a", "q": ' + b"[" * 100_000 + b"}\n", "d.jsonl:1", "nested too deeply"),
        (b'{"id": "a", "q": "\\ud800"}\n', "d.jsonl:1", "surrogate"),
        (b'{"id": "a", "q": 1, "q": 2}\n', "d.jsonl:1", "the key 'q' stands 2 times"),
        (b'{"id": "a", "q": {"x": 1, "x": 1}}\n', "d.jsonl:1", "the key 'x' stands 2 times"),
        (b'["a"]\n', "d.jsonl:1", "a JSON array, not an object"),
        (b"null\n", "d.jsonl:1", "a JSON null, not an object"),
        (b'"a"\n', "d.jsonl:1", "a JSON string, not an object"),
        (b"true\n", "d.jsonl:1", "a JSON boolean, not an object"),
        (b"3\n", "d.jsonl:1", "a JSON number, not an object"),
        (b"{}\n", "d.jsonl:1", "the row has no 'id'. Its columns are none"),
        (b'{"key": "a", "q": 1}\n', "d.jsonl:1", "the row has no 'id'. Its columns are key, q"),
        (b'{"id": null}\n', "d.jsonl:1", "'id' is a JSON null"),
        (b'{"id": true}\n', "d.jsonl:1", "'id' is a JSON boolean"),
        (b'{"id": 1.5}\n', "d.jsonl:1", "'id' is a JSON number"),
        (b'{"id": ["a"]}\n', "d.jsonl:1", "'id' is a JSON array"),
        (b'{"id": {}}\n', "d.jsonl:1", "'id' is a JSON object"),
        (b'{"id": ""}\n', "d.jsonl:1", "is blank"),
        (b'{"id": " \\u00a0"}\n', "d.jsonl:1", "is blank"),
        (b'{"id": "a "}\n', "d.jsonl:1", "white space"),
        (b'{"id": "a\\nb"}\n', "d.jsonl:1", "control character"),
        (b'{"id": "a\\u0000b"}\n', "d.jsonl:1", "control character"),
        (b'{"id": "a\\u202eb"}\n', "d.jsonl:1", "control character"),
        (b'{"id": "a\\u2028b"}\n', "d.jsonl:1", "control character"),
        (b'{"id": "a::b"}\n', "d.jsonl:1", "test name"),
        (b'{"id": "a#1"}\n', "d.jsonl:1", "test name"),
        (GOOD + GOOD, "d.jsonl:2", "the id 'a' is already used in line 1"),
        (b'{"id": "1"}\n{"id": 1}\n', "d.jsonl:2", "the id '1' is already used in line 1"),
        (GOOD * 1 + b'{"id": "b", "q": 1}\n{"id": "c"}\n', "d.jsonl:3", "row 'c' lacks the column 'q'"),
        (
            b'{"id": "a"}\n{"id": "b"}\n{"id": "c", "qq": 1}\n',
            "d.jsonl:3",
            "row 'c' has a column 'qq' that 2 rows lack",
        ),
    ],
)
def test_refuses(data: bytes, where: str, what: str) -> None:
    with pytest.raises(DatasetError) as caught:
        parse_rows(data, source="d.jsonl")
    assert caught.value.where == where
    assert what in str(caught.value)
    assert caught.value.fix


def test_refuses_an_id_that_is_too_long() -> None:
    fits = json.dumps({"id": "x" * MAX_ID_LENGTH}).encode()
    assert parse_rows(fits, source="d.jsonl")[0].id == "x" * MAX_ID_LENGTH
    with pytest.raises(DatasetError, match="has 201 characters, more than 200"):
        parse_rows(fits.replace(b"x", b"xx", 1), source="d.jsonl")


def test_reads_rows_in_order_with_lines_and_ids() -> None:
    rows = parse_rows(
        b'{"key": 7, "q": "one\xe2\x80\xa8line"}\r\n{"key": "b-2", "q": null}', source="d", id_column="key"
    )
    assert [(row.id, row.line) for row in rows] == [("7", 1), ("b-2", 2)]
    assert rows[0].values == {"key": 7, "q": "one\u2028line"}


def test_digest_is_blind_to_spacing_and_key_order_only() -> None:
    def digest(text: str) -> str:
        return parse_rows(text.encode(), source="d")[0].digest

    reference = digest('{"id": "a", "q": "é", "n": 1}')
    assert digest('{"n":1,  "q":"\\u00e9","id":"a"}\r') == reference
    assert len({reference, *map(digest, ('{"id": "a", "q": "e", "n": 1}', '{"id": "a", "q": "é", "n": 1.0}'))}) == 3


def test_column_types() -> None:
    rows = parse_rows(b'{"id":"a","z":1,"b":null,"c":[]}\n{"id":"b","z":0.5,"b":"x","c":{}}\n', source="d")
    assert rows.column_types == {"b": "null|string", "c": "array|object", "id": "string", "z": "number"}
    assert list(rows.column_types) == ["b", "c", "id", "z"]


values = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False),
    max_size=4,
)


@given(values)
def test_whatever_json_can_hold_comes_back_unchanged(extra: Mapping[str, Json]) -> None:
    row = {**extra, "id": "a"}
    assert parse_rows(json.dumps(row).encode(), source="d")[0].values == row
    assert parse_rows(json.dumps(row, ensure_ascii=False).encode(), source="d")[0].values == row


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_read_or_refused_and_never_crash(data: bytes) -> None:
    try:
        ids: set[str | None] = {row.id for row in parse_rows(data, source="d")}
    except DatasetError as error:
        ids = {error.where}
    assert ids
    assert None not in ids
