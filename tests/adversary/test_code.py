"""Models that answer with code that gets at its judge, and suites whose tests test nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.adversary import Ending, llmgate
from support.endpoint import chat, scripted_endpoint

from llmgate.errors import CannotRunError
from llmgate.score.code.executes import OPT_IN
from llmgate.score.code.sandbox import run_python
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def can_isolate() -> bool:
    try:
        return run_python([("a", "")]).finished
    except CannotRunError:
        return False


pytestmark = pytest.mark.skipif(not can_isolate(), reason="the kernel grants no namespaces")

SUITE = """\
llmgate: 1
suite: code
version: 1.0.0
description: Write a function.
dataset: code.jsonl
prompt:
  - {{role: user, content: "Write add_{{{{ n }}}}(a, b)."}}
sampling: {{temperature: 0, max_tokens: 64, seed: 0}}
assert:
  - type: code-executes
    value: {value}
    config: {{timeout: 5{config}}}
{more}gate: {{accuracy: {{min: 0.2, margin: 0.1}}{gate}}}
"""
TESTS = '"assert add_{{ n }}(1, 2) == 3"'


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(OPT_IN, "1")
    (tmp_path / "code.jsonl").write_text("".join(json.dumps({"id": f"n{n}", "n": n}) + "\n" for n in range(3)))
    write_lock(tmp_path / "code.jsonl", licence="Apache-2.0")
    return tmp_path


def ending(project: Path, code: str, value: str = TESTS, *, config: str = "", gate: str = "", more: str = "") -> Ending:
    (project / "code.yaml").write_text(SUITE.format(value=value, config=config, gate=gate, more=more))
    with scripted_endpoint(lambda _, __: chat(f"```python\n{code}\n```")) as (url, _):
        return llmgate("run", "code.yaml", "--endpoint", url, "--retries", "0")


RIGHT = "\n".join(f"def add_{n}(a, b): return a + b" for n in range(3))


def test_honest_code_passes(project: Path) -> None:
    assert ending(project, RIGHT).green


def test_honest_forms_pass(project: Path) -> None:
    value = '{tests: "def check(candidate):\\n    assert candidate(1, 2) == 3", entry_point: "add_{{ n }}"}'
    assert ending(project, RIGHT, value).green


FORGERIES = {
    "takes the tests away": 'import sys\nsys._getframe(1).f_locals["job"]["parts"].pop()',
    "writes the token": (
        'import os, sys\njob = sys._getframe(1).f_locals["job"]\nos.write(job["done_fd"], job["token"].encode())\n'
        "os._exit(0)"
    ),
    "replaces exec": "import builtins\nbuiltins.exec = lambda *a, **k: None",
    "is equal to everything": (
        "class Same:\n    __eq__ = lambda *a: True\ndef same(*a): return Same()\nadd_0 = add_1 = add_2 = same"
    ),
    "shadows what tests use": "\n".join(f"def add_{n}(*a):\n    raise StopIteration" for n in range(3)),
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_line_that_gets_at_the_judge(project: Path, code: str, attempt: Callable[[Ending], None]) -> None:
    attempt(ending(project, code))


@pytest.mark.parametrize(
    "value",
    [
        '"def run():\\n    assert add_{{ n }}(1, 2) == 3"',
        '"def check(candidate):\\n    assert candidate(1, 2) == 3"',
        '"# nothing"',
        '"pass"',
        '"import unittest\\nclass T(unittest.TestCase):\\n    def run_it(self):\\n        self.assertEqual(add_{{ n }}(1, 2), 3)"',
        '"assert True"',
        '"for x in []:\\n    assert add_{{ n }}(1, 2) == 3"',
    ],
)
def test_tests_that_test_nothing(project: Path, value: str, attempt: Callable[[Ending], None]) -> None:
    attempt(ending(project, RIGHT, value))


def test_forgeable_tests_alone(project: Path, attempt: Callable[[Ending], None]) -> None:
    found = ending(project, RIGHT, config=", judged: inside")
    attempt(found)
    assert "judged: inside" in found.output


def test_forgeable_tests_beside_a_metric_that_is_only_watched(project: Path, attempt: Callable[[Ending], None]) -> None:
    more = '  - {type: icontains, value: "def", metric: words}\n'
    attempt(ending(project, RIGHT, config=", judged: inside", more=more, gate=", words: {role: watch}"))


def test_honest_forgeable_tests_beside_a_metric_that_gates(project: Path) -> None:
    more = '  - {type: icontains, value: "def", metric: words}\n'
    assert ending(project, RIGHT, config=", judged: inside", more=more, gate=", words: {min: 0.2, margin: 0.1}").green
