"""Leaves that two JSON documents share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.score.structured.diff import compare_json
from llmgate.score.structured.parse import same_json

scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0, "", "a"])
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0"]), inner, max_size=3),
    max_leaves=12,
)


def leaf_paths(value: Any, path: tuple[object, ...] = ()) -> dict[tuple[object, ...], str]:
    """The definition, spelt out: path to leaf."""
    if isinstance(value, dict) and value:
        return {k: v for key, item in value.items() for k, v in leaf_paths(item, (*path, f".{key}")).items()}
    if isinstance(value, list) and value:
        return {k: v for key, item in enumerate(value) for k, v in leaf_paths(item, (*path, key)).items()}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {path: f"number {float(value)}" if is_number else json.dumps(value)}


@settings(deadline=None, max_examples=300)
@given(documents, documents)
def test_the_score_is_as_defined(expected: object, output: object) -> None:
    ours, theirs = leaf_paths(expected), leaf_paths(output)
    found = compare_json(expected, output)
    assert found.leaves == len(ours.keys() | theirs.keys())
    assert found.equal == sum(ours[path] == theirs[path] for path in ours.keys() & theirs.keys())
    assert (found.score == 1) == same_json(expected, output) == (not found.first)
    turned = compare_json(output, expected)
    assert (turned.equal, turned.leaves) == (found.equal, found.leaves)


def shuffled(value: Any, data: st.DataObject) -> Any:
    if isinstance(value, list):
        return data.draw(st.permutations([shuffled(item, data) for item in value]))
    return {key: shuffled(item, data) for key, item in value.items()} if isinstance(value, dict) else value


@settings(deadline=None)
@given(documents, st.data())
def test_order_does_not_count_where_it_is_ignored(expected: object, data: st.DataObject) -> None:
    found = compare_json(expected, shuffled(expected, data), any_order=True)
    assert found.score == 1
    assert found.leaves == len(leaf_paths(expected))


@settings(deadline=None)
@given(documents, documents, st.sampled_from([0, 0.5, 10]))
def test_a_share_is_a_share(expected: object, output: object, tolerance: float) -> None:
    found = compare_json(expected, output, tolerance=tolerance, any_order=True)
    assert 0 <= found.equal <= found.leaves
    assert found.leaves >= 1
    assert found.score >= compare_json(expected, output, any_order=True).score or tolerance


@pytest.mark.parametrize(
    ("expected", "output", "equal", "leaves", "first"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, 1, 2, "$.b"),
        ({"a": 1}, {"a": 1, "b": {"c": 1, "d": 2}}, 1, 3, "$.b.c"),
        ({"a": [1, 2, 3]}, {"a": [1, 3]}, 1, 3, "$.a[1]"),
        ({"a": {}}, {"a": []}, 0, 1, "$.a"),
        ({"a": 5}, {"a": {"b": 5}}, 0, 2, "$.a"),
        ({"0": 1}, [1], 0, 2, "$.0"),
        (1, True, 0, 1, "$"),
        (None, 0, 0, 1, "$"),
        (10**400, 10**400, 1, 1, ""),
        (10**400, 0.5, 0, 1, "$"),
    ],
)
def test_examples(expected: object, output: object, equal: int, leaves: int, first: str) -> None:
    found = compare_json(expected, output)
    assert (found.equal, found.leaves, found.first) == (equal, leaves, first)


@pytest.mark.parametrize(
    ("expected", "output", "tolerance", "score"),
    [(1.0, 1.05, 0.1, 1), (1, 2, 0.99, 0), (float("inf"), float("inf"), 0.1, 1), (float("inf"), 1.0, 0.1, 0),
     ("1", 1, 5, 0), (10**400, 10**400 + 1, 1, 1)],
)  # fmt: skip
def test_tolerance(expected: object, output: object, tolerance: float, score: float) -> None:
    assert compare_json(expected, output, tolerance=tolerance).score == score


def test_numbers_within_the_tolerance_find_each_other() -> None:
    assert compare_json([1.0, 2.0, 9], [9, 2.001, 1.001], tolerance=0.01, any_order=True).score == 1
    assert compare_json([1.0, 5.0], [5.001, 3.0], tolerance=0.01, any_order=True).equal == 1


def test_what_equals_nothing_is_paired_in_order() -> None:
    expected = [{"id": 1, "x": 1}, {"id": 2, "x": 2}]
    found = compare_json(expected, [{"id": 2, "x": 2}, {"id": 1, "x": 7}], any_order=True)
    assert (found.equal, found.leaves) == (3, 4)


@pytest.mark.parametrize("any_order", [False, True])
@pytest.mark.cpu_seconds(24)
def test_deep_and_large_documents(any_order: bool) -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep, {"a": 2}]
    large = [{"id": i, "v": [i, i + 1]} for i in range(5_000)]
    assert compare_json(deep, deep, any_order=any_order).score == 1
    assert compare_json(deep, 1, any_order=any_order).score < 0.01
    assert compare_json(large, large[::-1], any_order=any_order).score == float(any_order)
