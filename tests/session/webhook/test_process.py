"""One child, ended with all that comes from it."""

from __future__ import annotations

import ast
import asyncio
import os
import stat
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.session.webhook.process import carry_out

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.session.webhook.process import RunEnd


def words_in(log: Path) -> int:
    return len(log.read_text(encoding="utf-8").split()) if log.exists() else 0


def run(
    code: str, log: Path, *, argv: list[str] | None = None, stop_after: int | None = None, **options: Any
) -> RunEnd:
    sessions: list[int] = []
    stopping: list[asyncio.Task[None]] = []

    async def staged() -> RunEnd:
        stop = asyncio.Event()
        if stop_after is not None:

            async def stop_soon() -> None:
                deadline = time.monotonic() + 60
                while words_in(log) < stop_after:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.05)
                stop.set()

            stopping.append(asyncio.create_task(stop_soon()))
        settings: dict[str, Any] = {"environ": {}, "time_limit_s": 60, "grace_s": 5, **options}
        return await carry_out(
            argv or [sys.executable, "-I", "-c", code], log=log, stop=stop, started=sessions.append, **settings
        )

    end = asyncio.run(staged())
    assert len(sessions) <= 1
    return end


@pytest.mark.parametrize(
    ("code", "word"),
    [("0", "PASS"), ("1", "FAIL"), ("3", "INCONCLUSIVE"), ("4", "ERROR"), ("2", "ERROR"), ("77", "ERROR")],
)
def test_the_exit_code_is_the_word(tmp_path: Path, code: str, word: str) -> None:
    assert run(f"raise SystemExit({code})", tmp_path / "log").word == word


def test_a_signal_is_an_error(tmp_path: Path) -> None:
    end = run("import os; os.kill(os.getpid(), 9)", tmp_path / "log")
    assert (end.word, end.why, end.stopped) == ("ERROR", "signal 9", False)


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    end = run("", tmp_path / "log", argv=[str(tmp_path / "nothing")])
    assert end.word == "ERROR"
    assert "could not be started" in end.why


def test_it_sees_what_was_named_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_OURS", "hidden")
    code = "import os, sys; print(sorted(os.environ)); print('error', file=sys.stderr)"
    assert run(code, tmp_path / "log", environ={"NAMED": "1"}).word == "PASS"
    text = (tmp_path / "log").read_text()
    assert "error" in text
    line = next(line for line in text.splitlines() if line.startswith("["))
    names = set(ast.literal_eval(line)) - {"LC_CTYPE"}  # Python sets that one itself
    assert names == {"NAMED", "LLMGATE_PROCESS_TREE"}


def test_the_log_is_the_owners_alone(tmp_path: Path) -> None:
    os.umask(0o022)
    run("print('prompt')", tmp_path / "log")
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_a_planted_log_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("whole")
    (tmp_path / "log").symlink_to(tmp_path / "victim")
    end = run("print('x')", tmp_path / "log")
    assert (end.word, "symbolic link" in end.why) == ("ERROR", True)
    assert (tmp_path / "victim").read_text() == "whole"


TREE = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-I", "-c", "import os, time; os.setsid(); time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("options", "why"),
    [({"time_limit_s": 0.7}, "it took longer than 0.7 s"), ({"stop_after": 2}, "the receiver ends")],
)
def test_the_whole_tree_is_ended(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    end = run(TREE, tmp_path / "log", grace_s=0.3, **options)
    assert (end.word, end.why, end.stopped) == ("ERROR", why, "stop_after" in options)
    pids = [int(pid) for pid in (tmp_path / "log").read_text().split()]
    # On a busy machine the time is over before they have begun.
    assert len(pids) == 2 or "time_limit_s" in options
    assert not any(alive(pid) for pid in pids)


def test_a_log_without_end_is_cut(tmp_path: Path) -> None:
    code = "import sys\nwhile True: print('x' * 1000, flush=True)"
    end = run(code, tmp_path / "log", max_log_bytes=100_000)
    assert (end.word, end.why) == ("ERROR", "it wrote more than 100000 bytes to its log")


def test_when_it_is_cancelled_nothing_is_left(tmp_path: Path) -> None:
    sessions: list[int] = []

    async def staged() -> None:
        task = asyncio.create_task(
            carry_out(
                [sys.executable, "-I", "-c", TREE], environ={}, log=tmp_path / "log", time_limit_s=60,
                grace_s=0.2, stop=asyncio.Event(), started=sessions.append,
            )
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while words_in(tmp_path / "log") < 2:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(staged())
    assert len(sessions) == 1
    assert not any(alive(int(pid)) for pid in (tmp_path / "log").read_text().split())
