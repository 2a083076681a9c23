"""Code of others that ends the process, or never ends: exit code 0 has one door, and that is a decision."""

from __future__ import annotations

import os
import py_compile
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.adversary import Ending, llmgate, verdict_in
from support.fake_server import FakeServer
from support.project import WRONG, answer_right, write_suite

from llmgate.session.decide import publish
from llmgate.session.decide.github import read_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Attempt = "Callable[[Ending], None]"

OWN = "  - {type: own, value: x}\n"
HEAD = "import argparse, asyncio, atexit, os, signal, sys, threading, time\nimport click, pytest\nimport llmgate\n"
EVIL = """
class Evil(BaseException):
    def __str__(self):
        sys.exit(0)

class Fine(llmgate.errors.LlmgateError):
    exit_code = 0

"""
CHECK = """
@llmgate.check("own", version="1"{more})
def own(output, *, value):
    {body}
"""
ENDS = [
    "sys.exit(0)",
    "sys.exit()",
    "sys.exit(False)",
    "sys.exit('fine')",
    "exit(0)",
    "raise SystemExit",
    "raise KeyboardInterrupt",
    "raise GeneratorExit",
    "raise asyncio.CancelledError",
    "raise BaseException('no')",
    "raise BaseExceptionGroup('several', [SystemExit(0), KeyboardInterrupt()])",
    "raise StopIteration",
    "raise StopAsyncIteration",
    "raise click.exceptions.Exit(0)",
    "raise click.Abort",
    "raise Fine('all is well')",
    "raise Evil",
    "argparse.ArgumentParser().parse_args(['--help'])",
    "pytest.exit('done', returncode=0)",
    "pytest.skip('not today')",
]
"""Each raises, where a check or the top of a conftest.py should have gone on."""


def conftest(folder: Path, *, body: str = "return True", more: str = "", top: str = "") -> None:
    text = f"{HEAD}import llmgate.errors\n{EVIL}{CHECK.format(body=body, more=more)}\n{top}\n"
    (folder / "conftest.py").write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, cases=3, gate="min: 0.2", extra=OWN)
    return tmp_path


@pytest.fixture(scope="module")
def right() -> Iterator[str]:
    with FakeServer(answer=answer_right) as server:
        yield server.url


def run(url: str, *more: str) -> Ending:
    return llmgate("run", "words.yaml", "--endpoint", url, "--retries", "0", *more)


