"""Runs the checks and the tests in parts, some side by side, and tells how long each part took.

    python tests/parts.py            everything, which is what `make test` does
    python tests/parts.py fast       what needs no vLLM, no server, no act and no environment of its own
    python tests/parts.py lint       no tests

The parts of a lane run one after another, the lanes side by side; `timing` has the machine to itself, at the end. A
part's output goes to a log, which is printed whole when the part has ended. The run fails if a part fails, or does not
run, or runs no test. Logs and the table stay in `.test-logs/`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["FOLDERS", "LANES", "MARKS", "Part", "Run", "closing_line", "main", "part_of"]

ROOT = Path(__file__).parents[1]
LOGS = ROOT / ".test-logs"
BIN = Path(sys.executable).parent
CORES = str(len(os.sched_getaffinity(0)))
PROGRESS_S = 20.0
GRACE_S = 60.0
"""How long a part that was interrupted may take to end its servers."""
GENTLE = 5
"""Added to the niceness of what runs beside vLLM, whose tests take longest."""
SUMMARY = re.compile(r"^=* ?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s", re.MULTILINE)

MARKS = {
    "fast": "not e2e and not timing",
    "vllm": "e2e and vllm",
    "services": "e2e and not vllm",
    "timing": "timing and not e2e",
}
"""Every test belongs to exactly one of these parts; tests/test_parts.py proves it."""
FOLDERS = {
    "fast": ("tests",),
    "vllm": ("tests/e2e",),
    "services": ("tests/action", "tests/e2e", "tests/promote"),
    "timing": ("tests/bench",),
}
"""Where the tests of a part lie: to collect all 14,000 takes a quarter of a minute. tests/conftest.py refuses a test that
lies elsewhere."""


def part_of(marks: Container[str]) -> str:
    """The part that runs a test with these marks."""
    if "e2e" in marks:
        return "vllm" if "vllm" in marks else "services"
    return "timing" if "timing" in marks else "fast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One command.

    Attributes:
        name: In the table.
        command: Program and arguments.
        tests: Whether it is pytest, which has to say how many tests passed.
        gentle: Whether it gives way to the others.
    """

    name: str
    command: tuple[str, ...]
    tests: bool = False
    gentle: bool = False


def run_tests(name: str, *more: str, before: tuple[str, ...] = (), gentle: bool = False) -> Part:
    """A part that is a run of pytest."""
    command = (*before, sys.executable, "-m", "pytest", *FOLDERS[name], "-m", MARKS[name], *more)
    return Part(name=name, command=command, tests=True, gentle=gentle)


LINT = (
    Part(name="ruff", command=(str(BIN / "ruff"), "check", ".")),
    Part(name="format", command=(str(BIN / "ruff"), "format", "--check", ".")),
    Part(name="imports", command=(str(BIN / "lint-imports"),)),
    Part(name="types", command=(str(BIN / "mypy"),)),
)
# Beside other work on two cores: 161 output tokens/s on one of them, 60 on both, which wait for each other.
VLLM = run_tests("vllm", before=("env", "VLLM_CPU_NUM_OF_RESERVED_CPU=1"))
FAST = run_tests("fast", "-n", CORES, "--dist", "worksteal")
TIMING = (run_tests("timing"),)
LANES = {
    "lint": ((LINT,),),
    "fast": ((LINT, (FAST,)), (TIMING,)),
    "all": (
        (
            (VLLM,),
            tuple(replace(part, gentle=True) for part in (*LINT, FAST)),
            (run_tests("services", gentle=True),),
        ),
        (TIMING,),
    ),
}
"""By what is asked for: stages, which run one after another; of each its lanes, which run side by side."""


