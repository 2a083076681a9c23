"""Score tables: every way to hand in something else than scores is refused with its line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import RecordError
from llmgate.record.results.load import load_results
from llmgate.record.scores import ItemScore, ScoreTable

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '{"item_id": "a", "score": 1}'


def write(folder: Path, *lines: str) -> Path:
    path = folder / "scores.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> ScoreTable:
    (table,) = load_results(path, kind="jsonl").tables
    return table


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('["a", 1]', "list instead of an object"),
        ("null", "NoneType instead of an object"),
        ('{"score": 1}', "no 'item_id'"),
        ('{"item_id": "b"}', "no 'score'"),
        ('{"item_id": "b", "score": 1, "clutser": "x"}', "Did you mean 'cluster'"),
        ('{"item_id": "b", "score": 1, "zzz": 2}', "Known keys: item_id, score, cluster"),
        ('{"item_id": "b", "score": 0, "score": 1}', "a key occurs twice"),
        ('{"item_id": 7, "score": 1}', "item_id is 7"),
        ('{"item_id": "", "score": 1}', "item_id is ''"),
        ('{"item_id": "a", "score": 1}', "occurred already on line 1"),
        ('{"item_id": "b", "score": 1, "cluster": 3}', "cluster is 3"),
        ('{"item_id": "b", "score": 1, "cluster": ""}', "cluster is ''"),
        ('{"item_id": "b", "score": NaN}', "NaN is not a score"),
        ('{"item_id": "b", "score": -Infinity}', "-Infinity is not a score"),
        ('{"item_id": "b", "score": 1e999}', "score is inf"),
        ('{"item_id": "b", "score": 1.01}', "score is 1.01"),
        ('{"item_id": "b", "score": -0.01}', "score is -0.01"),
        ('{"item_id": "b", "score": null}', "score is None"),
        ('{"item_id": "b", "score": "1"}', "score is '1'"),
        ('{"item_id": "b", "score": true}', "Write 1 for right"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, GOOD, line)
    with pytest.raises(RecordError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n\n  \n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecordError, match="no scores"):
        load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        load(tmp_path / "none.jsonl")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_bytes(b'{"item_id": "\xff", "score": 1}\n')
    with pytest.raises(RecordError, match="not UTF-8 at byte 13"):
        load(path)


def test_rows_are_read_in_order_with_and_without_clusters(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "", '{"item_id":"c","score":0.0,"cluster":null}')
    assert list(load(path).rows()) == [ItemScore(item_id="a", score=1.0), ItemScore(item_id="c", score=0.0)]
    path = write(tmp_path, '{"item_id": "b", "score": 0.25, "cluster": "doc-1"}')
    assert list(load(path).rows()) == [ItemScore(item_id="b", score=0.25, cluster="doc-1")]


def test_clusters_of_some_items_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="1 of 2 items have no cluster, and the others have one"):
        load(write(tmp_path, GOOD, '{"item_id": "b", "score": 0.25, "cluster": "doc-1"}'))


@given(st.dictionaries(st.text(min_size=1), st.floats(0, 1), min_size=1, max_size=20))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, scores: dict[str, float]) -> None:
    rows = [json.dumps({"item_id": item, "score": score}) for item, score in scores.items()]
    table = load(write(tmp_path_factory.mktemp("scores"), *rows))
    assert {item.item_id: item.score for item in table.rows()} == scores


@pytest.mark.parametrize(
    ("score", "error"), [(None, None), (0.5, "but why"), (float("nan"), None), (float("inf"), None), (1.1, None)]
)
def test_an_item_score_that_contradicts_itself_cannot_be_made(score: float | None, error: str | None) -> None:
    with pytest.raises(ValueError, match="item 'a'"):
        ItemScore(item_id="a", score=score, error=error)


def test_a_table_with_an_item_twice_cannot_be_made() -> None:
    item = ItemScore(item_id="a", score=1.0)
    with pytest.raises(ValueError, match="occurs twice"):
        ScoreTable.of((item, item), suite="s", metric="m")
