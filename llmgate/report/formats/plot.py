"""Geometry of the plots: positions in percent of the drawing's width, so that a drawing fits any screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.report.axis import Axis, Tick
from llmgate.report.rows import INTERVAL_KINDS, DrawnInterval, IntervalKind, MetricRow, ServingRow, ServingTable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Bar", "BarPlot", "Forest", "Lane", "forests", "serving_plot"]

FARTHEST: Final = 300.0
"""Relative changes worse than four times the latency are drawn at the edge, so that the margin is still to be seen."""
CLIP = 1.0
"""Relative changes beyond ±100 % are drawn at the edge: one doubled latency must not flatten all other bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestWords:
    """What stands around a drawing of intervals.

    Attributes:
        label: What it is, for who cannot see it.
        caption: How to read it.
        zero: What zero means, empty where it means nothing.
        limit: What the limit is.
        ends: What lies to the left and to the right.
    """

    label: str
    caption: str
    zero: str = "no change"
    limit: str = "tolerance"
    ends: tuple[str, str] = ("← candidate worse", "candidate better →")


WORDS: Final[dict[IntervalKind, ForestWords]] = {
    "difference": ForestWords(
        label="Differences with their intervals",
        caption="Candidate minus champion, in points. A metric passes when its whole bar lies in the shaded zone, "
        "right of the tolerance.",
    ),
    "rate": ForestWords(
        label="Rates with their intervals",
        caption="Rate of the candidate, in percent. A metric passes when its whole bar lies in the shaded zone, above "
        "the threshold.",
        zero="",
        limit="threshold",
        ends=("", "percent"),
    ),
    "change": ForestWords(
        label="Relative changes of serving figures with their intervals",
        caption="Serving of the candidate against the champion, in percent; right is better, for latencies too. A "
        "figure passes when its whole bar lies in the shaded zone, right of the tolerance.",
    ),
    "reserve": ForestWords(
        label="Distances of serving figures from their limits, with their intervals",
        caption="How much better a serving figure is than its limit, in percent. It passes when its whole bar lies in "
        "the shaded zone, right of the limit.",
        zero="",
        limit="limit",
        ends=("← beyond the limit", "within the limit →"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One interval: positions in percent. `zero` is None where zero is not on the axis or means nothing."""

    row: MetricRow
    lower: float
    upper: float
    point: float
    limit: float | None
    zero: float | None

    @property
    def width(self) -> float:
        """Length of the interval."""
        return round(self.upper - self.lower, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """All intervals of one kind on one axis."""

    kind: IntervalKind
    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]

    @property
    def words(self) -> ForestWords:
        """What stands around it."""
        return WORDS[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One relative change: from `start`, `width` percent long, starting or ending at zero."""

    row: ServingRow
    start: float
    width: float
    better: bool
    clipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BarPlot:
    """Relative changes of the main serving figures on one axis."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    zero: float


def forests(rows: Sequence[MetricRow]) -> tuple[Forest, ...]:
    """One drawing per kind of interval; metrics without a finite interval are left to the table.

    Args:
        rows: In the order of the report.
    """
    drawn = [(row, row.interval) for row in rows if row.interval is not None]
    return tuple(
        _forest(kind, [(row, interval) for row, interval in drawn if interval.kind == kind])
        for kind in INTERVAL_KINDS
        if any(interval.kind == kind for _, interval in drawn)
    )


def _forest(kind: IntervalKind, drawn: Sequence[tuple[MetricRow, DrawnInterval]]) -> Forest:
    values = [v for _, i in drawn for v in (i.lower, i.upper, i.point, i.limit) if v is not None]
    compared = kind != "rate"
    low, high = min(values), max(values)
    if compared:
        low, high = min(low, 0.0), max(high, 0.0)
    if kind in {"change", "reserve"}:
        low = max(low, -FARTHEST)
    pad = max((high - low) * 0.12, 0.5)
    axis = (
        Axis(low=low - pad, high=high + pad) if compared else Axis(low=max(0.0, low - pad), high=min(100.0, high + pad))
    )
    lanes = tuple(
        Lane(
            row=row,
            lower=axis.at(interval.lower),
            upper=axis.at(interval.upper),
            point=axis.at(interval.point),
            limit=None if interval.limit is None else axis.at(interval.limit),
            zero=axis.at(0.0) if compared else None,
        )
        for row, interval in drawn
    )
    return Forest(kind=kind, lanes=lanes, ticks=axis.ticks(signed=compared))


def serving_plot(table: ServingTable) -> BarPlot | None:
    """Relative changes of the main figures, the better direction to the right; None if nothing can be compared."""
    rows = [(row, row.gain) for row in table.rows if row.main and row.gain is not None]
    if not rows:
        return None
    shown = [max(-CLIP, min(CLIP, gain)) for _, gain in rows]
    low, high = min(*shown, -0.05) * 100, max(*shown, 0.05) * 100
    pad = (high - low) * 0.08
    axis = Axis(low=low - pad, high=high + pad)
    zero = axis.at(0.0)
    bars = tuple(_bar(row, gain, axis, zero) for row, gain in rows)
    return BarPlot(bars=bars, ticks=axis.ticks(signed=True), zero=zero)


def _bar(row: ServingRow, gain: float, axis: Axis, zero: float) -> Bar:
    end = axis.at(max(-CLIP, min(CLIP, gain)) * 100)
    return Bar(
        row=row,
        start=min(zero, end),
        width=round(abs(end - zero), 2),
        better=gain >= 0,
        clipped=abs(gain) > CLIP,
    )
