"""The list of deviations: few, each with a reason that the documentation gives, and none that is not needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.conformance import Row, load_deviations, load_rows

MOST = 40
PAGE = Path(__file__).parents[2] / "docs" / "cookbook" / "assertions.md"
ROWS = Path(__file__).parent / "rows"
DEVIATIONS = load_deviations()


def test_there_are_few_and_each_is_listed_once() -> None:
    ids = [row["id"] for row in DEVIATIONS]
    assert len(set(ids)) == len(ids) <= MOST


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=[row["id"] for row in DEVIATIONS])
def test_a_deviation_is_one_and_is_documented(deviation: Row) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"`{deviation['id']}`" in page
    assert deviation["deviation"] in page
    (row,) = (row for row in load_rows(ROWS) if row["id"] == deviation["id"])
    assert row["expect"]["outcome"] != deviation["llmgate_expect"]["outcome"]
