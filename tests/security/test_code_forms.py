"""Tasks as HumanEval and MBPP publish them: right answers pass, wrong ones fail, and forged ones never pass."""

from __future__ import annotations

from typing import Any

from support.code_forms import code_tasks, forgeries, mbpp_rows

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
