"""When a run looks at its own results, and where it stopped: types only."""

from __future__ import annotations

from dataclasses import dataclass

from llmgate.errors import PolicyError

__all__ = ["LookPlan", "Stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPlan:
    """At which points of a suite a run may stop; written down before the first request.

    Attributes:
        suite: Suite name.
        seed: Decides the order in which the cases are asked (see `record.order`).
        fractions: Shares of the cases at which looks were asked for, ascending, the last one 1.
        cases: How many cases each look sees, whole clusters at a time, ascending, the last one all. There may be fewer
            looks than fractions, where several fall on the same cluster.
        reserve: How many of the cases are only asked if the others do not decide; 0 for none. The look before the last
            one then sees all others.

    Raises:
        PolicyError: If it is no plan.
    """

    suite: str
    seed: int
    fractions: tuple[float, ...]
    cases: tuple[int, ...]
    reserve: int = 0

    def __post_init__(self) -> None:
        for what, steps, last in (
            ("looks", self.fractions, 1.0),
            ("cases", self.cases, self.cases[-1] if self.cases else 0),
        ):
            ascending = all(a < b for a, b in zip((0, *steps), steps, strict=False))
            if not steps or not ascending or steps[-1] != last:
                end = " and end at 1" if what == "looks" else ""
                raise PolicyError(
                    f"{what} at {list(steps)} are no plan of looks",
                    where=self.suite,
                    fix=f"They must ascend from above 0{end}",
                )

    @property
    def looks(self) -> int:
        """How many looks there are; the last one sees everything."""
        return len(self.cases)

    @property
    def planned(self) -> int:
        """All cases."""
        return self.cases[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why a part of a suite was never asked.

    Attributes:
        suite: Suite name.
        look: The look that ended it, counted from 1; never the last one, which ends nothing.
        reason: What had been decided, in words.
        discarded: Generations beyond the look that had been begun already, and count for nothing.
    """

    suite: str
    look: int
    reason: str
    discarded: int = 0
