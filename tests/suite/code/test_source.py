"""What is read from the source of tests in code."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llmgate.errors import SuiteError
from llmgate.suite.code.source import read_source


def module(folder: Path, text: str) -> ModuleType:
    """A module of a file, as tests are."""
    path = folder / f"written_{abs(hash(text))}.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    made = ModuleType(path.stem)
    made.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), made.__dict__)
    sys.modules[path.stem] = made
    return made


BODY = """
LIMIT = 3
NAMES = {"a", "b"}

def short(text):
    return len(text) < LIMIT

async def test(case, llm):
    case.check("accuracy", short("x"))
    case.check("manners", {"type": "llm-rubric", "value": "polite"})
    case.check("odd", {"type": "icontains", "value": case["x"]})
    case.check("a", {"type": "contains", "value": "x", "metric": "b"})
    case.check(metric="named", value=True)
"""


def test_metrics_and_literal_asserts_are_read(tmp_path: Path) -> None:
    found = read_source([module(tmp_path, BODY).test])
    assert found.metrics == ("accuracy", "manners", "odd", "named", "b")
    assert [written["metric"] for written in found.asserts] == ["manners", "b"]
    assert found.computed
    assert not found.plain


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("len(text) < LIMIT", "len(text) <= LIMIT", False),
        ("LIMIT = 3", "LIMIT = 4", False),
        ("polite", "rude", False),
        ('NAMES = {"a", "b"}', 'NAMES = {"c"}', True),
        ("LIMIT = 3", "LIMIT = 3\nOTHER = 7", True),
    ],
)
def test_the_digest_covers_what_the_test_uses_and_nothing_else(tmp_path: Path, old: str, new: str, same: bool) -> None:
    before = read_source([module(tmp_path, BODY).test]).digest
    after = read_source([module(tmp_path, BODY.replace(old, new)).test]).digest
    assert (before == after) is same


def test_the_digest_is_the_same_in_every_process(tmp_path: Path) -> None:
    path = tmp_path / "test_sets.py"
    path.write_text(
        'WORDS = {"a", "b", "c", "d"}\n\ndef test(case):\n    assert case["x"] in WORDS\n', encoding="utf-8"
    )
    code = "import test_sets; from llmgate.suite.code.source import read_source; print(read_source([test_sets.test]).digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3]}", "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(digests) == 1


def test_asserts_in_helpers_count(tmp_path: Path) -> None:
    text = "def same(a, b):\n    assert a == b\n\ndef test(case):\n    same(case['x'], 1)\n"
    assert read_source([module(tmp_path, text).test]).plain


def test_a_function_without_source_is_refused() -> None:
    scope: dict[str, Any] = {}
    exec("def test(case): pass", scope)
    with pytest.raises(SuiteError, match="cannot be read"):
        read_source([scope["test"]])
