"""What code is tried on: the value of `code-executes`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import SuiteError, did_you_mean
from llmgate.score.assertion.rule import invalid_value, shown
from llmgate.score.code.tests_text import TestsText, read_tests

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["ProgramCase", "Programs", "read_task"]

_TESTS: Final = ("tests", "entry_point", "before")
_PROGRAM: Final = ("stdin", "stdout")
_MOST_PROGRAMS: Final = 100
_FORMS: Final = "Write tests as a text, {tests: …, entry_point: …, before: …}, or {programs: [{stdin: …, stdout: …}]}"


@dataclass(frozen=True, slots=True)
class ProgramCase:
    """What a program reads, and what it must print."""

    stdin: bytes
    stdout: str

    def difference(self, printed: str) -> str | None:
        """The first line that is not as wanted, None if there is none; blanks at the ends do not count."""
        wanted, found = _lines(self.stdout), _lines(printed)
        for number in range(max(len(wanted), len(found))):
            want, got = ((lines[number] if number < len(lines) else None) for lines in (wanted, found))
            if want != got:
                ends = "the end" if want is None else repr(want[:80]), "the end" if got is None else repr(got[:80])
                return f"the code printed {ends[1]} in line {number + 1}, wanted {ends[0]}"
        return None


@dataclass(frozen=True, slots=True)
class Programs:
    """Runs of the code as a program."""

    programs: tuple[ProgramCase, ...]


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def read_task(spec: AssertSpec, value: object, *, inside: bool) -> TestsText | Programs:
    """What code is tried on.

    Raises:
        SuiteError: If the value is no such thing, or would test nothing.
    """
    if isinstance(value, str):
        value = {"tests": value}
    if not isinstance(value, Mapping):
        raise invalid_value(spec, f"the value must be test code, not {shown(value)}", _FORMS)
    allowed = ("programs",) if "programs" in value else _TESTS
    for key in value:
        if key not in allowed:
            raise invalid_value(spec, f"unknown key {str(key)!r}", did_you_mean(str(key), allowed))
    if "programs" in value:
        return _programs(spec, value["programs"])
    texts = value.get("tests")
    given = texts if isinstance(texts, list) else [texts]
    lines = [line for line in given if isinstance(line, str)]
    if lines != given or not any(line.strip() for line in lines):
        raise invalid_value(spec, f"`tests` must be test code, not {shown(texts)}", _FORMS)
    rest = {key: value.get(key, "") for key in ("entry_point", "before")}
    for key, text in rest.items():
        if not isinstance(text, str):
            raise invalid_value(spec, f"`{key}` must be a text, not {shown(text)}")
    try:
        return read_tests(
            "\n".join(lines), before=rest["before"], entry_point=rest["entry_point"].strip(), inside=inside
        )
    except SuiteError as error:
        raise invalid_value(spec, error.what, error.fix) from error


def _programs(spec: AssertSpec, value: object) -> Programs:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise invalid_value(spec, f"`programs` is no JSON: {shown(value)}", "Write {{ column | dump }}") from None
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_PROGRAMS:
        raise invalid_value(spec, f"`programs` must be a list of 1 to {_MOST_PROGRAMS} {{stdin, stdout}}", _FORMS)
    programs = []
    for item in value:
        if not isinstance(item, Mapping) or set(item) - set(_PROGRAM) or not isinstance(item.get("stdout"), str):
            raise invalid_value(spec, f"a program must be {{stdin, stdout}}, not {shown(item)}", _FORMS)
        stdin = item.get("stdin", "")
        if not isinstance(stdin, str):
            raise invalid_value(spec, f"`stdin` must be a text, not {shown(stdin)}")
        programs.append(ProgramCase(stdin.encode("utf-8", "replace"), item["stdout"]))
    return Programs(tuple(programs))
