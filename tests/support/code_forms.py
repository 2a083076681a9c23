"""Programming tasks in the forms in which HumanEval and MBPP are published, with right, wrong and forged answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["MbppRow", "Task", "code_tasks", "fenced", "forged", "forgeries", "mbpp_rows"]

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "security" / "data"
SECTION = re.compile(r"^## (?P<name>[^\n]+)\n~~~~python\n(?P<code>.*?)^~~~~$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A row of the suite `code-tasks`, and answers to it.

    Attributes:
        id: The row's `task_id`.
        prompt: Imports, helpers, signature and docstring.
        entry_point: Name of the function.
        test: Text of `check(candidate)`.
        canonical: Body of a right function.
        mutated: Bodies of wrong ones.
    """

    id: str
    prompt: str
    entry_point: str
    test: str
    canonical: str
    mutated: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MbppRow:
    """A task in MBPP's form, and wrong solutions of it."""

    row: dict[str, Any]
    mutated: tuple[str, ...]


def code_tasks() -> list[Task]:
    """All tasks of the suite, in order."""
    answers = {row["task_id"]: row for row in _rows(DATA / "code-tasks-answers.jsonl")}
    return [
        Task(
            id=row["task_id"],
            prompt=row["prompt"],
            entry_point=row["entry_point"],
            test=row["test"],
            canonical=answers[row["task_id"]]["canonical_solution"],
            mutated=tuple(answers[row["task_id"]]["mutated"]),
        )
        for row in _rows(ROOT / "datasets" / "code-tasks" / "code-tasks.jsonl")
    ]


def mbpp_rows() -> list[MbppRow]:
    """All rows in MBPP's form."""
    return [MbppRow(mutated=tuple(row.pop("mutated")), row=row) for row in _rows(DATA / "mbpp-form.jsonl")]


def forgeries() -> dict[str, str]:
    """Code of answers that try to pass without solving anything, by name; `ENTRY` stands for the function's name."""
    return {
        part["name"]: part["code"] for part in SECTION.finditer((DATA / "forgeries.md").read_text(encoding="utf-8"))
    }


def forged(code: str, entry_point: str) -> str:
    """The code of a forgery for a task."""
    if "ENTRY" not in code:
        code = f"def ENTRY(*args, **kwargs):\n    return None\n{code}"
    return re.sub(r"\bENTRY\b", entry_point, code)


def fenced(code: str) -> str:
    """An answer that holds this code."""
    return f"Here it is:\n\n~~~~python\n{code}\n~~~~\n"


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
