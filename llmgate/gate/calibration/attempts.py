"""Trying again, simulated: how often some attempt gives a wrong verdict, by the gate's rule and without one."""

from __future__ import annotations

from typing import Final

import numpy as np

from llmgate.gate.calibration.attempt_models import AttemptDesign, Scores, draw_models
from llmgate.gate.calibration.attempt_rows import AttemptRates, AttemptRow
from llmgate.gate.calibration.attempt_verdicts import AttemptRule, try_again

__all__ = ["ATTEMPT_DESIGNS", "attempt_designs", "simulate_attempts"]

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
FAST: Final = (1, 4, 6)
"""Those that take about a second for 250 candidates."""


def attempt_designs(*, quick: bool) -> tuple[AttemptDesign, ...]:
    """The designs of a release, or those of them that need no resampling, which is what takes time."""
    return tuple(design for i, design in enumerate(ATTEMPT_DESIGNS) if not quick or i in FAST)


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
