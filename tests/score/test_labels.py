"""Files of labels: read as they are meant, or refused with the line."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import DatasetError
from llmgate.score.labels import AnswerItem, LabelFile, PairItem, read_labels

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = '{"id": "a", "prompt": "Q", "output": "A", "human": true}'
PAIR = '{"id": "p", "prompt": "Q", "output_1": "A", "output_2": "B", "human": [1, 0, null]}'


def read(folder: Path, text: str) -> LabelFile:
    path = folder / "labels.jsonl"
    path.write_text(text, encoding="utf-8")
    return read_labels(path)


def test_answers_and_pairs_are_read(tmp_path: Path) -> None:
    more = '{"id": "b", "output": "", "human": [true, false, null], "vars": {"x": 1}, "cluster": "c", "stratum": "s"}'
    found = read(tmp_path, f"{ANSWER}\n\n{more}\n")
    assert found.answers == (
        AnswerItem(id="a", output="A", human=(True,), prompt="Q"),
        AnswerItem(id="b", output="", human=(True, False, None), variables={"x": 1}, cluster="c", stratum="s"),
    )
    assert (found.pairs, found.name) == ((), "labels.jsonl")
    assert found.digest == hashlib.sha256((tmp_path / "labels.jsonl").read_bytes()).hexdigest()
    assert read(tmp_path, PAIR).pairs == (PairItem(id="p", output_1="A", output_2="B", human=(1, 0, None), prompt="Q"),)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "no labels"),
        ("\n \n", None, "no labels"),
        ("{", 1, "not JSON"),
        ("[]", 1, "array instead of an object"),
        (f"{ANSWER}\n{ANSWER}", 2, "the id 'a' occurred already on line 1"),
        (f"{ANSWER}\n{PAIR}", 2, "answers and pairs are mixed"),
        (ANSWER.replace("human", "humen"), 1, "unknown key 'humen'. Did you mean human"),
        ('{"id": "a", "output": "A"}', 1, "no 'human'"),
        ('{"output": "A", "human": true}', 1, "no 'id'"),
        ('{"id": "a", "human": true}', 1, "no 'output_1'"),
        (ANSWER.replace('"a"', "null"), 1, "id is null"),
        (ANSWER.replace('"a"', '""'), 1, 'id is ""'),
        (ANSWER.replace('"a"', "7"), 1, "id is 7"),
        (ANSWER.replace('"A"', "7"), 1, "output is number, but must be a text"),
        (ANSWER.replace("true", "1"), 1, "the label 1 is none"),
        (ANSWER.replace("true", '"yes"'), 1, 'the label "yes" is none'),
        (ANSWER.replace("true", '[true, "no"]'), 1, 'the label "no" is none'),
        (ANSWER.replace("true", "NaN"), 1, "NaN"),
        (ANSWER.replace("true", 'true, "human": false'), 1, "human"),
        (PAIR.replace("[1, 0, null]", "3"), 1, "the label 3 is none"),
        (PAIR.replace("[1, 0, null]", "true"), 1, "the label true is none"),
        (PAIR.replace("[1, 0, null]", "1.0"), 1, "the label 1 is none"),
        (ANSWER.replace("}", ', "vars": [1]}'), 1, "vars is array"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert caught.value.where == f"{tmp_path}/labels.jsonl" + (f":{line}" if line else "")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_labels(tmp_path / "nothing.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff")
    with pytest.raises(DatasetError, match="not UTF-8 at byte 0"):
        read_labels(tmp_path / "bytes.jsonl")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "human", "x"]), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["id", "prompt", "output", "output_1", "human", "vars", "cluster"]), JSON))
def test_any_row_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, row: dict[str, object]) -> None:
    folder = tmp_path_factory.mktemp("rows", numbered=True)
    try:
        known = [item.id for item in read(folder, json.dumps(row)).answers]
    except DatasetError as error:
        known = [error.where or ""]
    assert known in ([row.get("id")], [f"{folder}/labels.jsonl:1"])
