"""One metric over all attempts: whose scores count together, and how much they tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import NotComparableError
from llmgate.gate.attempts.pooling import pool_tables, scores_at
from llmgate.gate.decision.types import Problem
from llmgate.gate.evidence.pairing import cluster_codes
from llmgate.gate.metrics.attempt_point import AttemptPoint
from llmgate.record.policy import MetricPolicy
from llmgate.record.scores import ScoreTable
from llmgate.stats.sequential.information import information_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.attempts.earlier import PastAttempt
    from llmgate.gate.evidence.evidence import Evidence

__all__ = ["MetricPool", "metric_pool"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricPool:
    """The scores of one metric at every attempt.

    Attributes:
        policy: What is asked.
        candidates: The candidate's tables, one per run that differs, the latest last.
        counts: How many of them count at each attempt.
        champions: The same of the champion; empty without one.
        champion_counts: How many of those count at each attempt.
        stopped: Whether an attempt had stopped early, so that it lacks cases.
        looked: Whether the first could have.
        candidate: The pooled table.
        champion: The same of the champion, None without one.
    """

    policy: MetricPolicy
    candidates: tuple[ScoreTable, ...]
    counts: tuple[int, ...]
    champions: tuple[ScoreTable, ...]
    champion_counts: tuple[int, ...]
    stopped: bool
    looked: bool
    candidate: ScoreTable
    champion: ScoreTable | None

    @property
    def answers(self) -> int:
        """How many scores of the candidate count together."""
        return sum(int(np.sum(~np.isnan(table.scores))) for table in self.candidates)

    def point(self, shares: tuple[float, ...]) -> AttemptPoint:
        """Where the metric stands.

        Args:
            shares: What each attempt takes of alpha.
        """
        if self.stopped or len(self.counts) < len(shares):
            return AttemptPoint(shares=shares)
        known = [self._information(self.champions)] if self.champions else []
        if self.policy.floor is not None or not known:
            # The candidate's own rate is tested too. What asking again tells least beside is the safer of the two.
            known.append(self._information(()))
        correlation, information = min(known)
        return AttemptPoint(shares=shares, information=information, correlation=correlation, looked=self.looked)

    def _information(self, champions: tuple[ScoreTable, ...]) -> tuple[float, tuple[float, ...]]:
        items = self.candidate.items
        ours = np.stack([scores_at(table, items) for table in self.candidates])
        theirs = np.stack([scores_at(table, items) for table in champions]) if champions else None
        known = ~np.isnan(ours).any(axis=0)
        if theirs is not None:
            known &= ~np.isnan(theirs).any(axis=0)
        clusters = cluster_codes(items, np.arange(len(items), dtype=np.int64))
        return information_of(
            ours[:, known],
            self.counts,
            None if theirs is None else theirs[:, known],
            () if theirs is None else self.champion_counts,
            None if clusters is None else clusters[known],
        )


def metric_pool(
    metric: MetricPolicy, past: Sequence[PastAttempt], candidate: Evidence, champion: Evidence | None
) -> MetricPool | Problem | None:
    """Pool what can be pooled.

    Args:
        metric: What is asked.
        past: The attempts before this one, in order; lost ones are left out.
        candidate: This attempt's evidence.
        champion: The champion's, None without one.

    Returns:
        None where people's labels correct this attempt's scores, or it has none, so that it is judged alone; a problem
        where attempts do not fit together.
    """
    known = [attempt for attempt in past if attempt.candidate is not None]
    key = (metric.suite, metric.metric)
    sides = [(a.number, a.candidate, a.champion, metric.suite in a.stopped) for a in known]
    ours, theirs = _Runs(), _Runs()
    for number, side, other, stopped in (*sides, (0, candidate, champion, False)):
        table = None if side is None else side.table(*key)
        beside = None if other is None else other.table(*key)
        if not number and (table is None or (champion is not None and beside is None)):
            return None
        if table is None or (other is not None and beside is None):
            return _unfit(metric, f"attempt {number} has no scores on it")
        if (other is None) != (champion is None):
            return _unfit(metric, f"attempt {number} was {'not ' if champion else ''}compared with a champion")
        ours.add(table, stopped)
        if beside is not None:
            theirs.add(beside, False)
    last = candidate.table(*key)
    if last is None or last.human is not None or not len(last.items):
        return None
    try:
        return MetricPool(
            policy=metric,
            candidates=tuple(ours.tables),
            counts=tuple(ours.counts),
            champions=tuple(theirs.tables),
            champion_counts=tuple(theirs.counts),
            stopped=any(ours.stopped),
            looked=any(metric.suite in attempt.may_stop for attempt in known),
            candidate=pool_tables(ours.tables, last.items, partial=ours.stopped),
            champion=pool_tables(theirs.tables, theirs.tables[-1].items, side="champion") if theirs.tables else None,
        )
    except NotComparableError as error:
        return _unfit(metric, error.what)


class _Runs:
    """The runs of one side that differ, and how many of them count at each attempt."""

    def __init__(self) -> None:
        self.tables: list[ScoreTable] = []
        self.stopped: list[bool] = []
        self.counts: list[int] = []

    def add(self, table: ScoreTable, stopped: bool) -> None:
        """Count a run, unless it is one of those that are there: its mean is the same whether it counts twice."""
        if not any(_same_run(table, run) for run in self.tables):
            self.tables.append(table)
            self.stopped.append(stopped)
        self.counts.append(len(self.tables))


def _same_run(table: ScoreTable, other: ScoreTable) -> bool:
    """Whether both hold the same scores of the same cases."""
    return bool(
        np.array_equal(table.items.ids, other.items.ids) and np.array_equal(table.scores, other.scores, equal_nan=True)
    )


def _unfit(metric: MetricPolicy, what: str) -> Problem:
    return Problem(
        where=metric.where,
        what=f"earlier attempts cannot be counted together with this one: {what}",
        fix="Decide on new cases: a new version of the suite starts anew",
    )
