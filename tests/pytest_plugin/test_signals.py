"""Ctrl-C and kill -9: nothing is lost, nothing is left, nothing passes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.fake_server import FakeServer
from support.project import answer_right, write_suite

from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from pathlib import Path


def start(tmp_path: Path, suite: Path, server: FakeServer, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", str(suite), f"--llmgate-endpoint={server.url}", "--llmgate-out=run",
         "--llmgate-concurrency=2", *args],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_for_answers(path: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.05)
    raise AssertionError("no answers came")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_answered_and_resume_asks_for_the_rest(number: signal.Signals, tmp_path: Path) -> None:
    suite = write_suite(tmp_path, cases=40)
    with FakeServer(answer=answer_right, ttft_s=0.15) as server:
        process = start(tmp_path, suite, server)
        wait_for_answers(tmp_path / "run" / "journal.jsonl", 6)
        process.send_signal(number)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 2, output
        assert "NO VERDICT: " in output
        assert "\nPASS: " not in output
        before = len(load_record(tmp_path / "run", unfinished=True).results)
        assert 6 <= before < 40
        asked = len(server.seen)
        server.ttft_s = 0.0
        again = start(tmp_path, suite, server, "--llmgate-resume")
        output, _ = again.communicate(timeout=600)
    assert again.returncode == 0, output
    assert len(server.seen) - asked == 40 - before
    assert "PASS Ship: " in output


def test_kill_9_loses_at_most_the_answers_in_flight(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, cases=40)
    with FakeServer(answer=answer_right, ttft_s=0.15) as server:
        process = start(tmp_path, suite, server)
        wait_for_answers(tmp_path / "run" / "journal.jsonl", 6)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=600)
        before = len(load_record(tmp_path / "run", unfinished=True).results)
        assert before >= 6
        server.ttft_s = 0.0
        again = start(tmp_path, suite, server, "--llmgate-resume")
        output, _ = again.communicate(timeout=600)
    assert again.returncode == 0, output
    assert len(load_record(tmp_path / "run").results) == 40
