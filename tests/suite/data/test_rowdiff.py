"""Differences are named by row and field."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmgate.suite.data.diff import diff_lines, diff_rows, diff_with_digests
from llmgate.suite.data.rows import Row, parse_rows


def rows(*values: dict[str, Any]) -> tuple[Row, ...]:
    return parse_rows("".join(json.dumps(one) + "\n" for one in values).encode(), source="d")


BEFORE = rows({"id": "a", "q": 1}, {"id": "b", "q": [1]}, {"id": "c", "q": True})


def test_rows_and_fields() -> None:
    diff = diff_rows(BEFORE, rows({"id": "b", "q": [2]}, {"id": "d", "q": 0}, {"id": "a", "q": 1}))
    assert (diff.added, diff.removed, diff.moved) == (("d",), ("c",), True)
    assert diff.to_json()["changed"] == {"b": {"q": {"before": [1], "after": [2]}}}
    assert diff_lines(diff) == [
        "+ d", "- c", "~ b", "    q: [1] → [2]", "rows stand in another order", "1 added, 1 removed, 1 changed",
    ]  # fmt: skip


def test_a_new_column_and_a_changed_type() -> None:
    diff = diff_rows(BEFORE[2:], rows({"id": "c", "q": 1, "z": None}))
    assert diff.to_json()["changed"]["c"] == {"q": {"before": True, "after": 1}, "z": {"after": None}}
    assert "    z: (no such column) → null" in diff_lines(diff)


def test_a_lock_knows_only_rows() -> None:
    diff = diff_with_digests({row.id: row.digest for row in BEFORE}, rows({"id": "a", "q": 2}, {"id": "b", "q": [1]}))
    assert (diff.removed, dict(diff.changed), diff.moved) == (("c",), {"a": ()}, False)


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2), min_size=1), st.data())
def test_same_rows_have_no_difference_and_swapping_swaps(values: dict[str, int], data: st.DataObject) -> None:
    one = rows(*({"id": key, "v": value} for key, value in values.items()))
    other_values = data.draw(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2), min_size=1))
    other = rows(*({"id": key, "v": value} for key, value in other_values.items()))
    assert not diff_rows(one, one)
    assert diff_lines(diff_rows(one, one)) == ["no differences"]
    there, back = diff_rows(one, other), diff_rows(other, one)
    assert set(there.added) == set(back.removed)
    assert set(there.changed) == set(back.changed)
    assert bool(there) == (list(values.items()) != list(other_values.items()))


def test_long_values_are_cut() -> None:
    diff = diff_rows(rows({"id": "a", "q": "x" * 500}), rows({"id": "a", "q": "y" * 500}))
    assert max(map(len, diff_lines(diff))) < 300
