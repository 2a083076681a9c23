"""Cells and rows of promptfoo's CSV test files, beyond the conformance rows."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import SuiteError
from llmgate.suite.form.promptfoo_csv import PROMPTFOO_TYPES, read_cell, read_row, split_list


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a, b ,c", ["a", "b", "c"]),
        ('"a, b", c', ["a, b", "c"]),
        (r'"a \"b\" \\ \n"', [r'a "b" \ \n']),
        ('"a ""b"""', ['a "b"']),
        ('say "hi", x', ['say "hi"', "x"]),
        (",,a,", ["a"]),
        ("  ", []),
        ("a\nb", ["a\nb"]),
        ('" a "\u00a0, b', [" a ", "b"]),
    ],
)
def test_split(text: str, fields: list[str]) -> None:
    assert split_list(text) == fields


@pytest.mark.parametrize("text", ['"a', '"a" b', '""', 'a, "b'])
def test_what_cannot_be_split(text: str) -> None:
    with pytest.raises(ValueError, match="quote"):
        split_list(text)


@settings(deadline=None)
@given(st.lists(st.text(min_size=1)))
def test_quoted_fields_come_back(fields: list[str]) -> None:
    text = ", ".join('"' + field.replace("\\", "\\\\").replace('"', '\\"') + '"' for field in fields)
    assert split_list(text) == fields


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"__expected": "similar: x", "__config:__expected:threshold": "0,9"}, "not a number"),
        ({"__expected": "similar: x", "__config:__expected:threshold": " "}, "not a number"),
        ({"__expected": "similar: x", "__config:__expected:threshold": "1e999"}, "not a number"),
        ({"__expected": "similar: x", "__config:__expected": "0.9"}, "sets ''"),
        ({"__expected": "similar: x", "__config:expected:threshold": "0.9"}, "no column of checks"),
        ({"__expected": "similar: x", "__config:__expected0:threshold": "0.9"}, "no such column"),
        ({"__expected1": "similar: x", "__expected3": "is-json", "__config:__expected2:threshold": "1"}, "no such"),
        ({"__expected1": "similar: x", "__expected2": " ", "__config:__expected2:threshold": "1"}, "blank"),
        ({"__expected": "is-json", "__threshold": "half"}, "not a number"),
        ({"__expected": 'contains-any: "a'}, "comma list"),
    ],
)
def test_a_row_that_cannot_be_read_is_an_error_with_its_place(row: dict[str, str], words: str) -> None:
    with pytest.raises(SuiteError, match=words) as caught:
        read_row(row, where="tests.csv:7")
    assert caught.value.where == "tests.csv:7"


@pytest.mark.parametrize("text", ["", "  ", "\ufeff\u00a0\n"])
def test_a_blank_cell_checks_nothing(text: str) -> None:
    with pytest.raises(SuiteError, match="nothing to check"):
        read_cell(text)


@pytest.mark.parametrize(
    ("cell", "asserted"),
    [
        ("similar:dot: a", {"type": "similar:dot", "value": "a", "threshold": 0.8}),
        ("similar:dot product", {"type": "similar", "value": "dot product", "threshold": 0.8}),
        ("not-similar:euclidean(2.0): a", {"type": "not-similar:euclidean", "value": "a", "threshold": 2}),
        ("contains-any: a,, b,", {"type": "contains-any", "value": ["a", "b"]}),
        ("is-json: {}", {"type": "is-json", "value": " {}"}),
        ("file://check.mjs", {"type": "javascript", "value": "file://check.mjs"}),
        ("file://check.py:grade", {"type": "python", "value": "check.py:grade"}),
        ("python: len(output) > 3", {"type": "python", "value": "len(output) > 3"}),
        ("model-graded-closedqa(0.5): x", {"type": "model-graded-closedqa", "value": "x"}),
    ],
)
def test_cells(cell: str, asserted: dict[str, object]) -> None:
    assert read_cell(cell) == asserted


def test_the_columns_around_the_checks() -> None:
    row = read_row(
        {
            "question": " kept as it is ",
            "__expected": "icontains: x",
            "__metric": " ",
            "__metadata:tags[]": r"a, b\, c",
            "__metadata:level": "easy",
            "__metadata:empty": " ",
            "__metadata": "ignored",
            "__providerOutput": "recorded",
            "__description": "",
        }
    )
    assert row.vars == {"question": " kept as it is "}
    assert row.asserts == ({"type": "icontains", "value": "x"},)
    assert row.metadata == {"tags": ["a", "b, c"], "level": "easy"}
    assert row.provider_output == "recorded"
    assert row.description is None
    assert row.threshold is None


def test_a_threshold_for_the_only_column_reaches_it_whatever_its_name() -> None:
    row = read_row({"__expected_tone": "similar: x", "__config:__expected:threshold": "0.4"})
    assert row.asserts == ({"type": "similar", "value": "x", "threshold": 0.4},)


def test_a_threshold_goes_to_the_column_it_names_in_whatever_order() -> None:
    row = read_row({"__expected2": "similar: b", "__expected1": "similar: a", "__config:__expected1:threshold": "0.1"})
    assert [one["threshold"] for one in row.asserts] == [0.8, 0.1]


@given(st.text() | st.from_regex(r"(not-)?(similar|bleu|contains-all|is-json)\([0-9]{0,400}(\.[0-9]{0,9})?\):.*"))
def test_any_cell_becomes_an_assert_or_an_error(text: str) -> None:
    try:
        read = read_cell(text)
    except SuiteError:
        return
    assert read["type"].removeprefix("not-") in PROMPTFOO_TYPES
    assert math.isfinite(read.get("threshold", 0))


@given(st.dictionaries(st.text(max_size=9) | st.from_regex(r"__(config:__expected|expected)[0-9:a-z]*"), st.text()))
def test_any_row_is_read_or_an_error(row: dict[str, str]) -> None:
    try:
        read = read_row(row)
    except SuiteError:
        return
    assert len(read.asserts) <= len(row)


def test_long_cells_take_linear_time() -> None:
    assert read_cell("similar" * 200_000)["type"] == "equals"
    assert read_cell("contains-all:" + "a," * 500_000)["value"][:2] == ["a", "a"]