def started(url: str, *more: str) -> subprocess.Popen[str]:
    """As `run`, where the process itself is what matters."""
    words = ["run", "words.yaml", "--endpoint", url, "--retries", "0", "--out", "run", *more]
    return subprocess.Popen(
        [sys.executable, "-c", "from llmgate.cli import main; main()", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> Ending:
    output, _ = process.communicate(timeout=600)
    return Ending(exit_code=process.returncode, verdict=verdict_in(Path("run")), output=output)


def test_honest_checks_pass(project: Path, right: str) -> None:
    conftest(project, body="return True")
    assert run(right).green


@pytest.mark.parametrize("body", ENDS)
def test_a_check_ends_the_process(project: Path, right: str, attempt: Callable[[Ending], None], body: str) -> None:
    conftest(project, body=body)
    ending = run(right)
    attempt(ending)
    assert "INCONCLUSIVE" in ending.output  # every case is an error, counted in a decision
    attempt(run(right, "--resume"))


@pytest.mark.parametrize("body", ENDS)
def test_a_conftest_ends_the_process(project: Path, right: str, attempt: Callable[[Ending], None], body: str) -> None:
    conftest(project, top=body)
    ending = run(right)
    attempt(ending)
    assert ending.output.strip()
    assert ending.exit_code in {2, 4}


@pytest.mark.parametrize("command", ["lock words.jsonl --check", "schema suite", "power words.yaml"])
def test_no_other_command_calls_it_a_success(
    project: Path, attempt: Callable[[Ending], None], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they call may end the process."""
    conftest(project, top="sys.exit(0)")
    if command.startswith("lock"):
        monkeypatch.setattr("llmgate.session.commands.datasets.check_dataset", lambda _: sys.exit(0))
    attempt(llmgate(*command.split()))


@pytest.mark.parametrize("body", ["time.sleep(3600)", "threading.Event().wait()", "asyncio.run(asyncio.sleep(3600))"])
@pytest.mark.parametrize("own", [True, False])
def test_a_check_that_does_not_end(
    project: Path, right: str, attempt: Callable[[Ending], None], body: str, own: bool
) -> None:
    conftest(project, body=body, more=", timeout=0.1" if own else "")
    ending = run(right, *([] if own else ["--timeout", "0.5"]))
    attempt(ending)
    assert ending.exit_code == 3
    assert "INCONCLUSIVE" in ending.output


LATE = [
    "atexit.register(os._exit, 0)",
    "atexit.register(sys.exit, 0)",
    "threading.Thread(target=time.sleep, args=(3600,)).start()",
    "sys.exit = lambda *_: os._exit(0)",
    "sys.excepthook = lambda *_: os._exit(0)",
    "signal.signal(signal.SIGINT, lambda *_: os._exit(0))",
]
"""Each waits for the process to end by itself."""


def test_what_waits_for_the_end_does_not_change_it(project: Path, attempt: Callable[[Ending], None]) -> None:
    conftest(project, top="\n".join(LATE))
    with FakeServer(answer=lambda _: WRONG) as server:
        ending = ended(started(server.url))
    attempt(ending)
    assert (ending.exit_code, ending.verdict) == (3, "INCONCLUSIVE")


def test_a_process_that_is_left_by_a_check_leaves_no_decision(
    project: Path, right: str, attempt: Callable[[Ending], None]
) -> None:
    """`os._exit(0)` cannot be caught where it is called; whoever asks for a decision finds none."""
    conftest(project)
    assert run(right).green
    conftest(project, body="os._exit(0)")
    (project / "run" / "journal.jsonl").write_bytes(b"")
    (project / "run" / "seal.json").unlink()
    code = ended(started(right, "--resume")).exit_code
    assert code == 0
    result = read_result(project / "run", exit_code=code)
    attempt(Ending(exit_code=result.exit_code, verdict=result.verdict, output=result.sentence))


def test_bytecode_of_another_text(project: Path, right: str, attempt: Callable[[Ending], None]) -> None:
    conftest(project, body="return True ")
    written = project / "conftest.py"
    before = written.stat()
    py_compile.compile(str(written))
    conftest(project, body="return False")
    os.utime(written, ns=(before.st_atime_ns, before.st_mtime_ns))
    attempt(run(right))


def test_sigterm_ends_with_a_word(project: Path, attempt: Callable[[Ending], None]) -> None:
    conftest(project)
    with FakeServer(answer=answer_right, ttft_s=30.0) as server:
        process = started(server.url)
        while not server.seen:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        ending = ended(process)
    attempt(ending)
    assert ending.exit_code == 4
    assert "llmgate: interrupted. What was answered is kept" in ending.output


def test_a_full_disk_for_the_words(project: Path, right: str, attempt: Callable[[Ending], None]) -> None:
    """A verdict that nobody could be told."""
    conftest(project)
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from llmgate.cli import main; main()", "decide", "--help"], stdout=full, check=False
        )
    attempt(Ending(exit_code=done.returncode))


def test_a_decision_that_does_not_lie_on_disk(
    project: Path, right: str, attempt: Callable[[Ending], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    conftest(project)
    real = publish.publish

    def lost(out: Path, *rest: object) -> publish.Published:
        published = real(out, *rest)  # type: ignore[arg-type]
        (out / "decision.json").unlink()
        return published

    monkeypatch.setattr(publish, "publish", lost)
    attempt(run(right))


def test_a_command_that_decides_nothing(
    project: Path, right: str, attempt: Callable[[Ending], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    conftest(project)
    monkeypatch.setattr(publish, "taken", lambda *_: None)
    ending = run(right)
    attempt(Ending(exit_code=ending.exit_code, output=ending.output))
    assert "without a decision" in ending.output
