"""Where one metric stands among the looks of its suite: which bound holds, and what a p-value is worth there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.stats.sequential.looks import Bounds

__all__ = ["LookPoint", "look_point"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPoint:
    """One metric at one look. The metric's own cases count, which may be fewer than the suite's.

    Attributes:
        fractions: Shares of the metric's cases that its looks see, ascending to 1; looks that show it nothing new are
            none of its looks.
        at: Which of them this is, counted from 0.
        planned: How many cases the metric has in all.
        looks: Which looks of the suite these are, counted from 1.
    """

    fractions: tuple[float, ...]
    at: int
    planned: int
    looks: tuple[int, ...] = ()

    @property
    def final(self) -> bool:
        """Whether nothing is left to be asked."""
        return self.at == len(self.fractions) - 1

    def bounds(self, alpha: float) -> Bounds:
        """O'Brien and Fleming's for this metric."""
        from llmgate.stats.sequential.looks import obrien_fleming  # noqa: PLC0415 - brings scipy, and few runs have looks

        return obrien_fleming(self.fractions, alpha=alpha)

    def tail(self, alpha: float) -> float:
        """The one-sided α at which this look is to be tested on its own."""
        return self.bounds(alpha).tails[self.at]

    def p(self, nominal: float) -> float:
        """A p-value that holds at whichever look the run ends, from that of a test that knows nothing of looks."""
        from scipy import special  # noqa: PLC0415 - heavy, and few runs have looks

        from llmgate.stats.sequential.looks import repeated_p  # noqa: PLC0415 - likewise

        return repeated_p(self.fractions, look=self.at, z=-float(special.ndtri(nominal)))


def look_point(seen: Sequence[int], *, look: int) -> LookPoint | None:
    """The point of a metric from the numbers of its cases that each look of the suite sees.

    Args:
        seen: Not falling; the last one is all cases of the metric.
        look: The look of the suite, counted from 1.

    Returns:
        None where the look sees no case of the metric.
    """
    different = sorted({count for count in seen if count})
    if not different or not seen[look - 1]:
        return None
    planned = different[-1]
    fractions = tuple(count / planned for count in different)
    return LookPoint(
        fractions=fractions,
        at=different.index(seen[look - 1]),
        planned=planned,
        looks=tuple(list(seen).index(count) + 1 for count in different),
    )
