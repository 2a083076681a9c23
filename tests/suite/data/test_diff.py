"""Differences are named by the fewest rows that explain them, and field by field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from llmgate.suite.data.diff import Drift, compare_rows, diff_lines, diff_rows, diff_with_digests
from llmgate.suite.data.rows import Row, parse_rows

if TYPE_CHECKING:
    from collections.abc import Sequence


def rows_of(pairs: Sequence[tuple[str, str]]) -> Sequence[Row]:
    lines = [json.dumps({"id": row_id, "q": text}) for row_id, text in pairs]
    return parse_rows("\n".join(lines).encode(), source="d") if lines else ()


def locked(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {row.id: row.digest for row in rows_of(pairs)}


ABC = [("a", "1"), ("b", "2"), ("c", "3")]


def test_same_rows_do_not_drift() -> None:
    drift = compare_rows(locked(ABC), rows_of(ABC))
    assert not drift
    assert drift == Drift()


def test_every_kind_is_named() -> None:
    drift = compare_rows(locked(ABC), rows_of([("new", "0"), ("c", "3"), ("a", "changed")]))
    assert drift == Drift(changed=("a",), added=("new",), removed=("b",), moved=("c",), line=1)
    assert str(drift) == "row 'a' changed, row 'new' added, row 'b' removed and row 'c' moved"


def test_only_removed_rows_have_no_line() -> None:
    drift = compare_rows(locked(ABC), rows_of(ABC[:1]))
    assert drift == Drift(removed=("b", "c"))
    assert str(drift) == "rows 'b', 'c' removed"


def test_one_row_that_moves_far_is_named_alone() -> None:
    pairs = [(f"row-{n}", "x") for n in range(100)]
    drift = compare_rows(locked(pairs), rows_of([*pairs[1:], pairs[0]]))
    assert drift == Drift(moved=("row-0",), line=100)


def test_a_removed_row_does_not_count_as_moving_the_others() -> None:
    drift = compare_rows(locked(ABC), rows_of(ABC[1:]))
    assert drift == Drift(removed=("a",))


def test_long_lists_are_counted() -> None:
    pairs = [(f"r{n}", "x") for n in range(8)]
    drift = compare_rows({}, rows_of(pairs))
    assert str(drift) == "rows 'r0', 'r1', 'r2', 'r3', 'r4' and 3 more added"


tables = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("12"), min_size=1).map(lambda d: list(d.items()))


@given(tables, tables)
def test_drift_is_empty_exactly_for_equal_tables(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    assert bool(compare_rows(locked(before), rows_of(after))) == (before != after)


@given(tables.flatmap(lambda t: st.tuples(st.just(t), st.permutations(t))))
def test_without_the_moved_rows_the_order_is_the_locked_one(
    tables: tuple[list[tuple[str, str]], list[tuple[str, str]]],
) -> None:
    before, after = tables
    drift = compare_rows(locked(before), rows_of(after))
    assert (drift.changed, drift.added, drift.removed) == ((), (), ())
    assert [p for p in after if p[0] not in drift.moved] == [p for p in before if p[0] not in drift.moved]


def rows(*values: dict[str, Any]) -> Sequence[Row]:
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
