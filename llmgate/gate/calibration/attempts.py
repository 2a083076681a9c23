"""Trying again, simulated: how often some attempt gives a wrong verdict, by the gate's rule and without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from llmgate.gate.calibration.attempt_models import AttemptDesign, Scores, draw_models
from llmgate.gate.calibration.attempt_verdicts import AttemptRule, try_again
from llmgate.gate.calibration.results import Requirement, simulation_room
from llmgate.gate.decision.wording import percent

__all__ = ["ATTEMPTS", "ATTEMPT_DESIGNS", "AttemptRates", "AttemptRow", "simulate_attempts"]

ATTEMPTS: Final = 10
CHUNK: Final = 250
"""Candidates that are tried at the same time, to bound the memory."""

ATTEMPT_DESIGNS: Final = (
    AttemptDesign(scores=Scores.BINARY, pairs=688, discordance=0.075),
    AttemptDesign(scores=Scores.BINARY, pairs=688, discordance=0.225),
    AttemptDesign(scores=Scores.BINARY, pairs=688, discordance=0.225, champion_again=True),
    AttemptDesign(scores=Scores.BINARY, pairs=60, discordance=0.225),
    AttemptDesign(scores=Scores.GRADED, pairs=300, discordance=0.0),
    AttemptDesign(scores=Scores.CLUSTERED, pairs=680, discordance=0.1),
    AttemptDesign(scores=Scores.TWO, pairs=688, discordance=0.225),
    AttemptDesign(scores=Scores.BINARY, pairs=1000, discordance=0.1, looks=True),
)


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
    def name(self) -> str:
        """Names the row in messages."""
        again = ", the champion run again too" if self.design.champion_again else ""
        spread = f", {percent(self.design.discordance)} discordance" if self.design.discordance else ""
        return f"attempts, {self.design.scores}, {self.design.pairs:,} pairs{spread}{again}"

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


def simulate_attempts(
    design: AttemptDesign, *, rng: np.random.Generator, repetitions: int, rule: AttemptRule
) -> AttemptRow:
    """Try each candidate so many times, whatever the verdicts.

    Args:
        design: What is tried.
        rng: Source of the draws.
        repetitions: Candidates per truth.
        rule: The margin, alpha over all attempts, the reserve, and how many attempts.
    """
    shape = (2, rule.attempts)
    lost_passes, fails, passes = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    correlations = []
    for loss in (rule.margin, 0.0):
        for start in range(0, repetitions, CHUNK):
            size = min(CHUNK, repetitions - start)
            # A margin is lost on the first metric: a PASS needs all of them.
            metrics = [
                try_again(draw_models(design, loss if i == 0 else 0.0, rng, size), design, rng, rule)
                for i in range(design.metrics)
            ]
            passed = np.logical_and.reduce([metric.passed for metric in metrics])
            ever = np.logical_or.accumulate(passed, axis=1).sum(axis=2)
            if loss:
                lost_passes += ever
                correlations.append(metrics[0].correlation)
            else:
                passes += ever
                failed = np.logical_or.reduce([metric.failed for metric in metrics])
                fails += np.logical_or.accumulate(failed, axis=1).sum(axis=2)
    ledger, alone = (
        AttemptRates(
            lost_passes=tuple((lost_passes[i] / repetitions).tolist()),
            unchanged_fails=tuple((fails[i] / repetitions).tolist()),
            unchanged_passes=tuple((passes[i] / repetitions).tolist()),
        )
        for i in range(2)
    )
    return AttemptRow(
        design=design,
        margin=rule.margin,
        alpha=rule.alpha,
        reserve=rule.reserve,
        runs=repetitions,
        correlation=float(np.mean(np.concatenate(correlations))),
        ledger=ledger,
        alone=alone,
    )
