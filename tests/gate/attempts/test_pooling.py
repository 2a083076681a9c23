"""Scores of several runs become one table: means, what is missing, what does not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import NotComparableError
from llmgate.gate.attempts.pooling import pool_tables, scores_at
from llmgate.record.scores import Items, ScoreTable


def table(
    scores: dict[str, float | None], clusters: dict[str, str] | None = None, needed: frozenset[int] = frozenset()
) -> ScoreTable:
    ids = list(scores)
    return ScoreTable(
        suite="s",
        metric="m",
        items=Items.of(ids, clusters=None if clusters is None else [clusters.get(name) for name in ids]),
        scores=np.array([math.nan if score is None else score for score in scores.values()]),
        errors={i: "timeout" for i, score in enumerate(scores.values()) if score is None},
        right_or_wrong=True,
        needed=needed,
    )


def test_a_case_scores_the_mean_of_its_attempts_whatever_their_order() -> None:
    first, second = table({"a": 1.0, "b": 0.0, "c": 1.0}), table({"c": 0.0, "a": 1.0, "b": 0.0})
    pooled = pool_tables([first, second], second.items)
    assert pooled.items is second.items
    assert pooled.scores.tolist() == [0.5, 1.0, 0.0]
    assert not pooled.right_or_wrong
    assert pool_tables([second], second.items) is second


@given(value=st.floats(0.0, 1.0), runs=st.integers(2, 12))
def test_what_is_the_same_at_every_attempt_stays_so_to_the_last_digit(value: float, runs: int) -> None:
    tables = [table({"a": value, "b": 0.5}) for _ in range(runs)]
    assert pool_tables(tables, tables[-1].items).scores[0] == value


def test_a_case_without_a_score_at_one_attempt_has_none() -> None:
    first, second = table({"a": None, "b": 1.0}, needed=frozenset({0})), table({"b": None, "a": 1.0})
    pooled = pool_tables([first, second], second.items)
    assert np.isnan(pooled.scores).all()
    assert pooled.errors == {0: "timeout", 1: "attempt 1: timeout"}
    assert pooled.needed == {1}


def test_an_attempt_that_stopped_early_lacks_cases_that_the_others_score() -> None:
    first, second = table({"a": 0.0}), table({"a": 1.0, "b": 1.0})
    pooled = pool_tables([first, second], second.items, partial=[True, False])
    assert pooled.scores.tolist() == [0.5, 1.0]
    assert not pooled.errors


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"a": 0.0}, {"a": 1.0, "b": 1.0}, "lacks 1 of the cases"),
        ({"a": 0.0, "x": 1.0}, {"a": 1.0}, "has 1 cases that this one has not"),
    ],
)
def test_other_cases_do_not_fit(first: dict[str, float | None], second: dict[str, float | None], told: str) -> None:
    tables = [table(first), table(second)]
    with pytest.raises(NotComparableError, match=told):
        pool_tables(tables, tables[-1].items)


def test_a_case_in_another_cluster_does_not_fit() -> None:
    tables = [table({"a": 0.0, "b": 0.0}, {"a": "x"}), table({"a": 1.0, "b": 0.0}, {"a": "y"})]
    with pytest.raises(NotComparableError, match="cluster"):
        pool_tables(tables, tables[-1].items)


def test_scores_by_id() -> None:
    items = table({"b": 0.0, "c": 0.0, "a": 0.0}).items
    assert scores_at(table({"a": 0.25, "b": 0.75}), items).tolist() == pytest.approx(
        [0.75, math.nan, 0.25], nan_ok=True
    )
