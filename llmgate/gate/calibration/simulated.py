"""Simulated right-or-wrong results, where the truth is known because it was drawn.

Of n pairs, b are better and c worse: multinomial with p_b = (ψ + δ)/2 and p_c = (ψ − δ)/2, ψ the discordance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from llmgate.gate.calibration.results import (
    FIVE_POINTS,
    SIMULATED,
    TWO_POINTS,
    CalibrationRow,
    Cell,
    DecisionRule,
    Truth,
)
from llmgate.gate.calibration.vectorised import Verdicts, decide_counts, decide_looks, look_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "DESIGNS",
    "PUBLISHED",
    "Counts",
    "SimulatedDesign",
    "mean_lower",
    "simulate",
    "simulate_looks",
    "truths",
    "wald",
]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SimulatedDesign:
    """A size of suite, and how much two models differ on it.

    Attributes:
        discordance: Share of pairs in which only one of the two is right.
        pairs: n.
    """

    discordance: float
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counts:
    """Many results of one size: pairs that only the candidate, or only the champion, got right; shape (R,) each."""

    better: NDArray[np.int64]
    worse: NDArray[np.int64]
    pairs: int


PUBLISHED: Final[Mapping[SimulatedDesign, float]] = MappingProxyType(
    {
        SimulatedDesign(discordance=0.1, pairs=100): 0.21,
        SimulatedDesign(discordance=0.1, pairs=300): 0.49,
        SimulatedDesign(discordance=0.1, pairs=1000): 0.91,
        SimulatedDesign(discordance=0.2, pairs=100): 0.16,
        SimulatedDesign(discordance=0.2, pairs=300): 0.32,
        SimulatedDesign(discordance=0.2, pairs=1000): 0.68,
    }
)
"""P(PASS) of an unchanged model at a margin of 3 points and alpha 5 %, as the documentation promises it."""

DESIGNS: Final[tuple[SimulatedDesign, ...]] = (
    SimulatedDesign(discordance=0.05, pairs=50),
    SimulatedDesign(discordance=0.05, pairs=100),
    *PUBLISHED,
)
"""Small suites with few changes besides: there Wald's interval errs most."""

_PROMISED_AT = (0.03, 0.05)


def truths(margin: float) -> dict[Truth, float]:
    """The losses that are tried, as fractions."""
    return {
        Truth.UNCHANGED: 0.0,
        Truth.TWO_POINTS: TWO_POINTS,
        Truth.MARGIN: margin,
        Truth.FIVE_POINTS: FIVE_POINTS,
    }


def simulate(
    design: SimulatedDesign, *, rng: np.random.Generator, repetitions: int, margin: float, alpha: float
) -> tuple[CalibrationRow, ...]:
    """The gate's rule, and two that others use, on the same draws.

    Args:
        design: What is drawn.
        rng: Source of the draws.
        repetitions: Data sets per truth.
        margin: Of the gate and of Wald's interval.
        alpha: One-sided error rate.
    """
    drawn = {
        truth: _draw(design, loss, rng, repetitions)
        for truth, loss in truths(margin).items()
        if loss <= design.discordance
    }
    rules: dict[DecisionRule, Callable[[Counts], Verdicts]] = {
        DecisionRule.GATE: lambda counts: decide_counts(
            counts.better, counts.worse, np.full(len(counts.better), counts.pairs), margin=margin, alpha=alpha
        ),
        DecisionRule.MEAN_LOWER: mean_lower,
        DecisionRule.WALD: lambda counts: wald(counts, margin=margin, alpha=alpha),
    }
    promised = PUBLISHED.get(design) if (margin, alpha) == _PROMISED_AT else None
    return tuple(
        _row(
            design,
            rule,
            margin,
            alpha,
            tuple(
                _cell(truth, truths(margin)[truth], decide(counts), promised if rule is DecisionRule.GATE else None)
                for truth, counts in drawn.items()
            ),
        )
        for rule, decide in rules.items()
    )


def simulate_looks(
    design: SimulatedDesign, *, rng: np.random.Generator, repetitions: int, margin: float, alpha: float
) -> tuple[CalibrationRow, ...]:
    """The gate that may stop early, at five looks.

    Args:
        design: What is drawn; all losses fit into its discordance.
        rng: Source of the draws.
        repetitions: Data sets per truth.
        margin: Of the gate.
        alpha: One-sided error rate over all looks.
    """
    sizes = look_sizes(design.pairs)
    steps = [SimulatedDesign(discordance=design.discordance, pairs=step) for step in np.diff([0, *sizes]).tolist()]
    cells = []
    for truth, loss in truths(margin).items():
        drawn = [_draw(step, loss, rng, repetitions) for step in steps]
        better, worse = (
            np.cumsum(np.column_stack(side), axis=1)
            for side in ([counts.better for counts in drawn], [counts.worse for counts in drawn])
        )
        stops = decide_looks(better, worse, sizes, margin=margin, alpha=alpha)
        cells.append(replace(_cell(truth, loss, stops.verdicts, None), used=float(np.mean(stops.used))))
    return (_row(design, DecisionRule.LOOKS, margin, alpha, tuple(cells)),)


def mean_lower(counts: Counts) -> Verdicts:
    """Block whatever has the lower mean, pass the rest: what is done without statistics."""
    lower = counts.better < counts.worse
    return Verdicts(passed=~lower, failed=lower)


def wald(counts: Counts, *, margin: float, alpha: float) -> Verdicts:
    """The gate's rule with Wald's interval: δ ± z·√(b + c − (b − c)²/n) / n.

    Args:
        counts: The results.
        margin: Non-inferiority margin.
        alpha: One-sided error rate.

    Reference: Agresti (2013), Categorical Data Analysis, section 11.1. Its width is 0 where nothing differs.
    """
    b, c, n = counts.better, counts.worse, counts.pairs
    estimate = (b - c) / n
    reach = float(special.ndtri(1.0 - alpha)) * np.sqrt(b + c - (b - c) ** 2 / n) / n
    passed = estimate - reach > -margin
    return Verdicts(passed=passed, failed=~passed & (estimate + reach < 0.0))


def _draw(design: SimulatedDesign, loss: float, rng: np.random.Generator, repetitions: int) -> Counts:
    better, worse = (design.discordance - loss) / 2.0, (design.discordance + loss) / 2.0
    drawn = rng.multinomial(design.pairs, [better, worse, 1.0 - math.fsum((better, worse))], size=repetitions)
    return Counts(better=drawn[:, 0], worse=drawn[:, 1], pairs=design.pairs)


def _cell(truth: Truth, loss: float, verdicts: Verdicts, promised: float | None) -> Cell:
    return Cell(
        truth=truth,
        loss=loss,
        runs=len(verdicts.passed),
        passed=int(verdicts.passed.sum()),
        failed=int(verdicts.failed.sum()),
        promised=promised if truth is Truth.UNCHANGED else None,
    )


def _row(
    design: SimulatedDesign, rule: DecisionRule, margin: float, alpha: float, cells: tuple[Cell, ...]
) -> CalibrationRow:
    return CalibrationRow(
        rule=rule,
        source=SIMULATED,
        scores="right or wrong",
        pairs=design.pairs,
        discordance=design.discordance,
        margin=margin,
        alpha=alpha,
        cells=cells,
    )
