"""Samples are the same for the same seed, nested, and keep shares."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import DatasetError
from llmgate.suite.data.formats import as_jsonl
from llmgate.suite.data.rows import Row, parse_rows
from llmgate.suite.data.sample import sample_rows

if TYPE_CHECKING:
    from collections.abc import Sequence


def make(count: int, groups: int = 3) -> Sequence[Row]:
    lines = "".join(f'{{"id": "r{i}", "g": {i % groups}, "t": "é\\u0007"}}\n' for i in range(count))
    return parse_rows(lines.encode(), source="d")


@given(st.integers(1, 60), st.integers(0, 2**40), st.data())
def test_nested_ordered_and_repeatable(total: int, seed: int, data: st.DataObject) -> None:
    rows = make(total)
    count = data.draw(st.integers(1, total))
    one = sample_rows(rows, count, seed=seed)
    assert len(one) == count
    assert one == sample_rows(rows, count, seed=seed)
    assert [row.line for row in one] == sorted(row.line for row in one)
    assert set(one[:0]) <= set(sample_rows(rows, total, seed=seed)[:0])
    larger = {row.id for row in sample_rows(rows, total, seed=seed)}
    assert {row.id for row in one} <= larger


@given(st.integers(1, 90), st.integers(1, 7), st.data())
def test_shares_differ_by_less_than_one(total: int, groups: int, data: st.DataObject) -> None:
    rows = make(total, groups)
    count = data.draw(st.integers(1, total))
    drawn = sample_rows(rows, count, seed=1, stratify="g")
    sizes = Counter(row.values["g"] for row in rows)
    shares = Counter(row.values["g"] for row in drawn)
    assert sum(shares.values()) == count
    assert all(abs(shares[key] - size * count / total) < 1 for key, size in sizes.items())


def test_another_seed_is_another_sample() -> None:
    rows = make(200)
    assert sample_rows(rows, 20, seed=1) != sample_rows(rows, 20, seed=2)


def test_a_smaller_sample_lies_in_a_larger_one() -> None:
    rows = make(200)
    small, large = ({row.id for row in sample_rows(rows, n, seed=4)} for n in (20, 50))
    assert small < large


def test_written_rows_are_the_same_rows() -> None:
    rows = make(9)
    assert [row.digest for row in parse_rows(as_jsonl(row.values for row in rows), source="d")] == [
        row.digest for row in rows
    ]


@pytest.mark.parametrize("count", [0, 4, -1])
def test_more_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(DatasetError, match="cannot be drawn from 3"):
        sample_rows(make(3), count, seed=0)


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(DatasetError, match="no column 'gg'. Did you mean g"):
        sample_rows(make(3), 1, seed=0, stratify="gg")
