"""What is written is read back as it was meant, whatever the texts hold."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import SuiteError
from llmgate.record.growth import Growth
from llmgate.suite.data.rows import MAX_ID_LENGTH
from llmgate.suite.form.document import read_document
from llmgate.suite.importers.files import read_csv, read_source, strict
from llmgate.suite.importers.result import ImportedSuite, Note, NoteSort
from llmgate.suite.importers.table import any_of_pattern, literal, several, slug, table
from llmgate.suite.importers.write import suite_text
from llmgate.suite.template.nunjucks import Template

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text("\n a:-|#", max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def read_back(text: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "s.yaml")
        path.write_text(text, encoding="utf-8", newline="\n")
        return read_document(path).data


@given(value=JSON, content=TEXTS, description=TEXTS, remark=TEXTS)
def test_a_suite_file_holds_what_was_written(value: Any, content: str, description: str, remark: str) -> None:
    suite = ImportedSuite(
        name="s",
        description=description,
        prompt=({"role": "user", "content": content},),
        rows=({"id": "a"},),
        sampling={"extra": {"x": value}},
        asserts=({"type": "equals", "value": value},),
        notes=(Note(what=remark, where=remark), Note(what=remark, sort=NoteSort.REMARK)),
    )
    data = read_back(suite_text(suite, dataset="d.jsonl", source=remark))
    assert data["assert"] == [{"type": "equals", "value": value}]
    assert data["sampling"] == {"extra": {"x": value}}
    assert data["prompt"] == [{"role": "user", "content": content}]
    assert data.get("description", "") == description


@given(TEXTS)
def test_a_literal_renders_to_itself(text: str) -> None:
    assert Template.compile(literal(text)).render({}) == text


@pytest.mark.parametrize("text", ["{{x}}", "{% if %}", "{#", "{{{", "{ {{", "}}", "{{{{%", "a{b}c"])
def test_a_literal_of_signs_renders_to_itself(text: str) -> None:
    assert Template.compile(literal(text)).render({}) == text


@given(st.lists(st.lists(TEXTS.filter(bool), min_size=1, max_size=4), min_size=1, max_size=4))
def test_several_texts_are_read_by_one_value(lists: list[list[str]]) -> None:
    columns, value = several("x", lists)
    templates = value if isinstance(value, list) else [value]
    for column, texts in zip(columns, lists, strict=True):
        rendered = [Template.compile(str(template)).render(column) for template in templates]
        assert set(rendered) == set(texts)


@given(st.lists(st.tuples(st.dictionaries(TEXTS, JSON, max_size=3), st.none() | TEXTS), min_size=1, max_size=6))
def test_rows_have_the_same_columns_and_ids_of_their_own(records: list[tuple[Mapping[str, Any], str | None]]) -> None:
    rows, case = table([record for record, _ in records], [name for _, name in records], growth=Growth(0, "here"))
    column = str(case.get("id", "id"))
    assert all(column not in record for record, _ in records)
    assert len({row[column] for row in rows}) == len(records)
    assert len({tuple(row) for row in rows}) == 1
    assert all(0 < len(str(row[column])) <= MAX_ID_LENGTH for row in rows)


@given(st.text())
def test_slugs_are_names(text: str) -> None:
    assert slug(text).replace("-", "").isalnum()
    assert slug(text).isascii()


def test_patterns_quote_their_texts() -> None:
    assert any_of_pattern(["a.b", "c|d"], whole=True) == r"^(?:a\.b|c\|d)$"


def test_values_that_json_does_not_have_become_null_or_text() -> None:
    assert strict([float("nan"), {"a\ud800": "\ud800"}]) == [None, {"a?": "?"}]


def test_merge_keys_and_tags_of_code(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: !function f.g\nd: {<<: [*a, {z: 4}]}\n", encoding="utf-8"
    )
    source = read_source(path)
    assert source.data["b"] == {"x": 1, "y": 3}
    assert source.data["c"] == "!function f.g"
    assert source.data["d"] == {"x": 1, "y": 2, "z": 4}
    assert source.where("b", "y").endswith(":2")


def test_anchors_that_hold_themselves_and_bombs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    for text in (
        "a: &a [*a]\n",
        "a: &a {<<: *a}\n",
        "\n".join(["a0: &a0 x", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9))]),
    ):
        path.write_text(text, encoding="utf-8")
        try:
            data = read_source(path).data
        except SuiteError:
            continue
        assert data == {"a": {}}


def test_csv_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n"x\r\ny",1\r\nz\r\n')
    assert read_csv(path) == [(3, {"a": "x\r\ny", "b": "1"}), (4, {"a": "z", "b": ""})]
