"""Metric decisions in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.gate.decision.details import chances_sentence
from llmgate.gate.decision.types import Verdict
from llmgate.report.panels.serving_metrics import serving_metric_row
from llmgate.report.pieces import State
from llmgate.report.rows import DrawnInterval, MetricRow
from llmgate.report.visible import one_line
from llmgate.report.words import factor, percent, plural, points, probability, signed_points, tell_apart

if TYPE_CHECKING:
    from llmgate.gate.decision.types import MetricDecision

__all__ = ["metric_row"]


def metric_row(metric: MetricDecision) -> MetricRow:
    """One metric with its evidence."""
    if metric.unit:
        return serving_metric_row(metric)
    compared = metric.reference == "champion"
    return MetricRow(
        suite=one_line(metric.suite, 120),
        metric=one_line(metric.metric, 120),
        role=metric.role.value,
        gates=metric.gates,
        outcome=metric.verdict.value,
        state=State.NOT_EVALUATED if _unevaluated(metric) else State[metric.verdict.name],
        champion=percent(metric.champion),
        candidate=factor(metric.delta) if metric.two_sided else percent(metric.candidate),
        difference=factor(metric.delta) if metric.two_sided else signed_points(metric.delta),
        bounds=_bounds(metric),
        level="" if metric.lower is None else f"{points(1 - metric.alpha)} % each side",
        limit=_limit(metric),
        counts=f"{metric.evaluated:,} of {plural(metric.expected, 'case')}",
        errors=metric.errors,
        changes=f"{metric.better:,} better, {metric.worse:,} worse" if compared and not metric.two_sided else "",
        p_worse=probability(metric.p_worse),
        chances=chances_sentence(metric),
        method=one_line(metric.method),
        reason=one_line(metric.reason, 600),
        notes=tuple(one_line(note, 600) for note in metric.notes),
        interval=_interval(metric),
        waived=metric.waived,
    )


def _unevaluated(metric: MetricDecision) -> bool:
    return metric.verdict is Verdict.INCONCLUSIVE and (metric.errors > 0 or metric.evaluated == 0)


def _bounds(metric: MetricDecision) -> str:
    if metric.lower is None or metric.upper is None:
        return "no interval"
    if metric.two_sided:
        return f"{factor(metric.lower)} to {factor(metric.upper)}"
    if metric.reference != "champion":
        digits = tell_apart(metric.lower, metric.min)
        digits = max(digits, tell_apart(metric.upper, metric.max))
        return f"{percent(metric.lower, digits).removesuffix(' %')} to {percent(metric.upper, digits)}"
    lower = signed_points(metric.lower, tell_apart(metric.lower, -metric.margin if metric.margin else None))
    upper = signed_points(metric.upper, tell_apart(metric.upper, 0.0))
    return f"{lower} to {upper}"


def _limit(metric: MetricDecision) -> str:
    if metric.two_sided and metric.margin is not None:
        return f"tolerance a factor of {1.0 + metric.margin:.6g}"
    if metric.reference == "champion":
        return "no tolerance" if metric.margin is None else f"tolerance {points(metric.margin)}"
    if metric.max is not None:
        return f"at most {percent(metric.max)}"
    return "no threshold" if metric.min is None else f"at least {percent(metric.min)}"


def _interval(metric: MetricDecision) -> DrawnInterval | None:
    compared = metric.reference == "champion"
    point = metric.delta if compared else metric.candidate
    if metric.lower is None or metric.upper is None or point is None or metric.two_sided:
        return None
    if not all(math.isfinite(value) for value in (metric.lower, metric.upper, point)):
        return None
    limit = (None if metric.margin is None else -metric.margin) if compared else metric.min
    if not compared and metric.max is not None:
        return None  # The plot shades what is acceptable from the limit upwards.
    return DrawnInterval(
        kind="difference" if compared else "rate",
        lower=metric.lower * 100,
        upper=metric.upper * 100,
        point=point * 100,
        limit=None if limit is None else limit * 100,
    )
