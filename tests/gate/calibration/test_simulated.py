"""Simulated error rates against exact sums, and the published table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmgate.gate.calibration.results import Calibration, CalibrationRow, DecisionRule, Truth
from llmgate.gate.calibration.simulated import (
    DESIGNS,
    PUBLISHED,
    Counts,
    SimulatedDesign,
    mean_lower,
    simulate,
    truths,
    wald,
)
from llmgate.stats.planning.power import tango_chances

RUNS = 5_000
ROWS = {
    design: simulate(design, rng=np.random.default_rng(i), repetitions=RUNS, margin=0.03, alpha=0.05)
    for i, design in enumerate(DESIGNS)
}


def near(found: float, expected: float) -> bool:
    return abs(found - expected) <= 4 * math.sqrt(max(expected * (1 - expected), 1e-4) / RUNS)


def rule(rows: tuple[CalibrationRow, ...], name: DecisionRule) -> CalibrationRow:
    return next(row for row in rows if row.rule is name)


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_rates_are_the_exact_ones(design: SimulatedDesign) -> None:
    for cell in rule(ROWS[design], DecisionRule.GATE).cells:
        exact = tango_chances(
            delta=-cell.loss, discordance=design.discordance, pairs=design.pairs, margin=0.03, alpha=0.05
        )
        assert near(cell.pass_rate, exact.passed), cell
        assert near(cell.fail_rate, exact.failed), cell


def test_all_that_is_asked_is_shown() -> None:
    rows = tuple(row for rows in ROWS.values() for row in rows)
    found = Calibration(seed=0, repetitions=RUNS, quick=True, margin=0.03, alpha=0.05, rows=rows)
    assert found.met, [str(one) for one in found.unmet]
    # Three rates of every design, and the promise of the six in the table.
    assert len(found.requirements) == 3 * len(DESIGNS) + len(PUBLISHED)


def test_blocking_whatever_is_lower_blocks_almost_every_second_unchanged_model() -> None:
    rates = [rule(ROWS[design], DecisionRule.MEAN_LOWER).cells[0].fail_rate for design in PUBLISHED]
    assert min(rates) > 0.42
    assert max(rates) < 0.51


@pytest.mark.parametrize(("pairs", "size"), [(50, 0.134), (100, 0.100)])
def test_walds_interval_lets_lost_margins_through(pairs: int, size: float) -> None:
    """Figures of the documentation."""
    cell = rule(ROWS[SimulatedDesign(discordance=0.05, pairs=pairs)], DecisionRule.WALD).cell(Truth.MARGIN)
    assert cell is not None
    assert near(cell.pass_rate, size)


def test_nothing_is_promised_at_another_margin() -> None:
    rows = simulate(DESIGNS[-1], rng=np.random.default_rng(0), repetitions=10, margin=0.05, alpha=0.05)
    assert {cell.promised for row in rows for cell in row.cells} == {None}
    assert [cell.promised for cell in rule(ROWS[DESIGNS[-1]], DecisionRule.GATE).cells] == [0.68, None, None, None]


def test_a_loss_that_the_discordance_does_not_hold_is_not_drawn() -> None:
    (row, *_) = simulate(
        SimulatedDesign(discordance=0.02, pairs=20),
        rng=np.random.default_rng(0),
        repetitions=10,
        margin=0.03,
        alpha=0.05,
    )
    assert [cell.truth for cell in row.cells] == [Truth.UNCHANGED, Truth.TWO_POINTS]
    assert truths(0.04)[Truth.MARGIN] == 0.04


def test_rules_of_others_on_single_results() -> None:
    better, worse = np.array([0, 3, 5, 0]), np.array([0, 5, 3, 20])
    counts = Counts(better=better, worse=worse, pairs=100)
    assert mean_lower(counts).failed.tolist() == [False, True, False, True]
    # No change at all gives an interval of width 0 around 0, which passes whatever the margin.
    found = wald(counts, margin=0.01, alpha=0.05)
    assert found.passed.tolist() == [True, False, False, False]
    assert found.failed.tolist() == [False, False, False, True]
    # δ = 2/100, reach = 1.645·√(8 − 4/100)/100 = 0.0464
    assert wald(counts, margin=0.027, alpha=0.05).passed.tolist() == [True, False, True, False]
