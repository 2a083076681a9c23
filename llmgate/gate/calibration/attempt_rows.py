"""What came of trying again, and what a release must show of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from llmgate.gate.calibration.attempt_models import AttemptDesign
from llmgate.gate.calibration.requirement import Requirement, simulation_room
from llmgate.gate.decision.wording import percent

__all__ = ["ATTEMPTS", "AttemptRates", "AttemptRow"]

ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRates:
    """Shares of candidates, by the number of attempts: the k-th is of k attempts.

    Attributes:
        lost_passes: Some attempt passed although the margin was lost.
        unchanged_fails: Some attempt failed although nothing had changed.
        unchanged_passes: Some attempt passed, nothing having changed.
    """

    lost_passes: tuple[float, ...]
    unchanged_fails: tuple[float, ...]
    unchanged_passes: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """What came of one design.

    Attributes:
        design: What was tried again.
        margin: The gate's margin.
        alpha: One-sided error rate over all attempts.
        reserve: Share of it that is kept for attempts after the first.
        runs: Candidates per truth.
        correlation: Mean r of the second attempt where the margin is lost.
        ledger: By the gate's rule.
        alone: Where each attempt is judged on its own at alpha, as if there had been no other.
    """

    design: AttemptDesign
    margin: float
    alpha: float
    reserve: float
    runs: int
    correlation: float
    ledger: AttemptRates
    alone: AttemptRates

    @property
    def label(self) -> str:
        """What is tried again, in words."""
        spread = f", {percent(self.design.discordance)} discordance" if self.design.discordance else ""
        again = ", the champion asked again too" if self.design.champion_again else ""
        looks = ", 5 looks at the first attempt" if self.design.looks else ""
        return f"{self.design.scores}{spread}{again}{looks}"

    @property
    def name(self) -> str:
        """Names the row in messages."""
        return f"attempts, {self.label}, {self.design.pairs:,} pairs"

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What a release must show of it."""
        room = simulation_room(self.alpha, self.runs)
        found = {
            f"a lost margin passes in one of {ATTEMPTS} attempts": self.ledger.lost_passes[-1],
            f"an unchanged model fails in one of {ATTEMPTS} attempts": self.ledger.unchanged_fails[-1],
        }
        return tuple(
            Requirement(what=what, where=self.name, found=rate, limit=self.alpha, room=room, runs=self.runs)
            for what, rate in found.items()
        )
