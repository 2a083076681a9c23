"""Drawing cases, and files of labels: what is read, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from llmgate.errors import RecordError
from llmgate.record.label_file import labels_to_text, read_given_labels, read_labels
from llmgate.record.labels import AnswerKey, AnswerLabels, answer_digest, draw_cases, own_seed
from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from pathlib import Path

HEAD = AnswerLabels(
    source="x", digest="", suite="s", metric="tone", cases=2, seed=7, candidate="aa", champion=None, labels={}
)
ROWS = [
    {"case": "a", "prompt": "user: Hi", "expected": "is kind", "answer": "Hello ü", "digest": "1"},
    {"case": "b", "prompt": "user: Bye", "expected": "is kind", "answer": "No", "digest": "2"},
]


def written(path: Path, *human: Any, **head: Any) -> Path:
    lines = [json.loads(line) for line in labels_to_text(HEAD, ROWS).splitlines()]
    lines[0] |= head
    for line, label in zip(lines[1:], human, strict=True):
        line["human"] = label
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@given(st.sets(st.text(), max_size=30), st.integers(0, 40), st.integers(0, 40), st.integers(0, 2**40))
def test_more_cases_are_the_same_and_more(cases: set[str], few: int, more: int, seed: int) -> None:
    few, more = sorted((few, more))
    small, large = draw_cases(cases, few, seed=seed), draw_cases(sorted(cases), more, seed=seed)
    assert large[: len(small)] == small
    assert len(large) == min(more, len(cases)) == len(set(large))
    assert set(large) <= cases


def test_every_case_is_drawn_as_often() -> None:
    cases = [f"c{i}" for i in range(20)]
    counts = Counter(case for seed in range(2_000) for case in draw_cases(cases, 5, seed=seed))
    assert stats.chisquare([counts[case] for case in cases]).pvalue > 0.001


def test_the_own_seed_follows_from_what_is_labelled() -> None:
    seeds = {own_seed(*names) for names in (("s", "m", "j"), ("t", "m", "j"), ("s", "n", "j"), ("s", "m", "k"))}
    assert len(seeds) == 4
    assert own_seed("s", "m", "j") == own_seed("s", "m", "j")


def test_an_answer_is_known_by_all_that_it_says() -> None:
    plain = Generation(text="x", latency_s=1.0)
    assert answer_digest(plain) == answer_digest(Generation(text="x", latency_s=2.0, finish_reason="stop"))
    called = Generation(text="x", latency_s=1.0, tool_calls=({"function": {"name": "f"}},))
    assert len({answer_digest(plain), answer_digest(called), answer_digest(Generation(text="y", latency_s=1.0))}) == 3


def test_a_filled_in_file_is_read(tmp_path: Path) -> None:
    found = read_labels(written(tmp_path / "l.jsonl", True, 0.25))
    assert found.labels == {AnswerKey(case="a", answer="1"): 1.0, AnswerKey(case="b", answer="2"): 0.25}
    assert (found.suite, found.metric, found.cases, found.seed) == ("s", "tone", 2, 7)
    assert (found.candidate, found.champion) == ("aa", None)
    assert len(found.digest) == 64


def test_half_filled_in_it_is_refused_or_taken_over(tmp_path: Path) -> None:
    path = written(tmp_path / "l.jsonl", None, False)
    with pytest.raises(RecordError, match=r"l.jsonl:2: nobody labelled this answer"):
        read_labels(path)
    given_labels = read_given_labels(path)
    assert given_labels.labels == {AnswerKey(case="b", answer="2"): 0.0}
    again = labels_to_text(given_labels, ROWS).splitlines()
    assert [json.loads(line)["human"] for line in again[1:]] == [None, 0.0]


@pytest.mark.parametrize("label", ["yes", 1.5, -0.1, float("nan"), float("inf"), [1], {"x": 1}])
def test_a_label_that_is_none(tmp_path: Path, label: object) -> None:
    with pytest.raises(RecordError, match=r"l.jsonl:3: the label is .*true or false, or a number from 0"):
        read_labels(written(tmp_path / "l.jsonl", 1, label))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"llmgate-labels": 2}, "format of labels is 2"),
        ({"llmgate-labels": True}, "format of labels is True"),
        ({"cases": "2"}, "cases is '2'"),
        ({"seed": True}, "seed is True"),
        ({"candidate": None}, "candidate is None"),
        ({"sede": 3}, "unknown key 'sede'. Did you mean seed"),
    ],
)
def test_a_head_that_was_changed(tmp_path: Path, head: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        read_labels(written(tmp_path / "l.jsonl", 1, 1, **head))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("{", ":1: not JSON"),
        ("[1]", ":1: not an object"),
        ('{"llmgate-labels": 1}', "no 'suite'"),
        ("HEAD\n", "holds no answers"),
        ("HEAD\nROW\nROW\n", "stands already at .*:2"),
        ('HEAD\n{"case": "a", "case": "b"}\n', ":2: a key occurs twice"),
        ('HEAD\n{"case": "a", "humen": 1}\n', "unknown key 'humen'. Did you mean human"),
        ('HEAD\n{"case": "a", "human": 1}\n', "no 'prompt'"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    head, row, _ = labels_to_text(HEAD, ROWS).splitlines()
    path = tmp_path / "l.jsonl"
    path.write_text(text.replace("HEAD", head).replace("ROW", row.replace("null", "1")), encoding="utf-8")
    with pytest.raises(RecordError, match=message):
        read_labels(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        read_labels(tmp_path / "none.jsonl")


def test_a_case_id_must_be_a_text(tmp_path: Path) -> None:
    path = written(tmp_path / "l.jsonl", 1, 1)
    path.write_text(path.read_text(encoding="utf-8").replace('"case": "a"', '"case": 5'), encoding="utf-8")
    with pytest.raises(RecordError, match=r":2: case is 5"):
        read_labels(path)
