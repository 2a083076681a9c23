"""Runs code that a model wrote, in a process that can do as little as the kernel allows.

The program has no environment, no input, no network, no file but an empty folder and Python itself, a user id that
owns nothing, and limits on its time, memory, files, processes and output. See `jail.py` for how.

That keeps a machine safe from what models write by accident. It is no prison for a program that knows a hole in the
kernel: a run whose models are hostile belongs on a machine of its own.
"""

from __future__ import annotations

import contextlib
import json
import marshal
import math
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import CodeType
from typing import IO, Any, Final

from llmgate.errors import CannotRunError
from llmgate.score.code.mechanisms import NONE_KNOWN, Mechanisms
from llmgate.score.code.start import jail_command

__all__ = ["Ended", "Isolation", "Program", "SandboxLimits", "run_programs", "run_python"]

_GRACE_S: Final = 10.0
_END_S: Final = 1.0
_KEPT_OUTPUT: Final = 65_536
_MIB: Final = 2**20

# The mark tells a program that never began from one that ended at once. What runs after it can forge whatever this
# process could say, so nothing that a verdict hangs on is in it.
_BOOT: Final = """\
import marshal, os, sys, types
with open({job_fd}, "rb") as file:
    modules, entry, job = marshal.load(file)
for name, code in modules:
    sys.modules[name] = module = types.ModuleType(name)
    exec(code, module.__dict__)
os.write({started_fd}, b"+")
module.__dict__[entry](job)
os.write({started_fd}, b"+")
"""
_PARTS: Final = """\
import sys, types
def run(job):
    sys.argv = ["program"]
    module = sys.modules[job["name"]] = types.ModuleType(job["name"])
    for part, source in job["parts"]:
        exec(compile(source, part, "exec", dont_inherit=True), module.__dict__)
    sys.stdout.flush()
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
class Program:
    """What is to run in a sandbox, in an interpreter that has only the standard library.

    Attributes:
        modules: Names and code, loaded in order.
        entry: The function of the last module that is called.
        job: What it is called with: built-in values only.
        keeps: Descriptors that it keeps. They are closed here once it has started.
        stdin: What it can read.
        apart: Whether its standard output is kept apart from its errors, and whole.
    """

    modules: tuple[tuple[str, CodeType], ...]
    entry: str
    job: Mapping[str, Any]
    keeps: tuple[int, ...] = ()
    stdin: bytes = b""
    apart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended.

    Attributes:
        finished: Whether it ran to its end and the process ended without an error, as far as it can be believed.
        exit_code: Of the process; minus the signal that killed it, SIGKILL too where the sandbox died around it; None
            if its time was up.
        output: The end of what it printed, standard output and error together.
        flooded: Whether it printed more than it may.
        open_because: Why it was not isolated, None if it was.
        stdout: All that it printed to standard output, where that was kept apart.
        out_of_memory: Whether all its processes together needed more memory than they may.
        mechanisms: What held it.
    """

    finished: bool
    exit_code: int | None
    output: str
    flooded: bool
    open_because: str | None
    stdout: str = ""
    out_of_memory: bool = False
    mechanisms: Mechanisms = field(default=NONE_KNOWN, compare=False)


def run_python(
    parts: list[tuple[str, str]],
    *,
    name: str = "__main__",
    limits: SandboxLimits | None = None,
    isolation: Isolation = Isolation.REQUIRED,
    stdin: bytes | None = None,
    without: Collection[str] = (),
) -> Ended:
    """Runs Python code in one module, part after part. Blocks until it has ended, and nothing of it is left then.

    Args:
        parts: Name and source of each part; the names stand in tracebacks.
        name: The module's `__name__`.
        limits: What it may use.
        isolation: Whether it may run without namespaces of its own.
        stdin: What it can read; None for nothing, and then its output and its errors are kept together.
        without: Mechanisms that are left out, to see what becomes of that.

    Raises:
        CannotRunError: If the program could not be run, so that nothing is known about it.
    """
    program = Program(
        modules=(("runner", compile(_PARTS, "<runner>", "exec")),),
        entry="run",
        job={"name": name, "parts": parts},
        stdin=stdin or b"",
        apart=stdin is not None,
    )
    return run_programs([program], limits=limits, isolation=isolation, without=without)[0]


def run_programs(
    programs: Sequence[Program],
    *,
    limits: SandboxLimits | None = None,
    isolation: Isolation = Isolation.REQUIRED,
    without: Collection[str] = (),
) -> tuple[Ended, ...]:
    """Runs programs at the same time, each in a sandbox of its own. Blocks until all have ended.

    Once the first has ended, the others are to end by themselves, and are ended where they do not.

    Args:
        programs: The programs.
        limits: What each may use.
        isolation: Whether they may run without namespaces of their own.
        without: Mechanisms that are left out, to see what becomes of that.

    Raises:
        CannotRunError: If one could not be run, so that nothing is known about it.
    """
    limits = limits or SandboxLimits()
    how = {"isolation": isolation.value, "without": list(without)}
    with contextlib.ExitStack() as stack:
        try:
            if not sys.platform.startswith("linux"):
                raise CannotRunError("code can be run in a sandbox on Linux only")
            running = [_Running.start(program, stack, limits, how) for program in programs]
        finally:
            for fd in {fd for program in programs for fd in program.keeps}:
                os.close(fd)
        _collect(running, limits)
        return tuple(one.ended(limits) for one in running)


