"""The log of a trial: nothing that was said is lost, and nothing else is taken for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.admissions import make_instrument

from llmgate.errors import RecordError
from llmgate.record.judges.verdicts import Trial, TrialVerdict, VerdictLog, read_verdicts

if TYPE_CHECKING:
    from pathlib import Path

TRIAL = Trial(labels="d" * 64, instrument=make_instrument())
SAID = (
    TrialVerdict(item="a", said="pass", replies=("{}",)),
    TrialVerdict(item="b", orders=("1", None), error="unreadable", replies=("{", "?")),
    TrialVerdict(item="a", task="again", error="connection"),
)


def written(path: Path) -> None:
    with VerdictLog(path, TRIAL, resume=False) as log:
        for one in SAID:
            log.append(one)


def test_what_was_said_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    written(path)
    trial, found = read_verdicts(path)
    assert trial == TRIAL
    assert found == {(one.task, one.item): one for one in SAID}
    assert [one.final for one in SAID] == [True, True, False]


def test_a_log_goes_on_with_the_same_trial_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    written(path)
    with pytest.raises(RecordError, match="verdicts are there already"):
        VerdictLog(path, TRIAL, resume=False)
    for other in (replace(TRIAL, labels="e"), replace(TRIAL, instrument=make_instrument(criterion="Is polite."))):
        with pytest.raises(RecordError, match="labels, criterion or judge are not the same"):
            VerdictLog(path, other, resume=True)
    (judge,) = make_instrument().judges
    elsewhere = replace(TRIAL, instrument=make_instrument(judges=[replace(judge, source="http://other:1/v1")]))
    with VerdictLog(path, elsewhere, resume=True) as log:
        assert log.verdicts.keys() == {(one.task, one.item) for one in SAID}
        log.append(replace(SAID[2], said="fail", error=None, replies=("{}",)))
    assert read_verdicts(path)[1]["again", "a"].said == "fail"
    assert path.read_text(encoding="utf-8").count("llmgate-verdicts") == 1


def test_a_torn_last_line_is_left_out_and_a_damaged_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    written(path)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:-9], encoding="utf-8")
    assert len(read_verdicts(path)[1]) == 2
    path.write_text(whole.replace('"item": "b"', '"item" "b"'), encoding="utf-8")
    with pytest.raises(RecordError, match=r"log\.jsonl:3: cannot be understood"):
        read_verdicts(path)


def test_a_torn_line_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    written(path)
    path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    with VerdictLog(path, TRIAL, resume=True) as log:
        log.append(SAID[2])
    assert read_verdicts(path)[1].keys() == {(one.task, one.item) for one in SAID}


def test_verdicts_of_others_need_no_first_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"item": "a", "said": "fail"}\n\n{"item": "b", "said": null, "mood": 1}\n', encoding="utf-8")
    trial, found = read_verdicts(path)
    assert trial == Trial()
    assert found["verdict", "a"] == TrialVerdict(item="a", said="fail")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"llmgate-verdicts": 2}\n', "the format is 2, and this llmgate reads 1"),
        ("[]\n[]\n", "no object"),
        ('{"said": "pass"}\n{"item": "a"}\n', "item"),
        ('{"item": 7}\n{"item": "a"}\n', "item"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=words):
        read_verdicts(path)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        read_verdicts(tmp_path / "nothing.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff")
    with pytest.raises(RecordError, match="not UTF-8"):
        read_verdicts(tmp_path / "bytes.jsonl")
    with pytest.raises(RecordError, match="cannot be written"):
        VerdictLog(tmp_path / "no" / "log.jsonl", TRIAL, resume=False)


def test_the_log_holds_no_nan_and_one_object_per_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    written(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(SAID)
    assert all(isinstance(json.loads(line), dict) for line in lines)
