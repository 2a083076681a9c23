"""Runs code that a model wrote, in a process that can do as little as the kernel allows.

The program has no environment, no input, no network, no file but an empty folder and Python itself, a user id that
owns nothing, and limits on its time, memory, files, processes and output. See `jail.py` for how.

That keeps a machine safe from what models write by accident. It is no prison for a program that knows a hole in the
kernel: a run whose models are hostile belongs on a machine of its own.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError
from llmgate.score.code.mechanisms import NONE_KNOWN, Mechanisms
from llmgate.score.code.start import jail_command

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Ended", "Isolation", "SandboxLimits", "run_python"]

_GRACE_S: Final = 10.0
_KEPT_OUTPUT: Final = 65_536
_MIB: Final = 2**20

# What it writes to `done_fd` tells a program that ended early, or never began, from one that ran to its end. A program
# that sets out to forge that can; what a judge of code needs is that `sys.exit()` before the tests is no success.
_RUNNER: Final = """\
import json, os, sys, types
with open(0, "rb", closefd=False) as file:
    job = json.load(file)
null = os.open("/dev/null", os.O_RDONLY)
os.dup2(null, 0)
os.close(null)
sys.argv = ["program"]
module = types.ModuleType(job["name"])
sys.modules[job["name"]] = module
os.write(job["done_fd"], b"+")
def run(job, module):
    for part, source in job["parts"]:
        exec(compile(source, part, "exec", dont_inherit=True), module.__dict__)
    sys.stdout.flush()
    os.write(job["done_fd"], job["token"].encode())
run(globals().pop("job"), module)
"""


class Isolation(StrEnum):
    """Whether the program may run where namespaces are not to be had; NEVER is there to try that out."""

    REQUIRED = "required"
    UNSANDBOXED = "unsandboxed"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxLimits:
    """What a program may use.

    Attributes:
        wall_s: Time on the clock, in seconds; also the processor time of each process.
        memory_bytes: Memory of all processes together, and address space of each.
        file_bytes: Size of each file.
        disk_bytes: Size of all files together, where the program is isolated.
        processes: Processes and threads at a time.
        files: Open files of each process.
        output_bytes: What it may print; all that it prints after that is lost.
    """

    wall_s: float = 10.0
    memory_bytes: int = 512 * _MIB
    file_bytes: int = 16 * _MIB
    disk_bytes: int = 64 * _MIB
    processes: int = 16
    files: int = 64
    output_bytes: int = _MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended.

    Attributes:
        finished: Whether all parts ran to their ends and the process ended without an error.
        exit_code: Of the process; minus the signal that killed it, SIGKILL too where the sandbox died around it; None
            if its time was up.
        output: The end of what it printed, standard output and error together.
        flooded: Whether it printed more than it may.
        open_because: Why it was not isolated, None if it was.
        out_of_memory: Whether all its processes together needed more memory than they may.
        mechanisms: What held it.
    """

    finished: bool
    exit_code: int | None
    output: str
    flooded: bool
    open_because: str | None
    out_of_memory: bool = False
    mechanisms: Mechanisms = field(default=NONE_KNOWN, compare=False)


def run_python(
    parts: list[tuple[str, str]],
    *,
    name: str = "__main__",
    limits: SandboxLimits | None = None,
    isolation: Isolation = Isolation.REQUIRED,
    without: Collection[str] = (),
) -> Ended:
    """Runs Python code in one module, part after part. Blocks until it has ended, and nothing of it is left then.

    Args:
        parts: Name and source of each part; the names stand in tracebacks.
        name: The module's `__name__`.
        limits: What it may use.
        isolation: Whether it may run without namespaces of its own.
        without: Mechanisms that are left out, to see what becomes of that.

    Raises:
        CannotRunError: If the program could not be run, so that nothing is known about it.
    """
    limits = limits or SandboxLimits()
    if not sys.platform.startswith("linux"):
        raise CannotRunError("code can be run in a sandbox on Linux only")
    token = secrets.token_hex(16)
    job = {"name": name, "parts": parts, "token": token}
    with tempfile.TemporaryDirectory(prefix="llmgate-", ignore_cleanup_errors=True) as folder:
        return _run(job, folder, limits, {"isolation": isolation.value, "without": list(without)})


def _run(job: dict[str, Any], folder: str, limits: SandboxLimits, how: dict[str, Any]) -> Ended:
    done_out, done_in = os.pipe()
    report_out, report_in = os.pipe()
    try:
        with tempfile.TemporaryFile() as stdin:
            stdin.write(json.dumps({**job, "done_fd": done_in}).encode())
            stdin.seek(0)
            process = subprocess.Popen(  # noqa: S603 - our own module
                jail_command({**_settings(folder, limits, done_in, report_in), **how}),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(done_in, report_in),
                start_new_session=True,
                env={},
                cwd="/",
            )
        with process:
            output, flooded = _collect(process, limits)
        return _ended(job, _read(done_out), _read(report_out), output, flooded=flooded)
    finally:
        for fd in (done_out, done_in, report_out, report_in):
            os.close(fd)


def _settings(folder: str, limits: SandboxLimits, done_in: int, report_in: int) -> dict[str, Any]:
    places = {"folder": folder, "program_fds": [done_in], "report_fd": report_in}
    return {**asdict(limits), **places, "runner": _RUNNER, "cpu_s": math.ceil(limits.wall_s)}


def _collect(process: subprocess.Popen[bytes], limits: SandboxLimits) -> tuple[bytes, bool]:
    """What the program prints until it has ended, the last of it, and whether it was too much."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    deadline = time.monotonic() + limits.wall_s + _GRACE_S
    kept, total = b"", 0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while process.poll() is None or selector.select(0):
            if time.monotonic() > deadline:
                break
            if not selector.select(0.05):
                continue
            piece = os.read(process.stdout.fileno(), _KEPT_OUTPUT)
            kept, total = (kept + piece)[-_KEPT_OUTPUT:], total + len(piece)
            if not piece or total > limits.output_bytes:
                break
        selector.unregister(process.stdout)
    # Where it printed too much, this makes its next attempt fail.
    process.stdout.close()
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    return kept, total > limits.output_bytes


def _read(fd: int) -> bytes:
    """What lies in a pipe."""
    os.set_blocking(fd, False)
    try:
        return os.read(fd, _KEPT_OUTPUT)
    except BlockingIOError:
        return b""


def _ended(job: dict[str, Any], done: bytes, reported: bytes, output: bytes, *, flooded: bool) -> Ended:
    facts: dict[str, Any] = {}
    for line in reported.splitlines():
        facts |= json.loads(line)
    printed = output.decode("utf-8", "replace")
    if "error" in facts:
        raise CannotRunError(f"the sandbox could not be set up: {facts['error']}")
    if not done.startswith(b"+"):
        raise CannotRunError(f"Python did not start in the sandbox: {printed[-200:]}")
    # From here on the program runs, and whatever ends it or the sandbox around it counts as its own doing.
    killed = facts.get("out_of_memory") or "status" not in facts
    status = signal.SIGKILL.value if killed else facts["status"]
    exit_code = None if facts.get("timeout") else os.waitstatus_to_exitcode(status)
    return Ended(
        finished=exit_code == 0 and done == b"+" + job["token"].encode(),
        exit_code=exit_code,
        output=printed,
        flooded=flooded,
        open_because=facts.get("open_because"),
        out_of_memory=facts.get("out_of_memory", False),
        mechanisms=Mechanisms(in_force=facts.get("in_force", {}), missing=facts.get("missing", {})),
    )
