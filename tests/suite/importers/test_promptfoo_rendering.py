"""Imported suites ask and check what promptfoo asks and checks, to the byte."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.imports import outcomes, planned, write_files

from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.promptfoo.config import import_promptfoo

if TYPE_CHECKING:
    from llmgate.suite.cases import PlannedSuite

# Our configurations, run by the npm package promptfoo 0.123.1 with its provider `echo`: for each case the prompt that
# it asked, and the value of the assert `equals` as it compared it.
RECORDED: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parent / "promptfoo.jsonl").read_text(encoding="utf-8").splitlines()
]


def conversation(asked: str) -> list[tuple[str, Any]]:
    """What a chat provider of promptfoo's sends for a prompt."""
    messages: Any = None
    if asked.strip().startswith("- role:"):
        messages = yaml.safe_load(asked)
    elif asked.strip().startswith("["):
        with contextlib.suppress(ValueError):
            messages = json.loads(asked)
    if messages is None:
        return [("user", asked)]
    return [
        ("system" if message["role"] == "developer" else message["role"], message["content"]) for message in messages
    ]


def suites_of(folder: Path, files: dict[str, str]) -> list[PlannedSuite]:
    done = import_promptfoo(write_files(folder, files) / "promptfooconfig.yaml", VOCABULARY)
    assert done.complete, [str(note) for note in done.notes]
    return [planned(done, folder / f"out-{index}", index) for index in range(len(done.suites))]


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["name"])
def test_prompts_and_values_are_those_of_promptfoo(recorded: dict[str, Any], tmp_path: Path) -> None:
    suites = suites_of(tmp_path, recorded["files"])
    cases = [(suite, case) for suite in suites for case in suite.cases]
    wanted = [(conversation(case["asked"]), case["value"]) for case in recorded["cases"]]
    assert sorted(repr(messages) for messages, _ in wanted) == sorted(
        repr([(message.role, message.content) for message in case.planned.messages]) for _, case in cases
    )
    for suite, case in cases:
        said = [(message.role, message.content) for message in case.planned.messages]
        values = [value for messages, value in wanted if messages == said]
        # `equals` passes for the very value that promptfoo compares with, and for nothing else.
        assert any(passes(suite, case.planned.case, value) for value in values)
        assert not passes(suite, case.planned.case, f"{values[0]} ")


def passes(suite: PlannedSuite, case: str, answer: str) -> bool:
    answers = {each.planned.case: answer for each in suite.cases}
    return "pass" in outcomes(suite, answers)[case][:1]