@dataclass(slots=True, eq=False)
class _Running:
    """A program that has been started."""

    process: subprocess.Popen[bytes]
    started: int
    report: int
    stdout: IO[bytes] | None
    kept: bytes = b""
    total: int = 0
    stopped: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(
        cls, program: Program, stack: contextlib.ExitStack, limits: SandboxLimits, how: Mapping[str, Any]
    ) -> _Running:
        """Starts a program; what it needs here goes with the stack."""
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="llmgate-", ignore_cleanup_errors=True))
        started_out, started_in = _pipe(stack)
        report_out, report_in = _pipe(stack)
        job = _file(stack, marshal.dumps((program.modules, program.entry, dict(program.job))))
        stdin = _file(stack, program.stdin) if program.stdin else None
        stdout = _file(stack, b"") if program.apart else None
        keeps = (*program.keeps, started_in, job.fileno())
        boot = _BOOT.format(job_fd=job.fileno(), started_fd=started_in)
        settings = _settings(folder, limits, keeps, report_in) | {"runner": boot, **how}
        process = subprocess.Popen(  # noqa: S603 - our own module
            jail_command(settings),
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE if stdout else subprocess.STDOUT,
            pass_fds=(*keeps, report_in),
            start_new_session=True,
            env={},
            cwd="/",
        )
        stack.enter_context(process)
        stack.callback(_end, process)
        return cls(process, started_out, report_out, stdout)

    @property
    def printing(self) -> IO[bytes]:
        """Where what it prints arrives; its errors alone where standard output is kept apart."""
        pipe = self.process.stderr if self.stdout else self.process.stdout
        assert pipe is not None  # noqa: S101 - asked for above
        return pipe

    def read(self, limits: SandboxLimits) -> bool:
        """Takes what it printed; False once it prints no more, or has printed too much."""
        piece = os.read(self.printing.fileno(), _KEPT_OUTPUT)
        self.kept, self.total = (self.kept + piece)[-_KEPT_OUTPUT:], self.total + len(piece)
        return bool(piece) and self.total <= limits.output_bytes

    def reported(self) -> dict[str, Any]:
        """What the jail has said of it."""
        for line in _read(self.report).splitlines():
            self.facts |= json.loads(line)
        return self.facts

    def ended(self, limits: SandboxLimits) -> Ended:
        """How it ended.

        Raises:
            CannotRunError: If it could not be run.
        """
        stdout, size = b"", 0
        if self.stdout is not None:
            size = os.fstat(self.stdout.fileno()).st_size
            self.stdout.seek(0)
            stdout = self.stdout.read(limits.output_bytes)
        flooded = max(self.total, size) > limits.output_bytes
        return _ended(self, _read(self.started), stdout, flooded=flooded)


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for fd in ends:
        stack.callback(os.close, fd)
    return ends


def _file(stack: contextlib.ExitStack, content: bytes) -> IO[bytes]:
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    file.write(content)
    file.flush()
    file.seek(0)
    return file


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a jail that still runs: by SIGTERM, so that it can end all that is in it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _settings(folder: str, limits: SandboxLimits, keeps: tuple[int, ...], report_in: int) -> dict[str, Any]:
    places = {"folder": folder, "program_fds": keeps, "report_fd": report_in}
    return {**asdict(limits), **places, "cpu_s": math.ceil(limits.wall_s)}


def _collect(running: Sequence[_Running], limits: SandboxLimits) -> None:
    """Takes what programs print until all have ended."""
    deadline = time.monotonic() + limits.wall_s + _GRACE_S
    first_ended: float | None = None
    with selectors.DefaultSelector() as selector:
        for one in running:
            selector.register(one.printing, selectors.EVENT_READ, one)
        while selector.get_map():
            now = time.monotonic()
            if now > deadline:
                raise CannotRunError("the sandbox did not end in time")
            ready = {key.data for key, _ in selector.select(0.05)}
            for one in [key.data for key in selector.get_map().values()]:
                # Where it printed too much, closing makes its next attempt fail.
                if not one.read(limits) if one in ready else one.process.poll() is not None:
                    selector.unregister(one.printing)
                    one.printing.close()
            if running[0].process.poll() is not None:
                first_ended = first_ended or now
                if now > first_ended + _END_S:
                    _stop(running[1:])
    for one in running:
        _wait(one, running[0], deadline)


def _wait(one: _Running, first: _Running, deadline: float) -> None:
    if one is not first:
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(_END_S)
        _stop([one])
    try:
        one.process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise CannotRunError("the sandbox did not end in time") from None


def _stop(running: Sequence[_Running]) -> None:
    """Ends what has not ended with the first."""
    for one in running:
        if one.process.poll() is None:
            one.stopped = True
            _end(one.process)


def _read(fd: int) -> bytes:
    """What lies in a pipe."""
    os.set_blocking(fd, False)
    try:
        return os.read(fd, _KEPT_OUTPUT)
    except BlockingIOError:
        return b""


def _ended(one: _Running, started: bytes, stdout: bytes, *, flooded: bool) -> Ended:
    facts = one.reported()
    printed = one.kept.decode("utf-8", "replace")
    if "error" in facts:
        raise CannotRunError(f"the sandbox could not be set up: {facts['error']}")
    if not started.startswith(b"+"):
        raise CannotRunError(f"Python did not start in the sandbox: {printed[-200:]}")
    # From here on the program runs, and whatever ends it or the sandbox around it counts as its own doing.
    killed = facts.get("out_of_memory") or "status" not in facts
    status = signal.SIGKILL.value if killed else facts["status"]
    exit_code = None if facts.get("timeout") or one.stopped else os.waitstatus_to_exitcode(status)
    return Ended(
        finished=exit_code == 0 and started == b"++",
        exit_code=exit_code,
        output=printed,
        flooded=flooded,
        open_because=facts.get("open_because"),
        stdout=stdout.decode("utf-8", "replace"),
        out_of_memory=facts.get("out_of_memory", False),
        mechanisms=Mechanisms(in_force=facts.get("in_force", {}), missing=facts.get("missing", {})),
    )
