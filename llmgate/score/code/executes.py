"""The check `code-executes`: runs the code of an output in a sandbox, and tests in another that the code cannot reach.

The check is synchronous and blocks the worker that scores the case, for `timeout` seconds at most (10 by default), as
the code of a good answer ends at once.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.assertion.settings import choice
from llmgate.score.code.sandbox import Ended, Isolation, SandboxLimits, run_python
from llmgate.score.code.task import Programs, read_task
from llmgate.score.code.tests_text import TestsText
from llmgate.score.code.trial import CodeTrial, try_code
from llmgate.score.text.code_fence import code_blocks
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.suite.asserts import AssertSpec

__all__ = ["OPT_IN", "TYPES", "find_code"]

OPT_IN: Final = "LLMGATE_ALLOW_CODE"

_LANGUAGES: Final[Mapping[str, frozenset[str]]] = {"python": frozenset({"py", "python", "python3"})}
_NETWORK: Final = {"deny": Isolation.REQUIRED, "unsandboxed": Isolation.UNSANDBOXED}
_JUDGED: Final = ("outside", "inside")
_LONGEST_TIMEOUT_S: Final = 60
_LEAST_MEMORY_MB: Final = 64
_MOST_MEMORY_MB: Final = 8192
_MOST_CODE_CHARS: Final = 2**20


@dataclass(frozen=True, slots=True)
class _Settings:
    language: str
    limits: SandboxLimits
    isolation: Isolation
    inside: bool


def _code_executes(spec: AssertSpec) -> Evaluate:
    settings = _settings(spec)
    inside = settings.inside
    rule = AssertRule.compile(spec, lambda v: read_task(spec, v, inside=inside), deep=True) if spec.has_value else None

    def evaluate(context: CheckContext) -> Finding:
        task = rule.on(context) if rule else None
        if os.environ.get(OPT_IN) != "1":
            raise CannotRunError(
                f"{spec.name} runs what the model wrote, which nobody has allowed",
                fix=f"Set {OPT_IN}=1 in the environment if this machine may run it in a sandbox",
            )
        if not isinstance(context.output, str):
            raise CannotRunError("the output is no text, so there is no code block to look for")
        code = find_code(context.output, settings.language)
        if code is None:
            return Finding.of(False, f"the output has no {settings.language} code block")
        if len(code) > _MOST_CODE_CHARS:
            raise CannotRunError(f"the code block has more than {_MOST_CODE_CHARS} characters")
        if isinstance(task, TestsText):
            return _tested(code, task, settings)
        return _run(code, settings) if task is None else _compared(code, task, settings)

    return evaluate


def find_code(text: str, language: str) -> str | None:
    """The first fenced block of a language, or else the first one that names no language; None if there is neither."""
    blocks = [(block.info.split(), block.code) for block in code_blocks(text) if javascript.trim(block.code)]
    named = (code for info, code in blocks if info and info[0].casefold() in _LANGUAGES[language])
    return next(named, next((code for info, code in blocks if not info), None))


def _run(code: str, settings: _Settings) -> Finding:
    ended = run_python([("<code>", code)], limits=settings.limits, isolation=settings.isolation)
    failed = _failed(ended, settings)
    return _finding(failed is None, failed or "the code ran to its end", ended)


def _tested(code: str, tests: TestsText, settings: _Settings) -> Finding:
    trial = try_code(code, tests, limits=settings.limits, isolation=settings.isolation, inside=settings.inside)
    failed = _verdict(trial, settings)
    passed = f"the code passed its tests ({trial.assertions} assertion{'s' * (trial.assertions != 1)})"
    finding = _finding(failed is None, failed or passed, trial.code, trial.judge)
    if not settings.inside:
        return finding
    return replace(finding, reason=f"{finding.reason} (forgeable: judged inside)", forgeable=True)


def _verdict(trial: CodeTrial, settings: _Settings) -> str | None:
    """Why the code failed, None if it passed.

    Raises:
        CannotRunError: If the tests ended before they had a result, by their own doing.
    """
    if trial.code.flooded:
        return _failed(trial.code, settings)
    if trial.outcome == "fail":
        return trial.reason if trial.reason.startswith("the code") else f"the code failed its tests: {trial.reason}"
    if trial.outcome == "pass":
        return None
    early = "the code ended before its tests did"
    if trial.outcome == "ended":
        return (_failed(trial.code, settings) if trial.code.exit_code != 1 else None) or early
    if trial.judge.exit_code == 0 and not settings.inside:
        raise CannotRunError("the tests ended before they had a result")
    return _failed(trial.judge, settings) or early


def _compared(code: str, programs: Programs, settings: _Settings) -> Finding:
    deadline = time.monotonic() + settings.limits.wall_s
    isolation = settings.isolation
    for number, program in enumerate(programs.programs, 1):
        left = replace(settings.limits, wall_s=max(0.05, deadline - time.monotonic()))
        ended = run_python([("<code>", code)], limits=left, isolation=isolation, stdin=program.stdin)
        failed = _failed(ended, settings) or program.difference(ended.stdout)
        if failed:
            return _finding(False, f"{failed} (program {number} of {len(programs.programs)})", ended)
    number = len(programs.programs)
    return _finding(True, f"the code printed what was wanted ({number} program{'s' * (number != 1)})", ended)


def _failed(ended: Ended, settings: _Settings) -> str | None:
    last = (ended.output.strip().splitlines() or ["it printed nothing"])[-1][:160]
    if ended.flooded:
        return f"the code printed more than {settings.limits.output_bytes} bytes"
    if ended.exit_code is None:
        return f"the code ran longer than {settings.limits.wall_s:g} s"
    if ended.exit_code < 0:
        memory = f" with more than {settings.limits.memory_bytes // 2**20} MB" if ended.out_of_memory else ""
        return f"the code was killed by signal {-ended.exit_code}{memory}"
    return f"the code failed: {last}" if ended.exit_code else None


def _finding(passed: bool, reason: str, *ended: Ended) -> Finding:
    """What was found; without isolation the code can reach whoever judges it."""
    open_because = next((one.open_because for one in ended if one.open_because), None)
    isolated = f" (not isolated, so forgeable: {open_because})" if open_because else ""
    return Finding(passed, float(passed), f"{reason}{isolated}", forgeable=open_because is not None)


def _settings(spec: AssertSpec) -> _Settings:
    language = choice(spec, "language", "python", _LANGUAGES)
    if spec.config.get("network") == "best-effort":
        fix = "Read in docs/sandbox.md what it means before you write the new name"
        raise invalid_value(spec, "network: best-effort is called unsandboxed now", fix)
    network = choice(spec, "network", "deny", _NETWORK)
    timeout = spec.config.get("timeout", SandboxLimits().wall_s)
    if not javascript.is_number(timeout) or not 0 < timeout <= _LONGEST_TIMEOUT_S:
        raise invalid_value(spec, f"the timeout must be a number of seconds up to {_LONGEST_TIMEOUT_S}")
    memory = spec.config.get("memory_mb", SandboxLimits().memory_bytes // 2**20)
    if not javascript.is_number(memory) or not _LEAST_MEMORY_MB <= memory <= _MOST_MEMORY_MB:
        raise invalid_value(spec, f"memory_mb must be a number from {_LEAST_MEMORY_MB} to {_MOST_MEMORY_MB}")
    limits = SandboxLimits(wall_s=float(timeout), memory_bytes=int(memory) * 2**20)
    judged = choice(spec, "judged", "outside", _JUDGED)
    return _Settings(language, limits, _NETWORK[network], judged == "inside")


TYPES: Final = (
    CheckKind(
        id="code-executes",
        passes="its code block runs, and the tests pass",
        value=(
            "Python tests; `{tests, entry_point, before}`; or `{programs: [{stdin, stdout}]}`; without one, the code"
            " only has to end with exit code 0"
        ),
        settings={
            "timeout": "10 s",
            "memory_mb": "512, of all its processes together",
            "network": "`deny` or `unsandboxed`",
            "language": "`python`",
            "judged": "`outside`, or `inside` the code's interpreter: forgeable, cannot gate alone",
        },
        example={"value": "assert add(1, 2) == 3"},
        deep=True,
        forgeable=lambda spec: spec.config.get("judged") == "inside",
        version="2",
        prepare=_code_executes,
    ),
)
