"""Decisions on serving figures in words: quantities with units, relative changes, pairs of runs in place of cases."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.gate.decision.details import chances_sentence
from llmgate.gate.decision.types import Verdict
from llmgate.gate.decision.wording import figure_name
from llmgate.report.pieces import State
from llmgate.report.rows import DrawnInterval, MetricRow
from llmgate.report.serving_words import (
    change,
    change_bounds,
    change_limit,
    gain_of,
    quantity,
    quantity_bounds,
    unit_limit,
)
from llmgate.report.visible import one_line
from llmgate.report.words import plural, points, probability

if TYPE_CHECKING:
    from llmgate.gate.decision.types import MetricDecision

__all__ = ["paired", "serving_metric_row"]


def serving_metric_row(metric: MetricDecision) -> MetricRow:
    """One serving figure with its evidence.

    Args:
        metric: A decision with a unit.
    """
    compared = metric.reference == "champion"
    limits = [change_limit(metric.margin)] if compared and metric.margin is not None else []
    limits += [unit_limit(metric)] if unit_limit(metric) else []
    unevaluated = metric.verdict is Verdict.INCONCLUSIVE and (metric.errors > 0 or metric.evaluated == 0)
    unit = one_line(metric.unit, 20)
    return MetricRow(
        suite=one_line(metric.suite, 120),
        metric=one_line(figure_name(metric.metric), 120),
        role=metric.role.value,
        gates=metric.gates,
        outcome=metric.verdict.value,
        state=State.NOT_EVALUATED if unevaluated else State[metric.verdict.name],
        champion=quantity(metric.champion, unit),
        candidate=quantity(metric.candidate, unit),
        difference=change(metric.delta, metric.direction) if compared else "–",
        bounds=_bounds(metric, unit),
        level="" if metric.lower is None else f"{points(1 - metric.alpha)} % each side",
        limit=one_line(", ".join(limits) or "not tested"),
        counts=f"{metric.evaluated:,} of {plural(metric.expected, 'pair' if paired(metric) else 'run')}",
        errors=metric.errors,
        changes=f"{metric.better:,} better, {metric.worse:,} worse" if metric.better or metric.worse else "",
        p_worse=probability(metric.p_worse),
        chances=chances_sentence(metric),
        method="not tested" if metric.method == "none" else one_line(metric.method),
        reason=one_line(metric.reason, 600),
        notes=tuple(one_line(note, 600) for note in metric.notes),
        interval=_interval(metric),
        waived=metric.waived,
    )


def paired(metric: MetricDecision) -> bool:
    """Whether its runs come in pairs: it was compared, or was to be and too few pairs count."""
    own = metric.min if metric.max is None else metric.max
    return metric.reference == "champion" or (
        metric.reference == "none" and (metric.champion is not None or own is None)
    )


def _bounds(metric: MetricDecision, unit: str) -> str:
    if metric.lower is None or metric.upper is None:
        return "no interval"
    if metric.reference == "champion":
        return change_bounds(metric)
    return quantity_bounds(metric.lower, metric.upper, unit, metric.max if metric.min is None else metric.min)


def _interval(metric: MetricDecision) -> DrawnInterval | None:
    """What to draw, in percent, more being better: the change against the champion, or what is left to the limit."""
    compared = metric.reference == "champion"
    values = (metric.lower, metric.upper, metric.delta if compared else metric.candidate)
    lower, upper, point = values
    if lower is None or upper is None or point is None or not all(map(math.isfinite, (lower, upper, point))):
        return None
    if compared:
        limit = None if metric.margin is None else -metric.margin * 100
        return DrawnInterval(kind="change", lower=lower * 100, upper=upper * 100, point=point * 100, limit=limit)
    own = metric.max if metric.min is None else metric.min
    if own is None or not own > 0:
        return None
    ends = sorted(gain_of(value, own, metric.direction) * 100 for value in (lower, upper))
    at = gain_of(point, own, metric.direction) * 100
    return DrawnInterval(kind="reserve", lower=ends[0], upper=ends[1], point=at, limit=0.0)
