"""A figure that a release must show, and how far chance may carry it above its limit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llmgate.gate.decision.wording import percent

__all__ = ["Requirement", "simulation_room"]

_ERRORS_OF_ROOM = 4.0
"""Standard errors of the simulation that a rate may lie above its limit: hundreds of rates are held against theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One figure that a release must show.

    Attributes:
        what: In words.
        where: The row that it is about.
        found: The figure.
        limit: It must not be larger.
        room: Simulation error that is allowed on top.
        runs: Data sets behind the figure.
    """

    what: str
    where: str
    found: float
    limit: float
    room: float
    runs: int

    @property
    def met(self) -> bool:
        """Whether the figure is proven to be no better than noise above its limit; NaN is not met."""
        return self.found <= self.limit + self.room

    def __str__(self) -> str:
        """One line."""
        verb = "is" if self.met else "is not"
        return (
            f"{self.what}: {percent(self.found, self.limit)} {verb} at most {percent(self.limit)}"
            f" (+ {percent(round(self.room, 4))} simulation error): {self.where}"
        )


def simulation_room(rate: float, runs: int) -> float:
    """How far a simulated rate may lie above its limit by chance.

    Args:
        rate: The limit.
        runs: Data sets.
    """
    return _ERRORS_OF_ROOM * math.sqrt(rate * (1.0 - rate) / runs)
