"""The parts of a test run: every test belongs to one, and one that fails or does not run fails the whole."""

from __future__ import annotations

import re
import sys
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING

import parts
import pytest
from parts import LANES, MARKS, ROOT, Part, closing_line, main, part_of

if TYPE_CHECKING:
    from pathlib import Path

MARKERS = ("e2e", "vllm", "timing")


def python(name: str, code: str, *, tests: bool = False) -> Part:
    return Part(name=name, command=(sys.executable, "-c", code), tests=tests)


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(parts, "LOGS", tmp_path / "logs")
    return tmp_path / "logs"


def run(monkeypatch: pytest.MonkeyPatch, *stages: tuple[tuple[Part, ...], ...]) -> int:
    monkeypatch.setitem(LANES, "these", stages)
    return main("these")


@pytest.mark.parametrize("given", list(product([False, True], repeat=len(MARKERS))))
def test_every_test_belongs_to_one_part(given: tuple[bool, ...]) -> None:
    marks = dict(zip(MARKERS, given, strict=True))
    parts_of = [name for name, expression in MARKS.items() if eval(expression, {}, marks)]
    assert parts_of == [part_of({name for name, has in marks.items() if has})]


def test_a_test_that_its_part_would_not_find_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    pytester.makeini(f"[pytest]\npythonpath = {ROOT / 'tests'}\nmarkers =\n  timing: times something\n")
    pytester.makepyfile("import pytest\n@pytest.mark.timing\ndef test_one(): pass")
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*test_one: with its marks it has to lie in tests/bench"])


def test_everything_runs_every_part_once() -> None:
    names = Counter(part.name for stage in LANES["all"] for lane in stage for part in lane)
    assert names == Counter(["ruff", "format", "imports", "types", *MARKS])


def test_all_is_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], logs: Path) -> None:
    one = python("one", "print('== 3 passed, 1 skipped, 2 deselected in 1.5s (0:00:01) ==')", tests=True)
    two = python("two", "print('2 passed, 1 warning in 0.20s')", tests=True)
    assert run(monkeypatch, ((one, python("lint", "print('fine')")), (two,))) == 0
    printed = capsys.readouterr().out
    assert "fine\n" in printed
    assert "5 passed, 1 skipped, 1 warnings in " in printed.splitlines()[-1]
    assert (logs / "lint.log").read_text(encoding="utf-8") == "fine\n"


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "print('2 failed, 1 passed in 0.1s'); raise SystemExit(3)"])
def test_a_part_that_fails_fails_the_run_and_keeps_none_from_running(
    code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = python("first", code, tests=True), python("second", "print('1 passed in 0.1s')", tests=True)
    assert run(monkeypatch, ((first, second),), ((python("third", "print('hello')"),),)) == 3
    printed = capsys.readouterr().out
    assert re.search(r"first +\d+\.\d s  FAILED with 3\n", printed)
    assert re.search(r"2 failed|1 errors", printed.splitlines()[-1])
    assert "hello" in printed


def test_tests_without_a_closing_line_are_no_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, ((python("mute", "print('bye')", tests=True),),)) == 1
    assert "nothing says that the tests ran" in capsys.readouterr().out


def test_a_part_that_cannot_run_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, ((Part(name="gone", command=("/no/such/program",)),),)) == 1
    assert "did not run" in capsys.readouterr().out


def test_a_part_that_is_killed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, ((python("killed", "import os; os.kill(os.getpid(), 9)"),),)) == 137


def test_the_closing_line_is_pytests() -> None:
    counts = Counter(failed=1, passed=2, deselected=7, error=1, errors=1)
    assert closing_line(counts, 61.25).strip("= ") == "1 failed, 2 passed, 2 errors in 61.25s (1:01)"
