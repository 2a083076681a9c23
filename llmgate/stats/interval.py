"""An estimate with one-sided bounds: what every method of this room returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from llmgate.errors import UndefinedError

__all__ = ["Interval", "check_alpha"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and its one-sided (1−α) bounds; together they are a two-sided (1−2α) interval.

    Attributes:
        estimate: Fraction, not a percentage.
        lower: The true value lies below it with probability α at most (as far as `method` keeps its word).
        upper: The same above.
        alpha: Error rate per side.
        method: In words, for the report.
        p_negative: One-sided p-value against "the true value is 0 or more"; small means worse than nothing changed.
            None where 0 is no hypothesis of interest, as for a single rate.
        standard_error: Of the estimate, None for methods that have no use for one.
        df: Degrees of freedom that belong to the standard error.

    Raises:
        UndefinedError: If a number is not finite or the estimate lies outside its bounds.
    """

    estimate: float
    lower: float
    upper: float
    alpha: float
    method: str
    p_negative: float | None = None
    standard_error: float | None = None
    df: int | None = None

    def __post_init__(self) -> None:
        numbers = (self.estimate, self.lower, self.upper, self.p_negative, self.standard_error)
        if not all(math.isfinite(x) for x in numbers if x is not None):
            raise UndefinedError(f"{self.method} gave a number that is not finite")
        if not self.lower <= self.estimate <= self.upper:
            raise UndefinedError(f"{self.method} gave {self.estimate} outside its bounds {self.lower} and {self.upper}")

    def widened(self, *, lower: float, upper: float, p_negative: float | None) -> Interval:
        """The same estimate with bounds and p-value that are nowhere more certain than those given."""
        known = [p for p in (self.p_negative, p_negative) if p is not None]
        return replace(
            self, lower=min(self.lower, lower), upper=max(self.upper, upper), p_negative=max(known, default=None)
        )


def check_alpha(alpha: float) -> None:
    """Refuse an error rate that is none.

    Raises:
        UndefinedError: Unless 0 < alpha < 0.5; NaN is refused too.
    """
    if not 0.0 < alpha < 0.5:
        raise UndefinedError(f"alpha is {alpha}, but must lie between 0 and 0.5, both excluded")
