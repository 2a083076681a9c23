"""What a decision says about a suite that could stop early: values only."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LookBounds", "LookDecision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookBounds:
    """What a gating metric's statistic has to reach at each of its looks.

    Attributes:
        metric: Metric name.
        alpha: One-sided error rate over all looks.
        fractions: Shares of its cases that the looks see.
        z: The bounds, on the scale of a standard normal.
        looks: Which looks of the suite these are, counted from 1.
    """

    metric: str
    alpha: float
    fractions: tuple[float, ...]
    z: tuple[float, ...]
    looks: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookDecision:
    """The look at which a suite was decided that could have stopped early.

    Attributes:
        suite: Suite name.
        look: Which one, counted from 1.
        seed: Decided the order of the cases.
        cases: How many cases each look sees; the last one all.
        reserve: How many of them were only to be asked if the others did not decide.
        saved: Generations that were never begun; 0 unless the stop is confirmed.
        stopped: Whether the run ended here.
        reason: What was decided at the look; empty if nothing was, so that a stop is not confirmed.
        bounds: Of every gating metric.
    """

    suite: str
    look: int
    seed: int
    cases: tuple[int, ...]
    reserve: int = 0
    saved: int = 0
    stopped: bool = False
    reason: str = ""
    bounds: tuple[LookBounds, ...] = ()

    @property
    def sentence(self) -> str:
        """`suite stopped at interim look 3 of 5: 430 of 1,000 cases asked, …`, or how it went on."""
        at = f"interim look {self.look} of {len(self.cases)}"
        asked = f"{self.cases[self.look - 1]:,} of {self.cases[-1]:,} cases asked"
        if self.stopped and not self.reason:
            return f"{self.suite} stopped at {at}, but its results do not decide there: {asked}."
        if self.stopped:
            return f"{self.suite} stopped at {at}: {asked}, {self.saved:,} generations saved."
        if self.reserve and len(self.cases) > 1:
            return f"{self.suite} was extended from {self.cases[-2]:,} to {self.cases[-1]:,} cases, as planned."
        return f"{self.suite} went on to look {self.look} of {len(self.cases)}: all {self.cases[-1]:,} cases asked."
