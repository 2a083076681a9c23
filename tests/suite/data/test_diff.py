"""Differences are named by the fewest rows that explain them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from llmgate.suite.data.diff import Drift, compare_rows
from llmgate.suite.data.rows import parse_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.suite.data.rows import Row


def rows_of(pairs: Sequence[tuple[str, str]]) -> tuple[Row, ...]:
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