@dataclass(kw_only=True)
class Run:
    """The parts that have run, and those that are running.

    Attributes:
        took: Seconds by part.
        codes: Exit codes by part.
        counts: How many tests passed, failed, were skipped.
        running: Processes by part, with the time when they began.
    """

    took: dict[str, float] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    running: dict[str, tuple[subprocess.Popen[bytes], float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False

    def lane(self, parts: tuple[Part, ...]) -> None:
        """Run the parts of a lane, one after another; a failure does not keep the next one from running."""
        for part in parts:
            with self.lock:
                if self.stopped:
                    return
                process = start(part)
                if process is None:
                    continue
                began = time.monotonic()
                self.running[part.name] = process, began
            code = process.wait()
            with self.lock:
                del self.running[part.name]
                self.took[part.name] = time.monotonic() - began
                self.ended(part, code)

    def ended(self, part: Part, code: int) -> None:
        """Print a part's log, and note what came of it."""
        text = log_of(part.name)
        found = SUMMARY.findall(text)
        if part.tests and found:
            self.counts.update({word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", found[-1])})
        elif part.tests and code == 0:
            text, code = text + "no closing line of pytest, so nothing says that the tests ran\n", 1
        self.codes[part.name] = code
        say(f"{part.name}: {outcome(code)} after {self.took[part.name]:.0f} s")
        sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
        sys.stdout.flush()

    def tell(self) -> None:
        """Print how far the running parts are."""
        with self.lock:
            for name, (_, began) in self.running.items():
                lines = log_of(name).rstrip().splitlines()
                say(f"{name}: {time.monotonic() - began:.0f} s · {lines[-1][-100:] if lines else ''}")

    def stop(self) -> None:
        """End what is running, as Ctrl-C does."""
        with self.lock:
            self.stopped = True
            ending = [process for process, _ in self.running.values()]
            for process in ending:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGINT)
        for process in ending:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def start(part: Part) -> subprocess.Popen[bytes] | None:
    """Start a part, in a session of its own, so that all of it can be ended; None if it cannot be executed."""
    with (LOGS / f"{part.name}.log").open("wb") as log:
        try:
            process = subprocess.Popen(
                part.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        except OSError as error:
            say(f"{part.name}: cannot be started: {error}")
            return None
    if part.gentle:
        be_gentle(process.pid)
    say(f"{part.name}: begun")
    return process


def be_gentle(pid: int) -> None:
    """Let a new session give way; without autogroups (sched(7)) the niceness of its processes is what counts."""
    os.setpriority(os.PRIO_PROCESS, pid, GENTLE)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(GENTLE), encoding="ascii")


def say(text: str) -> None:
    """A line of our own."""
    sys.stdout.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")
    sys.stdout.flush()


def log_of(name: str) -> str:
    """What a part has printed."""
    return (LOGS / f"{name}.log").read_text(encoding="utf-8", errors="replace")


def closing_line(counts: Counter[str], seconds: float) -> str:
    """The numbers of all parts in pytest's words. What one part leaves out another runs, so nothing is deselected."""
    order = ["failed", "passed", "skipped", "xfailed", "xpassed", "warnings", "errors"]
    plural = Counter({"errors": counts["error"], "warnings": counts["warning"]}) + counts
    told = ", ".join(f"{plural[word]} {word}" for word in order if plural[word])
    return f" {told or 'no tests ran'} in {seconds:.2f}s ({int(seconds) // 60}:{int(seconds) % 60:02}) ".center(
        100, "="
    )


def main(wanted: str) -> int:
    """Run what is wanted.

    Returns:
        0 if every part passed, else the exit code of the first that did not.
    """
    LOGS.mkdir(exist_ok=True)
    run, began = Run(), time.monotonic()
    parts = [part for stage in LANES[wanted] for lane in stage for part in lane]
    try:
        for stage in LANES[wanted]:
            threads = [threading.Thread(target=run.lane, args=(lane,), daemon=True) for lane in stage]
            for thread in threads:
                thread.start()
            told = time.monotonic()
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.2)
                if time.monotonic() - told > PROGRESS_S:
                    told = time.monotonic()
                    run.tell()
    except KeyboardInterrupt:
        run.stop()
        say("stopped")
    seconds = time.monotonic() - began
    codes = {part.name: run.codes.get(part.name) for part in parts}
    lines = [f"{name:<10} {run.took.get(name, 0):7.1f} s  {outcome(code)}" for name, code in codes.items()]
    wrong = [code or 1 for code in codes.values() if code != 0]
    if wrong and not run.counts.keys() & {"failed", "error", "errors"}:
        run.counts["error"] = len(wrong)
    lines += [f"{'together':<10} {seconds:7.1f} s", closing_line(run.counts, seconds)]
    sys.stdout.write("\n".join(["", *lines, ""]))
    return next((code if code > 0 else 128 - code for code in wrong), 0)


def outcome(code: int | None) -> str:
    """What an exit code means."""
    return "did not run" if code is None else "passed" if code == 0 else f"FAILED with {code}"


if __name__ == "__main__":
    # A shell starts what runs in the background with SIGINT ignored, and the tests would pass that on to what they cancel.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "all"))
