"""Files of anchors: what is read, and what is refused with its line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import SuiteError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.form.anchors import read_anchors

if TYPE_CHECKING:
    from pathlib import Path


def rows(passing: int = 40, failing: int = 20) -> list[dict[str, Any]]:
    return [
        {
            "id": f"a{i}",
            "assert": {"type": "llm-rubric", "value": "Names {{ city }}"},
            "prompt": "Where?",
            "vars": {"city": "Paris"},
            "output": f"Paris {i}",
            "verdict": "pass" if i < passing else "fail",
        }
        for i in range(passing + failing)
    ]


def written(path: Path, found: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in found) + "\n\n", encoding="utf-8")
    return path


def test_anchors_are_read(tmp_path: Path) -> None:
    file = read_anchors(written(tmp_path / "a.jsonl", rows()), VOCABULARY)
    assert len(file.anchors) == 60
    assert len(file.digest) == 64
    first, last = file.anchors[0], file.anchors[-1]
    assert (first.id, first.passed, first.output, first.variables) == ("a0", True, "Paris 0", {"city": "Paris"})
    assert first.spec.type == "llm-rubric"
    assert not last.passed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 5}, "a.jsonl:2: id is 5"),
        ({"id": "a0"}, "a.jsonl:2: the id 'a0' stands on line 1 already"),
        ({"assert": {"type": "llm-rubrik", "value": "x"}}, "a.jsonl:2: unknown assert type 'llm-rubrik'"),
        ({"assert": {"type": "icontains", "value": "x"}}, "a.jsonl:2: icontains asks no judge"),
        ({"assert": {"type": "llm-rubric"}}, "a.jsonl:2: "),
        ({"assert": {"type": "llm-rubric", "value": "x", "weigth": 1}}, "unknown key 'weigth'"),
        ({"assert": "llm-rubric"}, "assert is 'llm-rubric'"),
        ({"verdict": "good"}, "verdict is 'good'"),
        ({"verdict": None}, "verdict is None"),
        ({"vars": []}, "vars is \\[\\]"),
        ({"outptu": "x"}, "unknown key 'outptu'. Did you mean output"),
    ],
)
def test_a_line_that_is_no_anchor(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    found = rows()
    found[1] |= change
    with pytest.raises(SuiteError, match=message):
        read_anchors(written(tmp_path / "a.jsonl", found), VOCABULARY)


def test_what_is_missing_and_what_is_no_json(tmp_path: Path) -> None:
    found = rows()
    del found[1]["verdict"]
    with pytest.raises(SuiteError, match="a.jsonl:2: no 'verdict'"):
        read_anchors(written(tmp_path / "a.jsonl", found), VOCABULARY)
    for text, message in (("{", "a.jsonl:1: not JSON"), ("[]", "a.jsonl:1: not an object"), ("", "0 anchors")):
        (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
        with pytest.raises(SuiteError, match=message):
            read_anchors(tmp_path / "a.jsonl", VOCABULARY)
    with pytest.raises(SuiteError, match="cannot be read"):
        read_anchors(tmp_path / "nowhere", VOCABULARY)
    (tmp_path / "a.jsonl").write_bytes(b"\xff")
    with pytest.raises(SuiteError, match="cannot be read"):
        read_anchors(tmp_path / "a.jsonl", VOCABULARY)


@pytest.mark.parametrize(("passing", "failing"), [(30, 19), (9, 50), (50, 9), (100, 0)])
def test_too_few(tmp_path: Path, passing: int, failing: int) -> None:
    with pytest.raises(SuiteError, match=f"{passing} anchors that pass and {failing} that fail are too few"):
        read_anchors(written(tmp_path / "a.jsonl", rows(passing, failing)), VOCABULARY)
