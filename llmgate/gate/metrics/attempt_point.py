"""Where one metric stands among the attempts of its candidate: which bound holds, and what a p-value is worth there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.stats import special

if TYPE_CHECKING:
    from llmgate.stats.interval import Interval

__all__ = ["AttemptPoint", "too_coarse"]

_RESAMPLED: Final = "BCa bootstrap"
_FINEST_TAIL: Final = 0.002
"""Further out in the tail a bootstrap has too few resamples, 4 of 2,000 here; such a bound decides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPoint:
    """One metric at one attempt.

    Attributes:
        shares: What each attempt so far takes of alpha, this one last.
        information: t_1 = 1, t_2, …: how much all answers up to each attempt tell; empty where each attempt is put to
            the bound of its own share, whatever they have in common.
        correlation: r, see `stats.sequential.information`; None at the first attempt and without information.
        pooled: Whether the answers of all attempts count together.
        looked: Whether the first attempt could have stopped early.
    """

    shares: tuple[float, ...]
    information: tuple[float, ...] = ()
    correlation: float | None = None
    pooled: bool = True
    looked: bool = False

    @property
    def number(self) -> int:
        """Which attempt this is, counted from 1."""
        return len(self.shares)

    def first(self, alpha: float) -> float:
        """What the first attempt had to reach, on the scale of a standard normal."""
        return -special.ndtri(self.shares[0] * alpha)

    def bound(self, alpha: float) -> float:
        """What this one has to reach."""
        if self.number == 1 or not self.information:
            return -special.ndtri(self.shares[-1] * alpha)
        from llmgate.stats.sequential.spending import spending_bounds  # noqa: PLC0415 - brings scipy; most try once

        bounds = spending_bounds(self.information, [share * alpha for share in self.shares], looked=self.looked)
        return min(bounds[-1], -special.ndtri(self.shares[-1] * alpha))

    def level(self, alpha: float) -> float:
        """The one-sided α at which this attempt is to be tested on its own."""
        if self.number == 1 or not self.information:
            return self.shares[-1] * alpha
        return special.ndtr(-self.bound(alpha))

    def p(self, nominal: float) -> float:
        """A p-value that holds over all attempts, from that of a test that knows nothing of them."""
        if self.number == 1 or not self.information:
            return min(1.0, nominal / self.shares[-1])
        from llmgate.stats.sequential.spending import repeated_alpha  # noqa: PLC0415 - likewise

        return repeated_alpha(self.information, self.shares, p=nominal, looked=self.looked)


def too_coarse(interval: Interval) -> bool:
    """Whether a bound lies further out than resampling can see."""
    return interval.method == _RESAMPLED and interval.alpha < _FINEST_TAIL
