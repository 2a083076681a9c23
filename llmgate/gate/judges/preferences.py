"""How often a judge preferred the candidate's answers to others, such as the champion's: wins, ties and losses. Pure.

A tie counts half, and so do two orders that contradict each other. Where that makes quarters, or cases belong together,
the win rate is a mean with a t interval; else wins and losses are counted, and the interval is a score interval.

It is shown beside the metric that the asserts feed. To hold a candidate to "as often as not, but for three points",
gate that metric with `aggregate: mean` and `min: 0.47`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.decision.judge_types import PreferenceDecision
from llmgate.record.schema import Outcome
from llmgate.stats.preference import mean_win_rate, win_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmgate.record.policy import MetricPolicy, Policy
    from llmgate.record.schema import PlannedCase, Record
    from llmgate.stats.interval import Interval

__all__ = ["preferences_of"]

PAIRED: Final = frozenset({"prefer", "select-best"})


def preferences_of(record: Record, policy: Policy) -> tuple[PreferenceDecision, ...]:
    """The win rates of every metric that `prefer` and `select-best` asserts feed, in the policy's order."""
    preferences = (_preference(record, metric) for metric in policy.metrics)
    return tuple(preference for preference in preferences if preference is not None)


def _preference(record: Record, metric: MetricPolicy) -> PreferenceDecision | None:
    asked = [
        (case, points)
        for case in record.cases
        if case.suite == metric.suite and (points := _points(record, case, metric.metric)) is not None
    ]
    if not asked:
        return None
    known = [(case, points) for case, points in asked if not math.isnan(points)]
    values = np.array([points for _, points in known])
    wins, losses = int(np.sum(values > 0.5)), int(np.sum(values < 0.5))
    ties = len(values) - wins - losses
    interval: Interval | None = None
    try:
        interval = _interval(values, [case for case, _ in known], metric.alpha)
        method = interval.method
    except UndefinedError as error:
        method = error.what
    return PreferenceDecision(
        suite=metric.suite,
        metric=metric.metric,
        wins=wins,
        ties=ties,
        losses=losses,
        lost=len(asked) - len(known),
        rate=None if interval is None else interval.estimate,
        lower=None if interval is None else interval.lower,
        upper=None if interval is None else interval.upper,
        alpha=metric.alpha,
        method=method,
    )


def _points(record: Record, case: PlannedCase, metric: str) -> float | None:
    """Of one case, the mean of its repeats; NaN where one is missing, None where nothing was compared."""
    scores: list[float | None] = []
    compared = False
    for key in case.keys:
        result = record.scored.get(key)
        checks = [c for c in result.checks if c.type in PAIRED and c.metric == metric] if result is not None else []
        compared = compared or bool(checks)
        scores += [None if c.outcome is Outcome.ERROR else c.score for c in checks] or [None]
    if not compared:
        return None
    whole = [score for score in scores if score is not None]
    return math.fsum(whole) / len(whole) if len(whole) == len(scores) else math.nan


def _interval(values: NDArray[np.float64], cases: list[PlannedCase], alpha: float) -> Interval:
    keys = [("case", case.case) if case.cluster is None else ("cluster", case.cluster) for case in cases]
    clustered = len(set(keys)) < len(keys)
    if not clustered and bool(np.all(np.isin(values, (0.0, 0.5, 1.0)))):
        wins, losses = int(np.sum(values == 1.0)), int(np.sum(values == 0.0))
        return win_rate(wins, len(values) - wins - losses, losses, alpha=alpha)
    return mean_win_rate(values, alpha=alpha, clusters=keys if clustered else None)
