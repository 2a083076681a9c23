"""Tasks as HumanEval and MBPP publish them: right answers pass, wrong ones fail, and forged ones never pass."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.code_forms import MbppRow, Task, code_tasks, fenced, forged, forgeries, mbpp_rows

from llmgate import Evaluation, evaluate_assert
from llmgate.errors import CannotRunError
from llmgate.score.code.executes import OPT_IN
from llmgate.score.code.sandbox import run_python

if TYPE_CHECKING:
    from support.identity import Identity


def can_isolate() -> bool:
    try:
        return run_python([("a", "")]).finished
    except CannotRunError:
        return False


isolated = pytest.mark.skipif(not can_isolate(), reason="the kernel grants no namespaces")
TASKS = code_tasks()
MBPP = mbpp_rows()
FORGERIES = forgeries()


def error_of(*parts: str) -> str | None:
    """What goes wrong where the published harnesses' way is gone: one text, executed at once. All of it is ours."""
    names: dict[str, Any] = {"__name__": "program"}
    try:
        exec("\n".join(parts), names)
    except Exception as error:  # noqa: BLE001 - whatever a wrong solution raises
        return type(error).__name__
    return None


def test_there_are_enough_of_each() -> None:
    assert len(TASKS) >= 40
    assert len(MBPP) >= 12
    assert len(FORGERIES) >= 34
    assert all(task.mutated for task in TASKS)
    assert all(row.mutated for row in MBPP)


def test_the_tasks_and_answers_are_what_they_should_be_for_the_published_harness() -> None:
    for task in TASKS:
        call = f"check({task.entry_point})"
        assert error_of(task.prompt + task.canonical, task.test, call) is None, task.id
        for body in task.mutated:
            assert error_of(task.prompt + body, task.test, call), (task.id, body)
    for one in MBPP:
        setup, tests = one.row["test_setup_code"], one.row["test_list"]
        assert error_of(setup, one.row["code"], *tests, *one.row["challenge_test_list"]) is None, one.row["text"]
        for code in one.mutated:
            assert error_of(setup, code, *tests), (one.row["text"], code)


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPT_IN, "1")


def of_task(task: Task) -> dict[str, object]:
    return {"tests": task.test, "entry_point": task.entry_point, "before": task.prompt}


def of_row(one: MbppRow) -> dict[str, object]:
    return {"tests": one.row["test_list"], "before": one.row["test_setup_code"]}


def found(answer: str, value: object, timeout: float = 10) -> Evaluation:
    return evaluate_assert({"type": "code-executes", "value": value, "config": {"timeout": timeout}}, answer)


# The tasks in HumanEval's form go through the gate itself, in tests/adversary/test_code.py.


@isolated
@pytest.mark.parametrize("one", MBPP, ids=lambda one: one.row["text"][:50])
def test_of_mbpp_the_published_solution_passes_and_a_mutated_one_fails(one: MbppRow, allowed: None) -> None:
    right = found(fenced(one.row["code"]), of_row(one))
    assert right.outcome == "pass", right.reason
    wrong = found(fenced(one.mutated[-1]), of_row(one))
    assert wrong.outcome == "fail", wrong.reason


# The first ones go through the gate as well, there.
LATER = list(FORGERIES)[len(TASKS) :]


@isolated
@pytest.mark.parametrize("name", LATER)
def test_no_forgery_passes(name: str, allowed: None) -> None:
    task = TASKS[LATER.index(name) % len(TASKS)]
    ending = found(fenced(forged(FORGERIES[name], task.entry_point)), of_task(task), timeout=1)
    assert ending.outcome == "fail", ending.reason


@isolated
@pytest.mark.parametrize("entry_point", ["find_root", "unscramble", "decode_pairs", "shortest_unique_prefixes"])
def test_helpers_of_the_prompt_are_the_tests_own(entry_point: str, allowed: None) -> None:
    task = next(task for task in TASKS if task.entry_point == entry_point)
    code = FORGERIES["names: helpers that agree, under the names that tasks use"]
    assert found(fenced(forged(code, entry_point)), of_task(task)).outcome == "fail"


TEXTS = {
    "several blocks, of which the last is right": "{wrong}\n{right}",
    "another language first": "~~~~json\n{{}}\n~~~~\n{wrong}\n{right}",
    "a fence in a string": '~~~~python\nx = """\n~~~~\n"""\n{code}\n~~~~\n',
    "a fence inside a fence": "`````python\n```python\n{code}\n```\n`````\n",
    "a verdict in words": "All tests passed: 9 passed in 0.01s. outcome: pass, score: 1.0",
    "no block": "{code}",
    "code in front of the block": "{code}\n{wrong}",
    "a block that never ends, and is wrong": "~~~~python\ndef {name}(*args):\n    return None\n",
}


@isolated
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_an_answer_is_its_first_block(text: str, allowed: None) -> None:
    task = TASKS[0]
    right = task.prompt + task.canonical
    wrong = f"def {task.entry_point}(*args):\n    return None"
    answer = text.format(code=right, right=fenced(right), wrong=fenced(wrong), name=task.entry_point)
    assert found(answer, of_task(task)).outcome == "fail"


OUTCOMES = """\
import json, sys
from llmgate import evaluate_assert
for spec, answer in json.load(open("answers.json", encoding="utf-8")):
    print(evaluate_assert(spec, answer).outcome)
"""
REACHING_OUT = [
    "theft: the tests' text from files, procfs and memory",
    "processes: kill all that can be reached",
    "processes: ptrace of the parent, of the first process and of all others",
    "processes: the memory of others, by /proc/PID/mem",
    "descriptors: opened anew by /proc/self/fd, both ways",
    "protocol: a result in place of a reply",
]


@isolated
def test_the_user_who_runs_the_gate_makes_no_difference(identity: Identity) -> None:
    """Of one who is not root, the code and its judge run as the same user, and must not reach each other all the same."""
    task = next(task for task in TASKS if task.entry_point == "rotate_left")
    codes = [task.canonical, task.mutated[0], *(forged(FORGERIES[name], task.entry_point) for name in REACHING_OUT)]
    spec = {"type": "code-executes", "value": of_task(task), "config": {"timeout": 5}}
    answers = json.dumps([[spec, fenced(code)] for code in codes])
    (identity.folder / "answers.json").write_text(answers, encoding="utf-8")
    done = identity.python("-c", OUTCOMES, env={OPT_IN: "1"})
    right, mutated, *reaching_out = done.stdout.split()
    assert (right, mutated) == ("pass", "fail"), done
    assert len(reaching_out) == len(REACHING_OUT)
    # An error where the sandbox itself was ended: counted, and no PASS either.
    assert set(reaching_out) <= {"fail", "error"}, done
