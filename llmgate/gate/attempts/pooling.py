"""Scores of several runs of one model at the same cases become one table: a case's score is its mean over the runs.

Answers are pooled and never replaced, so that a retry adds evidence and takes none away. A case that could not be
evaluated in one of the runs has no score in the pooled table either, as if a repeat of it were missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import NotComparableError
from llmgate.gate.evidence.pairing import check_clusters
from llmgate.record.scores import ScoreTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from llmgate.record.scores import Items

__all__ = ["pool_tables", "scores_at"]


def pool_tables(
    tables: Sequence[ScoreTable], items: Items, *, partial: Sequence[bool] = (), side: str = "candidate"
) -> ScoreTable:
    """One table of the mean scores.

    Args:
        tables: Of one metric, one per run, in the order of the attempts.
        items: Which items there are.
        partial: For each table whether it may lack items: its suite stopped early, and they were never asked. Of such
            items the others' scores count.
        side: Named where something does not fit.

    Raises:
        NotComparableError: If tables that must not lack items do, one has items of its own, or they put an item into
            different clusters.
    """
    last = tables[-1]
    if len(tables) == 1 and last.items is items:
        return last
    places = [
        _aligned(table, items, may_lack=lacks, where=f"{last.suite}::{last.metric}", side=f"{side}'s run {at}")
        for at, (table, lacks) in enumerate(zip(tables, partial or [False] * len(tables), strict=True), start=1)
    ]
    columns = np.stack([_gathered(table, place) for table, place in zip(tables, places, strict=True)])
    asked = np.stack(places) >= 0
    errors, needed = _errors(tables, places), set[int]()
    for table, place in zip(tables, places, strict=True):
        known = {int(index): i for i, index in enumerate(place) if index >= 0} if table.needed else {}
        needed |= {known[index] for index in table.needed if index in known}
    return ScoreTable(
        suite=last.suite,
        metric=last.metric,
        items=items,
        scores=_means(columns, asked),
        errors=errors,
        # Of a missing score nobody knows any more that it can be nothing but 0 or 1.
        right_or_wrong=False,
        needed=frozenset(index for index in needed if index in errors),
    )


def _aligned(table: ScoreTable, items: Items, *, may_lack: bool, where: str, side: str) -> NDArray[np.int64]:
    """Where each item is in a table, −1 where it was never asked, shape (n,).

    Raises:
        NotComparableError: As `pool_tables`.
    """
    if np.array_equal(table.items.ids, items.ids):
        place = np.arange(len(items), dtype=np.int64)
    else:
        at = {item_id: i for i, item_id in enumerate(table.items.ids.tolist())}
        place = np.array([at.pop(item_id, -1) for item_id in items.ids.tolist()], dtype=np.int64)
        lacking = int(np.sum(place < 0))
        if at or (lacking and not may_lack):
            what = f"lacks {lacking:,} of the cases" if lacking else f"has {len(at):,} cases that this one has not"
            raise NotComparableError(f"the {side} {what}", where=where, fix="Attempts at other cases start anew")
    check_clusters(items, table.items, (np.arange(len(items), dtype=np.int64), place), items.ids, where)
    return place


def scores_at(table: ScoreTable, items: Items) -> NDArray[np.float64]:
    """The scores of some items, NaN where the table has none, shape (n,)."""
    if np.array_equal(table.items.ids, items.ids):
        return table.scores
    known = dict(zip(table.items.ids.tolist(), table.scores.tolist(), strict=True))
    return np.array([known.get(item_id, np.nan) for item_id in items.ids.tolist()], dtype=np.float64)


def _gathered(table: ScoreTable, place: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores in the order of `place`, NaN where there is none."""
    if not len(table.items):
        return np.full(len(place), np.nan)
    return np.where(place >= 0, table.scores[place], np.nan)


def _means(columns: NDArray[np.float64], asked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of those that were asked; NaN where one of them has no score."""
    times = asked.sum(axis=0)
    sums = np.where(asked, columns, 0.0).sum(axis=0)
    means = np.divide(sums, times, out=np.full(len(times), np.nan), where=times > 0)
    # What is the same at every attempt stays the same to the last digit: a remainder would count as a change.
    highest = np.where(asked, columns, -np.inf).max(axis=0)
    lowest = np.where(asked, columns, np.inf).min(axis=0)
    return np.asarray(np.where(highest == lowest, lowest, np.clip(means, 0.0, 1.0)), dtype=np.float64)


def _errors(tables: Sequence[ScoreTable], places: Sequence[NDArray[np.int64]]) -> Mapping[int, str]:
    errors: dict[int, str] = {}
    for number, (table, place) in enumerate(zip(tables, places, strict=True), start=1):
        if table.errors:
            known = {int(index): i for i, index in enumerate(place) if index >= 0}
            for index, why in table.errors.items():
                if index in known:
                    errors.setdefault(known[index], why if number == len(tables) else f"attempt {number}: {why}")
    unasked = np.flatnonzero(np.all(np.stack(places) < 0, axis=0)).tolist()
    return errors | dict.fromkeys(unasked, "no attempt asked it")
