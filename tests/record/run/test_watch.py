"""A follower sees results as they come, and learns how the run ended however it ended."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import RecordError
from llmgate.record.run.journal import Journal
from llmgate.record.run.watch import RunLock, RunPhase, RunWatch
from llmgate.record.schema import CaseKey, CaseResult, Failure, FailureKind, Generation

if TYPE_CHECKING:
    from pathlib import Path


def result(case: str) -> CaseResult:
    return CaseResult(key=CaseKey(suite="s", case=case), answer=Generation(text=case, latency_s=0.1))


def test_results_appear_as_they_are_written(tmp_path: Path) -> None:
    watch = RunWatch(tmp_path)
    watch.refresh()
    assert not watch.results
    journal = Journal(tmp_path / "journal.jsonl")
    for case in ("a", "b", "c"):
        journal.append(result(case))
        watch.refresh()
        assert watch.results[CaseKey(suite="s", case=case)] == result(case)
    journal.close()


def test_what_failed_before_a_run_was_resumed_is_not_settled(tmp_path: Path) -> None:
    key = CaseKey(suite="s", case="b")
    failed = CaseResult(key=key, answer=Failure(kind=FailureKind.TIMEOUT, message="late"))
    with RunLock(tmp_path):
        journal = Journal(tmp_path / "journal.jsonl")
        journal.append(result("a"))
        journal.append(failed)
        watch = RunWatch(tmp_path)
        watch.refresh()
        assert watch.settled(key) == failed
        journal.close()
    with RunLock(tmp_path):
        watch = RunWatch(tmp_path)
        watch.refresh()
        assert watch.settled(CaseKey(suite="s", case="a")) == result("a")
        assert watch.settled(key) is None
        journal = Journal(tmp_path / "journal.jsonl")
        journal.append(failed)
        watch.refresh()
        assert watch.settled(key) == failed
        journal.close()


def test_an_answer_that_waits_for_its_judge_is_not_settled(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(replace(result("a"), judged=False))
    watch = RunWatch(tmp_path)
    watch.refresh()
    assert watch.settled(CaseKey(suite="s", case="a")) is None
    journal.append(result("a"))
    watch.refresh()
    assert watch.settled(CaseKey(suite="s", case="a")) == result("a")
    journal.close()


def test_half_a_line_is_waited_for(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(result("a"))
    journal.close()
    data = (tmp_path / "journal.jsonl").read_bytes()
    watch = RunWatch(tmp_path)
    (tmp_path / "journal.jsonl").write_bytes(data[:-5])
    watch.refresh()
    assert not watch.results
    (tmp_path / "journal.jsonl").write_bytes(data)
    watch.refresh()
    assert list(watch.results.values()) == [result("a")]


def test_a_damaged_line_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b'{"crc32":"00000000","entry":{}}\n')
    with pytest.raises(RecordError, match="damaged"):
        RunWatch(tmp_path).refresh()


def test_the_end_of_a_run_is_told_apart(tmp_path: Path) -> None:
    watch = RunWatch(tmp_path)
    assert watch.state().phase is RunPhase.RUNNING
    with RunLock(tmp_path):
        assert watch.state().phase is RunPhase.RUNNING
    assert watch.state().phase is RunPhase.ABORTED
    with pytest.raises(RuntimeError), RunLock(tmp_path):
        raise RuntimeError("the server died")
    assert watch.state().reason == "the server died"
    (tmp_path / "seal.json").write_text("{}", encoding="utf-8")
    assert watch.state().phase is RunPhase.ABORTED, "the seal is that of the run before"
    with RunLock(tmp_path):
        pass
    assert watch.state().phase is RunPhase.SEALED


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(RecordError, match="another llmgate process is writing"):
        RunLock(tmp_path)


def test_a_killed_writer_is_noticed(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from llmgate.record.run.watch import RunLock\n"
        "lock = RunLock(pathlib.Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert RunWatch(tmp_path).state().phase is RunPhase.RUNNING
        child.kill()
    state = RunWatch(tmp_path).state()
    assert state.phase is RunPhase.ABORTED
    assert "before it was complete" in state.reason
