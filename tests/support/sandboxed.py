"""Programs that try to get out of the sandbox, run by whoever is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.identity import Identity

__all__ = ["CALLS", "Escape", "escape"]

CALLS = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments))
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "done"
"""

_RUN = """
import json, sys
from llmgate.errors import CannotRunError
from llmgate.score.code.sandbox import Isolation, SandboxLimits, run_python
programs, how = json.loads(sys.argv[1])
limits = SandboxLimits(wall_s=how["wall_s"], memory_bytes=how["memory_mb"] * 2**20)
for program in programs:
    said = {}
    try:
        ended = run_python(
            [("<code>", program)], limits=limits, isolation=Isolation(how["isolation"]), without=how["without"]
        )
        said = {name: getattr(ended, name) for name in ("finished", "exit_code", "output", "out_of_memory")}
        said |= {"in_force": dict(ended.mechanisms.in_force), "missing": dict(ended.mechanisms.missing)}
        said |= {"open_because": ended.open_because}
    except CannotRunError as error:
        said["error"] = str(error)
    print(json.dumps(said))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escape:
    """What came of a program.

    Attributes:
        error: Why it was not run, None if it was.
        lines: What it printed.
    """

    error: str | None
    finished: bool = False
    exit_code: int | None = None
    output: str = ""
    out_of_memory: bool = False
    in_force: Mapping[str, str]
    missing: Mapping[str, str]
    open_because: str | None = None

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


def escape(
    identity: Identity,
    programs: Sequence[str],
    *,
    without: Sequence[str] = (),
    isolation: str = "required",
    wall_s: float = 10.0,
    memory_mb: int = 256,
    env: Mapping[str, str] | None = None,
) -> list[Escape]:
    """Run programs one after another, each in a sandbox of its own, all of them started by one process."""
    how: dict[str, Any] = {"without": list(without), "isolation": isolation, "wall_s": wall_s, "memory_mb": memory_mb}
    done = identity.python("-c", _RUN, json.dumps([list(programs), how]), env=env)
    assert done.returncode == 0, done.stderr
    said = [{"error": None, "in_force": {}, "missing": {}} | json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == len(programs), done.stdout
    return [Escape(**one) for one in said]
