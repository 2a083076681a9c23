"""The table itself, and the page that is written from it: `LLMGATE_REGENERATE_BYPASS=1 pytest` on this file writes it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from support.bypass.page import LIMITS, anchor, page_text
from support.bypass.rows import AREAS, ROWS
from support.bypass.servers import DATABASES, SETUPS
from support.bypass.table import Expected

PAGE = Path(__file__).parents[3] / "docs" / "registry-bypass.md"


def test_the_page_tells_of_the_table_as_it_is() -> None:
    text = page_text(AREAS)
    if os.environ.get("LLMGATE_REGENERATE_BYPASS"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, "write it anew with LLMGATE_REGENERATE_BYPASS=1"


def test_the_table_is_long_enough_and_nothing_in_it_is_unknown() -> None:
    counted = Counter(row.expected for row in ROWS)
    assert len(ROWS) - counted[Expected.WORKS] >= 60
    assert counted[Expected.WORKS] >= 20
    assert set(DATABASES) == {"sqlite", "postgresql"}
    assert {row.setup for row in ROWS} == set(SETUPS)
    assert [name for name, times in Counter(row.name for row in ROWS).items() if times > 1] == []


def test_each_limit_is_explained_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = {row.limit for row in ROWS if row.expected is Expected.LIMIT}
    assert named == set(LIMITS)
    for heading in named:
        assert f"### {heading}\n" in text
        assert f"(#{anchor(heading)})" in text
