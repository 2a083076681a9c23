"""Rows become cases, word for word; what does not fit is refused before anything is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.project import write_suite

from llmgate.errors import DatasetError, SuiteError, TemplateError
from llmgate.record.schema import CaseKey, Message
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.cases import PlannedSuite, plan_suite
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from pathlib import Path


def plan(path: Path, *, repeat: int | None = None) -> PlannedSuite:
    return plan_suite(load_suite(path, VOCABULARY), VOCABULARY, repeat=repeat)


def edited(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_a_row_becomes_a_request(tmp_path: Path) -> None:
    planned = plan(write_suite(tmp_path, cases=3))
    case = planned.cases[1]
    assert case.planned.messages == (Message(role="user", content="Say word-1"),)
    assert case.planned.slices == {"topic": "tools"}
    assert case.planned.expected == "icontains: word-1"
    assert case.key(2) == CaseKey(suite="words", case="word-1", repeat=2)
    assert case.request(2) == {
        "messages": [{"role": "user", "content": "Say word-1"}], "temperature": 0, "max_tokens": 16, "seed": 2,
    }  # fmt: skip


def test_repeats_can_be_overridden(tmp_path: Path) -> None:
    assert {case.planned.repeats for case in plan(write_suite(tmp_path), repeat=4).cases} == {4}


def test_the_request_digest_covers_the_question_and_the_sampling(tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    before = [case.planned.request_digest for case in plan(path).cases]
    assert len(set(before)) == len(before)
    assert [case.planned.request_digest for case in plan(path).cases] == before
    edited(path, "max_tokens: 16", "max_tokens: 17")
    assert not set(before) & {case.planned.request_digest for case in plan(path).cases}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Say {{ word }}", "Say {{ wrod }}", "the prompt uses 'wrod', which is no column.*Did you mean word"),
        ("slices: [topic]", "slices: [topics]", "no column 'topics'. Did you mean topic"),
        ("slices: [topic]", "cluster: page", "no column 'page'"),
        ("slices: [topic]", "id: name", "name"),
        ('value: "{{ word }}"', 'value: "{{ wrod }}"', "wrod"),
        ('type: icontains, value: "{{ word }}"', "type: regex, value: '('", r"words\.yaml:11"),
        ('type: icontains, value: "{{ word }}"', "type: icontains, value: ''", r"words\.yaml:11"),
        ('type: icontains, value: "{{ word }}"', "type: is-json, value: {type: objct}", r"words\.yaml:11"),
        ("Say {{ word }}", "Say {{ word", r"words\.yaml:8"),
        ("Say {{ word }}", "{{ 'a' * 1000000000 }}", r"words\.yaml:8"),
        ("dataset: words.jsonl", "dataset: absent.jsonl", "absent.jsonl"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = edited(write_suite(tmp_path), old, new)
    with pytest.raises((SuiteError, DatasetError, TemplateError), match=says):
        plan(path)


def test_a_dataset_without_rows_is_refused(tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    (tmp_path / "words.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(DatasetError):
        plan(path)


def test_what_is_expected_is_worded_by_row_where_it_depends_on_the_row(tmp_path: Path) -> None:
    assert [case.planned.expected for case in plan(write_suite(tmp_path, cases=2)).cases] == [
        "icontains: word-0",
        "icontains: word-1",
    ]
    (tmp_path / "same").mkdir()
    path = edited(write_suite(tmp_path / "same", cases=2), "{{ word }}", "word")
    assert {case.planned.expected for case in plan(path).cases} == {"icontains: word"}


def test_long_expectations_are_cut_for_the_reader(tmp_path: Path) -> None:
    path = edited(write_suite(tmp_path), '"{{ word }}"}', json.dumps("x" * 1000) + "}")
    expected = plan(path).cases[0].planned.expected
    assert len(expected) == 300
    assert expected.endswith("…")
