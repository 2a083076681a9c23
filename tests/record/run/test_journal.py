"""The journal survives a crash at any byte and refuses what no crash explains."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import RecordError
from llmgate.record.redaction import Redactor
from llmgate.record.run.journal import Journal, read_journal
from llmgate.record.schema import CaseKey, CaseResult, CheckResult, Failure, FailureKind, Generation, Outcome

if TYPE_CHECKING:
    from pathlib import Path


def result(case: str, text: str = "Paris", *, score: float = 1.0) -> CaseResult:
    return CaseResult(
        key=CaseKey(suite="facts", case=case),
        answer=Generation(text=text, latency_s=0.25, completion_tokens=3),
        checks=(CheckResult(type="icontains", outcome=Outcome.PASS if score else Outcome.FAIL, score=score),),
    )


def failed(case: str) -> CaseResult:
    return CaseResult(
        key=CaseKey(suite="facts", case=case),
        answer=Failure(kind=FailureKind.HTTP, message="500 Internal Server Error", attempts=3),
    )


def write(path: Path, *results: CaseResult, redact: Redactor | None = None) -> None:
    journal = Journal(path, redact=redact or Redactor())
    for item in results:
        journal.append(item)
    journal.close()


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, result("a"), failed("b"), result("c", "line\nbreak \u2028 \U0001f600 }\n"))
    content = read_journal(path)
    assert list(content.results.values()) == [
        result("a"),
        failed("b"),
        result("c", "line\nbreak \u2028 \U0001f600 }\n"),
    ]
    assert not content.torn


def test_a_crash_at_any_byte_loses_at_most_the_line_being_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written = [result("a"), failed("b"), result("c", "\u00e4\n")]
    write(path, *written)
    data = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        complete = sum(end <= cut for end in ends)
        assert list(read_journal(path).results.values()) == written[:complete], cut
        journal = Journal(path)
        journal.append(result("d"))
        journal.close()
        assert list(read_journal(path).results.values()) == [*written[:complete], result("d")], cut


@given(position=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_never_read_as_another_result(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    written = [result("a"), failed("b"), result("c")]
    write(path, *written)
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= flip
    path.write_bytes(data)
    try:
        content = read_journal(path)
    except RecordError:
        return
    assert content.torn
    assert list(content.results.values()) == written[: len(content.results)]


def test_a_damaged_line_in_the_middle_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, result("a"), result("b"), result("c"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"Paris", b"Lyons") + lines[2])
    with pytest.raises(RecordError, match=r"journal\.jsonl:2: this line is damaged"):
        read_journal(path)


def test_a_later_result_replaces_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, failed("a"), result("b"), result("a"))
    assert read_journal(path).results[CaseKey(suite="facts", case="a")] == result("a")


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(RecordError, match="another llmgate process is writing"):
        Journal(tmp_path / "journal.jsonl")
    first.close()


def test_secrets_are_redacted_by_value(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    secret = 'sk-"quoted"-0123456789'
    write(path, result("a", f"your key is {secret}."), redact=Redactor((secret, "short")))
    assert b"0123456789" not in path.read_bytes()
    answer = read_journal(path).results[CaseKey(suite="facts", case="a")].answer
    assert isinstance(answer, Generation)
    assert answer.text == "your key is [redacted]."


@pytest.mark.parametrize("room", [0, 40])
def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(result("a"))
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data[:room])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RecordError, match="cannot be written .*safe.*--resume"):
        journal.append(result("b"))
    monkeypatch.undo()
    with pytest.raises(RecordError, match="cannot be written"):
        journal.append(result("c"))
    journal.close()
    content = read_journal(path)
    assert list(content.results.values()) == [result("a")]
    assert not content.torn


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"absent\.jsonl: the journal cannot be read"):
        read_journal(tmp_path / "absent.jsonl")
    with pytest.raises(RecordError, match="the journal cannot be written"):
        Journal(tmp_path / "no" / "folder" / "journal.jsonl")


@pytest.mark.parametrize(
    ("outcome", "score"),
    [(Outcome.PASS, None), (Outcome.ERROR, 0.0), (Outcome.PASS, float("nan")), (Outcome.FAIL, 1.5)],
)
def test_a_check_cannot_hold_a_score_that_contradicts_it(outcome: Outcome, score: float | None) -> None:
    with pytest.raises(ValueError, match="score"):
        CheckResult(type="equals", outcome=outcome, score=score)
