"""The check `code-executes`: runs the code of an output, with tests, in a sandbox.

The check is synchronous and blocks the worker that scores the case, for `timeout` seconds at most (10 by default), as
the code of a good answer ends at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import AssertRule, invalid_value
from llmgate.score.assertion.settings import choice
from llmgate.score.code.sandbox import Ended, Isolation, SandboxLimits, run_python
from llmgate.score.text.code_fence import code_blocks
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.suite.asserts import AssertSpec

__all__ = ["OPT_IN", "TYPES", "find_code"]

OPT_IN: Final = "LLMGATE_ALLOW_CODE"

_LANGUAGES: Final[Mapping[str, frozenset[str]]] = {"python": frozenset({"py", "python", "python3"})}
_NETWORK: Final = {"deny": Isolation.REQUIRED, "unsandboxed": Isolation.UNSANDBOXED}
_LONGEST_TIMEOUT_S: Final = 60
_LEAST_MEMORY_MB: Final = 64
_MOST_MEMORY_MB: Final = 8192
_MOST_CODE_CHARS: Final = 2**20


@dataclass(frozen=True, slots=True)
class _Settings:
    language: str
    limits: SandboxLimits
    isolation: Isolation


def _code_executes(spec: AssertSpec) -> Evaluate:
    settings = _settings(spec)
    tests = AssertRule.compile(spec, lambda value: _tests(spec, value)) if spec.has_value else None

    def evaluate(context: CheckContext) -> Finding:
        written = tests.on(context) if tests else None
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
        return _finding(_run(code, written, settings), settings, tested=tests is not None)

    return evaluate


def find_code(text: str, language: str) -> str | None:
    """The first fenced block of a language, or else the first one that names no language; None if there is neither."""
    blocks = [(block.info.split(), block.code) for block in code_blocks(text) if javascript.trim(block.code)]
    named = (code for info, code in blocks if info and info[0].casefold() in _LANGUAGES[language])
    return next(named, next((code for info, code in blocks if not info), None))


def _run(code: str, tests: str | None, settings: _Settings) -> Ended:
    parts = [("<code>", code)]
    if tests is not None:
        parts.append(("<tests>", tests))
    # Under test the code is a module that is used, and what it would do as a script is left out.
    name = "__main__" if tests is None else "solution"
    return run_python(parts, name=name, limits=settings.limits, isolation=settings.isolation)


def _finding(ended: Ended, settings: _Settings, *, tested: bool) -> Finding:
    isolated = f" (not isolated: {ended.open_because})" if ended.open_because else ""
    last = (ended.output.strip().splitlines() or ["it printed nothing"])[-1][:160]
    if ended.exit_code is None:
        return Finding.of(False, f"the code ran longer than {settings.limits.wall_s:g} s{isolated}")
    if ended.flooded:
        return Finding.of(False, f"the code printed more than {settings.limits.output_bytes} bytes{isolated}")
    if ended.exit_code < 0:
        memory = f" with more than {settings.limits.memory_bytes // 2**20} MB" if ended.out_of_memory else ""
        return Finding.of(False, f"the code was killed by signal {-ended.exit_code}{memory}{isolated}")
    if ended.exit_code:
        return Finding.of(False, f"the code failed: {last}{isolated}")
    if tested and not ended.finished:
        return Finding.of(False, f"the code ended before its tests did{isolated}")
    return Finding.of(True, f"the code {'passed its tests' if tested else 'ran to its end'}{isolated}")


def _tests(spec: AssertSpec, value: object) -> str:
    if not isinstance(value, str) or not javascript.trim(value):
        raise invalid_value(spec, "the value must be test code", "Leave it out if the code only has to run")
    return value


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
    return _Settings(language, limits, _NETWORK[network])


TYPES: Final = (
    CheckKind(
        id="code-executes",
        passes="its code block runs, and the tests pass",
        value="Python tests (optional)",
        settings={
            "timeout": "10 s",
            "memory_mb": "512, of all its processes together",
            "network": "`deny` or `unsandboxed`",
            "language": "`python`",
        },
        example={"value": "assert True"},
        prepare=_code_executes,
    ),
)
