"""Models that are asked for code: one that can, one that nearly can, one that goes for the tests instead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import Ending, llmgate
from support.code_forms import Task, code_tasks, fenced, forged, forgeries
from support.endpoint import chat, scripted_endpoint

from llmgate.errors import CannotRunError
from llmgate.score.code.executes import OPT_IN
from llmgate.score.code.sandbox import run_python

if TYPE_CHECKING:
    from collections.abc import Callable


def can_isolate() -> bool:
    try:
        return run_python([("a", "")]).finished
    except CannotRunError:
        return False


pytestmark = pytest.mark.skipif(not can_isolate(), reason="the kernel grants no namespaces")

SUITE = Path(__file__).parents[2] / "suites" / "code-tasks.yaml"
TASKS = code_tasks()


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(OPT_IN, "1")
    monkeypatch.chdir(tmp_path)


def gate(answer: Callable[[int, Task], str]) -> Ending:
    """How the gate on the suite ends for a model that gives these answers."""
    asked = {f"```python\n{task.prompt}```": (number, task) for number, task in enumerate(TASKS)}

    def reply(_: str, body: dict[str, Any]) -> dict[str, Any]:
        return chat(answer(*asked[body["messages"][-1]["content"]]))

    with scripted_endpoint(reply) as (url, _):
        return llmgate("run", SUITE, "--endpoint", url, "--retries", "0")


def canonical(number: int, task: Task) -> str:
    """The whole function as chat models write it, or its body as base models do."""
    return fenced(task.canonical if number % 3 == 0 else task.prompt + task.canonical)


def mutated(number: int, task: Task) -> str:
    body = task.mutated[number % len(task.mutated)]
    return fenced(body if number % 3 == 0 else task.prompt + body)


def forging(number: int, task: Task) -> str:
    return fenced(forged(list(forgeries().values())[number], task.entry_point))


def test_honest_a_model_that_solves_every_task() -> None:
    ending = gate(canonical)
    assert ending.verdict == "PASS", ending.output
    assert "code-tasks::accuracy    100.0 %" in ending.output


@pytest.mark.parametrize("answer", [mutated, forging])
def test_a_model_that_solves_none(answer: Callable[[int, Task], str], attempt: Callable[[Ending], None]) -> None:
    ending = gate(answer)
    attempt(ending)
    assert ending.exit_code == 1, ending.output
    assert "accuracy is 0.0 % (required: 50 %)" in ending.output, ending.output
