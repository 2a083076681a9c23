"""The parts of the documentation that are written from definitions are those of today's definitions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reference import reference_files

from llmgate.score.builtin import SECTIONS

ROOT = Path(__file__).parents[2]
FILES = reference_files(ROOT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_committed_is_current(path: Path) -> None:
    assert path.read_text("utf-8") == FILES[path], "run `make docs`"


def test_every_type_stands_in_a_table() -> None:
    page = ROOT / "docs" / "cookbook" / "assertions.md"
    assert re.findall(r"<!-- types: (.+) -->", FILES[page]) == list(SECTIONS)
    rows = " ".join(re.findall(r"^\| (`[^|]+)\|", FILES[page], re.MULTILINE))
    assert [name for names in SECTIONS.values() for name in names if f"`{name}`" not in rows] == []
