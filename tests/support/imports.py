"""Importing what a test wrote down, and reading it back as a run would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from llmgate.score.assertion.check import CheckContext
from llmgate.score.execute import run_check
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.cases import PlannedSuite, plan_suite
from llmgate.suite.form.suite_file import CasePart
from llmgate.suite.importers.write import write_imported
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmgate.suite.importers.result import Imported


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder, which is returned."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder


def jsonl(*rows: object) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def planned(imported: Imported, folder: Path, index: int = 0) -> PlannedSuite:
    """Write an import, and load one of its suites."""
    return loaded(write_imported(imported, folder, source="x")[index])


def loaded(path: Path) -> PlannedSuite:
    """Load a suite."""
    return plan_suite(load_suite(path, VOCABULARY), VOCABULARY)


def outcomes(suite: PlannedSuite, answers: Mapping[str, str]) -> dict[str, list[str]]:
    """What the asserts of each case say about a scripted answer; only deterministic ones."""
    return {
        case.planned.case: [
            run_check(spec, CheckContext(output=answers[case.planned.case], variables=case.variables)).outcome.value
            for spec in case.asserts
        ]
        for case in suite.cases
    }


def prompts(suite: PlannedSuite) -> dict[str, list[tuple[str, str]]]:
    """What each case asks."""
    return {case.planned.case: [(m.role, m.content) for m in case.planned.messages] for case in suite.cases}


def lost(imported: Imported) -> list[str]:
    """What was not carried over."""
    return [str(note) for note in imported.notes if note.lost]


def needs_types(*names: str) -> pytest.MarkDecorator:
    """Skip a test whose assert types are not there."""
    missing = set(names) - VOCABULARY.names
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(sorted(missing))}")


needs_row_asserts = pytest.mark.skipif(
    "asserts" not in CasePart.model_fields, reason="needs asserts that rows bring themselves"
)
