"""Geometry of the plots: positions in percent of the drawing's width, so that a drawing fits any screen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.report.rows import Interval, MetricRow, ServingRow, ServingTable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Axis", "Bar", "BarPlot", "Forest", "Lane", "Tick", "forests", "serving_plot"]

STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0)
MOST_TICKS = 8
CLIP = 1.0
"""Relative changes beyond ±100 % are drawn at the edge: one doubled latency must not flatten all other bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on the axis: position in percent, label in the axis's unit."""

    at: float
    label: str
    zero: bool = False


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

    kind: str
    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A scale from `low` to `high` over the drawing's width."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Position of a value in percent; what lies beyond the axis is drawn at its end."""
        share = (value - self.low) / (self.high - self.low) * 100
        return round(min(100.0, max(0.0, share)), 2)

    def ticks(self, *, signed: bool) -> tuple[Tick, ...]:
        """Marks at round values; signed ones for differences."""
        step = next((s for s in STEPS if (self.high - self.low) / s <= MOST_TICKS), STEPS[-1])
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return tuple(
            Tick(at=self.at(index * step), label=_tick_label(index * step, signed), zero=signed and index == 0)
            for index in range(first, last + 1)
        )


def _tick_label(value: float, signed: bool) -> str:
    text = f"{abs(value):g}"
    if value < 0:
        return f"\u2212{text}"
    return f"+{text}" if signed and value > 0 else text


def forests(rows: Sequence[MetricRow]) -> tuple[Forest, ...]:
    """One drawing per kind of interval; metrics without a finite interval are left to the table.

    Args:
        rows: In the order of the report.
    """
    drawn = [(row, row.interval) for row in rows if row.interval is not None]
    return tuple(
        _forest(kind, [(row, interval) for row, interval in drawn if interval.kind == kind])
        for kind in ("difference", "rate")
        if any(interval.kind == kind for _, interval in drawn)
    )


def _forest(kind: str, drawn: Sequence[tuple[MetricRow, Interval]]) -> Forest:
    values = [v for _, i in drawn for v in (i.lower, i.upper, i.point, i.limit) if v is not None]
    compared = kind == "difference"
    low, high = min(values), max(values)
    if compared:
        low, high = min(low, 0.0), max(high, 0.0)
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
