"""Code on trial: two processes in sandboxes of their own, one that holds the code and one that judges it.

They are joined by two pipes for plain values. What came of it arrives on a third, which only the judging process has.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError
from llmgate.score.code.sandbox import Ended, Isolation, Program, SandboxLimits, run_programs

if TYPE_CHECKING:
    from types import CodeType

    from llmgate.score.code.tests_text import TestsText

__all__ = ["CodeTrial", "try_code"]

_MOST_RESULT: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTrial:
    """What came of tests.

    Attributes:
        outcome: `pass`, `fail`, or `ended` where the code ended before its tests did; None if nothing came.
        reason: Why, in words.
        assertions: How many were executed and held.
        judge: How the process that executed the tests ended.
        code: How the process that held the code ended; the same process where tests run inside.
    """

    outcome: str | None
    reason: str
    assertions: int
    judge: Ended
    code: Ended


def try_code(code: str, tests: TestsText, *, limits: SandboxLimits, isolation: Isolation, inside: bool) -> CodeTrial:
    """Executes tests on code.

    Args:
        code: What the model wrote.
        tests: The tests.
        limits: What each process may use.
        isolation: Whether they may run without namespaces of their own.
        inside: Whether the tests run in the interpreter of the code, which can then forge the result.

    Raises:
        CannotRunError: If the tests could not be executed, or tested nothing.
    """
    result_out, result_in = os.pipe()
    job = _tests_job(tests, inside=inside) | {"result_fd": result_in}
    try:
        if inside:
            job |= {"code": code, "before": tests.before}
            programs = [
                Program(modules=_modules("solution_side", "tests_side"), entry="judge", job=job, keeps=(result_in,))
            ]
        else:
            programs = _two(code, tests, job, limits)
        ended = run_programs(programs, limits=limits, isolation=isolation)
        return _trial(_read(result_out), ended[0], ended[-1])
    finally:
        os.close(result_out)


def _two(code: str, tests: TestsText, job: dict[str, Any], limits: SandboxLimits) -> list[Program]:
    calls_out, calls_in = os.pipe()
    replies_out, replies_in = os.pipe()
    held = {
        "calls_fd": calls_out,
        "replies_fd": replies_in,
        "before": tests.before,
        "code": code,
        "output_bytes": limits.output_bytes,
    }
    job |= {"calls_fd": calls_in, "replies_fd": replies_out}
    return [
        Program(
            modules=_modules("tests_side"), entry="judge", job=job, keeps=(job["result_fd"], calls_in, replies_out)
        ),
        Program(modules=_modules("solution_side"), entry="serve", job=held, keeps=(calls_out, replies_in)),
    ]


def _tests_job(tests: TestsText, *, inside: bool) -> dict[str, Any]:
    return {
        "inside": inside,
        "tests_text": tests.text,
        "before_text": tests.before,
        "tests_code": tests.code,
        "before_code": tests.before_code,
        "names": list(tests.names),
        "classes": list(tests.classes),
        "exceptions": list(tests.exceptions),
        "modules": list(tests.modules),
        "functions": list(tests.functions),
        "doctests": list(tests.doctests),
        "entry_point": tests.entry_point,
        "check": tests.check,
        "unittest": tests.unittest,
    }


@lru_cache
def _modules(*names: str) -> tuple[tuple[str, CodeType], ...]:
    """Modules of this folder, compiled, with those that they import before them."""
    needed = ["wire", *(["stand_ins", "client"] if "tests_side" in names else []), *names]
    folder = Path(__file__).parent
    return tuple(
        (
            f"{__package__}.{name}",
            compile((folder / f"{name}.py").read_text(encoding="utf-8"), f"<{name}>", "exec", dont_inherit=True),
        )
        for name in needed
    )


def _read(fd: int) -> bytes:
    os.set_blocking(fd, False)
    try:
        return os.read(fd, _MOST_RESULT)
    except BlockingIOError:
        return b""


def _trial(line: bytes, judge: Ended, code: Ended) -> CodeTrial:
    if not line:
        return CodeTrial(outcome=None, reason="", assertions=0, judge=judge, code=code)
    try:
        found = json.loads(line)
        outcome, reason, assertions = str(found["outcome"]), str(found["reason"]), int(found["assertions"])
    except (ValueError, TypeError, KeyError) as error:
        raise CannotRunError("the tests left a result that cannot be read") from error
    if outcome not in {"pass", "fail", "ended"}:
        raise CannotRunError(reason)
    return CodeTrial(outcome=outcome, reason=reason, assertions=assertions, judge=judge, code=code)
