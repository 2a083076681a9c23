"""The axis of a drawing: positions in percent of its width, so that a drawing fits any screen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Axis", "LogAxis", "Tick", "fitting_axis", "ticks_of"]

STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
MOST_TICKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on the axis: position in percent, label in the axis's unit."""

    at: float
    label: str
    zero: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAxis:
    """A logarithmic scale from `low` to `high`, both above 0."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Position of a value in percent; what lies beyond the axis is drawn at its end."""
        if value <= self.low:
            return 0.0
        share = math.log(value / self.low) / math.log(self.high / self.low) * 100
        return round(min(100.0, share), 2)

    def ticks(self) -> tuple[Tick, ...]:
        """Marks at 1, 2 and 5 of each decade, at 1 alone where these would be too many."""
        for mantissas in ((1.0, 2.0, 5.0), (1.0,)):
            values = [
                mantissa * 10.0**exponent
                for exponent in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
                for mantissa in mantissas
                if self.low <= mantissa * 10.0**exponent <= self.high
            ]
            if len(values) <= MOST_TICKS:
                break
        return tuple(Tick(at=self.at(value), label=f"{value:,.6g}") for value in values)


def fitting_axis(values: Sequence[float], *, wide: float = 20.0) -> Axis | LogAxis:
    """An axis for quantities that are not negative: from 0, or logarithmic where they spread over a wide range.

    Args:
        values: Finite, at least one.
        wide: The largest may be as many times the smallest as this on a plain axis.
    """
    low, high = min(values), max(values)
    if low > 0 and high / low > wide:
        return LogAxis(low=low / 1.1, high=high * 1.1)
    return Axis(low=0.0, high=high * 1.05 or 1.0)


def ticks_of(axis: Axis | LogAxis) -> tuple[Tick, ...]:
    """Marks of an axis for quantities."""
    if isinstance(axis, LogAxis):
        return axis.ticks()
    step = _round_step((axis.high - axis.low) / 5)
    return tuple(
        Tick(at=axis.at(index * step), label=f"{index * step:,.6g}")
        for index in range(math.ceil(axis.low / step), math.floor(axis.high / step) + 1)
    )


def _round_step(least: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(mantissa * power for mantissa in (1.0, 2.0, 5.0, 10.0) if mantissa * power >= least * (1 - 1e-9))


def _tick_label(value: float, signed: bool) -> str:
    text = f"{abs(value):g}"
    if value < 0:
        return f"\u2212{text}"
    return f"+{text}" if signed and value > 0 else text
