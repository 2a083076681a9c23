"""Serving figures as people say them: quantities with units, relative changes with their direction."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.gate.decision.wording import amount
from llmgate.record.policy import Direction
from llmgate.report.words import MINUS, UNDEFINED, points, relative, signed_points, tell_apart

if TYPE_CHECKING:
    from llmgate.gate.decision.types import MetricDecision

__all__ = [
    "bracketed",
    "change",
    "change_bounds",
    "change_limit",
    "gain_of",
    "quantity",
    "quantity_bounds",
    "short_limit",
    "unit_limit",
]


def quantity(value: float | None, unit: str, limit: float | None = None) -> str:
    """A figure with its unit, `10.9 tok/s`; with more digits where it would look equal to a limit it differs from."""
    if value is None:
        return "–"
    return amount(value, unit, limit) if math.isfinite(value) else UNDEFINED


def quantity_bounds(lower: float, upper: float, unit: str, limit: float | None = None) -> str:
    """`471 to 489 ms`."""
    return f"{quantity(lower, '', limit)} to {quantity(upper, unit, limit)}"


def gain_of(candidate: float, champion: float, direction: Direction) -> float:
    """Relative change of the candidate against the champion, turned so that more than 0 is better.

    Args:
        candidate: Positive, in any unit.
        champion: Positive, in the same unit.
        direction: Which way is better.

    Returns:
        A fraction: −0.04 is 4 % less of what is to be high, or 4 % more of what is to be low.
    """
    ratio = candidate / champion - 1
    return -ratio if direction is Direction.LOWER else ratio


def change(gain: float | None, direction: Direction) -> str:
    """A relative change in words: `−9.8 %` of a throughput; `9.8 % slower` of a latency.

    Args:
        gain: As a fraction, more than 0 being better.
        direction: Which way the figure itself is better.
    """
    if gain is None or not math.isfinite(gain):
        return relative(gain)
    if direction is Direction.HIGHER:
        return relative(gain)
    size = points_of(abs(gain), 1)
    return f"{size} %" if size == "0.0" else f"{size} % {_word(gain)}"


def change_bounds(metric: MetricDecision) -> str:
    """Both bounds of a relative change: `−10.7 to −8.9 %`, `8.9 to 10.7 % slower`, `1.2 % slower to 0.4 % faster`."""
    if metric.lower is None or metric.upper is None:
        return "no interval"
    low, high = _digits(metric)
    if metric.direction is Direction.HIGHER:
        return f"{signed_points(metric.lower, low)} to {signed_points(metric.upper, high)} %"
    lower, upper = points_of(abs(metric.lower), low), points_of(abs(metric.upper), high)
    if metric.upper <= 0:
        return f"{upper} to {lower} % slower"
    if metric.lower >= 0:
        return f"{lower} to {upper} % faster"
    return f"{lower} % slower to {upper} % faster"


def bracketed(metric: MetricDecision) -> str:
    """The change with its bounds, short: `−9.8 % [−10.7, −8.9]`, `9.8 % slower [8.9, 10.7]`.

    The bounds of a latency count in the direction of the word: `0.4 % slower [−0.4, 1.2]`.
    """
    words = change(metric.delta, metric.direction)
    if metric.lower is None or metric.upper is None or metric.delta is None:
        return words
    low, high = _digits(metric)
    if metric.direction is Direction.HIGHER:
        return f"{words} [{signed_points(metric.lower, low)}, {signed_points(metric.upper, high)}]"
    if metric.delta > 0:
        return f"{words} [{points_of(metric.lower, low)}, {points_of(metric.upper, high)}]"
    return f"{words} [{points_of(-metric.upper, high)}, {points_of(-metric.lower, low)}]"


def change_limit(margin: float | None) -> str:
    """`tolerance 5 %`."""
    return "no tolerance" if margin is None else f"tolerance {points(margin)} %"


def unit_limit(metric: MetricDecision) -> str:
    """`at most 500 ms`; empty without a limit of its own."""
    if metric.max is not None:
        return f"at most {plain(metric.max)} {metric.unit}"
    return "" if metric.min is None else f"at least {plain(metric.min)} {metric.unit}"


def short_limit(metric: MetricDecision) -> str:
    """For a narrow table, in which the unit stands beside it: `−5 %`, `≤ 500`, or both."""
    parts = [] if metric.margin is None or metric.reference != "champion" else [f"{MINUS}{points(metric.margin)} %"]
    parts += [] if metric.min is None else [f"≥ {plain(metric.min)}"]
    parts += [] if metric.max is None else [f"≤ {plain(metric.max)}"]
    return ", ".join(parts) or "–"


def plain(limit: float) -> str:
    """A number as somebody wrote it."""
    return f"{limit:,.10g}"


def points_of(fraction: float, digits: int) -> str:
    """In percent without a plus."""
    return signed_points(fraction, digits).removeprefix("+")


def _word(gain: float) -> str:
    return "faster" if gain > 0 else "slower"


def _digits(metric: MetricDecision) -> tuple[int, int]:
    """Decimals of the lower bound and of the upper: neither looks equal to a limit that it differs from."""
    return (
        tell_apart(metric.lower, -metric.margin if metric.margin else None),
        tell_apart(metric.upper, 0.0),
    )
