"""Examples that are test rows are refused, those that nearly are get a warning, labels and instructions are neither."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import SuiteError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.cases import PlannedSuite, plan_suite
from llmgate.suite.data.dataset import write_lock
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    {"id": "a", "text": "The waiter was friendly and the soup was hot.", "label": "positive or very satisfied"},
    {"id": "b", "text": "2+2?", "label": "positive or very satisfied"},
    {"id": "c", "text": "My parcel arrived broken and nobody answered.", "label": "negative and angry customer"},
    {"id": "d", "text": "My phone never rings.", "label": "negative and angry customer"},
]


def plan(folder: Path, *messages: tuple[str, str], extra: str = "") -> PlannedSuite:
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    write_lock(data)
    prompt = json.dumps([{"role": role, "content": content} for role, content in messages])
    path = folder / "leak.yaml"
    path.write_text(
        f"llmgate: 1\nsuite: leak\nversion: 1.0.0\ndataset: rows.jsonl\n{extra}prompt: {prompt}\n"
        "assert:\n  - {type: icontains, value: x}\n",
        encoding="utf-8",
    )
    return plan_suite(load_suite(path, VOCABULARY), VOCABULARY)


ASK = ("user", "Review: {{ text }}\nSentiment:")


@pytest.mark.parametrize(
    ("message", "row"),
    [
        (("user", "Review: THE waiter  was friendly and the soup was hot.\nSentiment:"), "a"),
        (("user", "Review: 2+2?\nSentiment:"), "b"),
        (("assistant", "As I said: the waiter was friendly and the soup was hot."), "a"),
        (("system", "Example: My parcel arrived broken and nobody answered. -> negative"), "c"),
        (("user", "Example: My phone never rings. -> bad\nNow: {{ text }}"), "d"),
    ],
)
def test_a_row_in_the_prompt_is_refused(tmp_path: Path, message: tuple[str, str], row: str) -> None:
    with pytest.raises(SuiteError, match=f"gives test rows away: row '{row}'.*allow-leakage: true") as caught:
        plan(tmp_path, message, ASK)
    assert caught.value.where == str(tmp_path / "leak.yaml")
    assert plan(tmp_path, message, ASK, extra="allow-leakage: true\n").warnings == ()


def test_nearly_a_row_is_a_warning(tmp_path: Path) -> None:
    near = ("user", "Review: My parcel arrived broken and nobody answers.\nSentiment:")
    (warning,) = plan(tmp_path, near, ASK).warnings
    assert "row 'c' (line 3): its column 'text' nearly" in warning


@pytest.mark.parametrize(
    "message",
    [
        ("user", "Review: The hotel had a view of the sea.\nSentiment:"),
        ("assistant", "positive or very satisfied"),
        ("system", "Answer with: positive or very satisfied, negative and angry customer"),
        ("assistant", "4"),
    ],
)
def test_other_examples_labels_and_instructions_are_no_leaks(tmp_path: Path, message: tuple[str, str]) -> None:
    assert plan(tmp_path, message, ASK).warnings == ()


def test_leaks_do_not_change_the_digest(tmp_path: Path) -> None:
    assert plan(tmp_path, ASK).suite.digest == plan(tmp_path, ASK, extra="allow-leakage: true\n").suite.digest


def test_pytest_shows_the_warning(pytester: pytest.Pytester) -> None:
    near = ("user", "Review: My parcel arrived broken and nobody answers.\nSentiment:")
    plan(pytester.path, near, ASK)
    result = pytester.runpytest_inprocess("leak.yaml", "--collect-only", "-W", "default")
    result.stdout.fnmatch_lines(["*PytestCollectionWarning: *leak.yaml: row 'c' (line 3): its column 'text' nearly*"])
