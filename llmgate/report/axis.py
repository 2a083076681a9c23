"""The axis of a drawing: positions in percent of its width, so that a drawing fits any screen."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Axis", "Tick"]

STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0)
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


def _tick_label(value: float, signed: bool) -> str:
    text = f"{abs(value):g}"
    if value < 0:
        return f"\u2212{text}"
    return f"+{text}" if signed and value > 0 else text
