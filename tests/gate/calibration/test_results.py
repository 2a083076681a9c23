"""What is asked of a calibration, and that what is not shown counts as not shown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.results import SIMULATED, Calibration, CalibrationRow, Cell, DecisionRule, Truth

LOSSES = {Truth.UNCHANGED: 0.0, Truth.MARGIN: 0.03, Truth.FIVE_POINTS: 0.05}


def cell(
    truth: Truth, *, passed: int = 0, failed: int = 0, promised: float | None = None, used: float | None = None
) -> Cell:
    return Cell(
        truth=truth, loss=LOSSES[truth], runs=20_000, passed=passed, failed=failed, promised=promised, used=used
    )


def row(
    *cells: Cell, rule: DecisionRule = DecisionRule.GATE, pairs: int = 1000, source: str = SIMULATED
) -> CalibrationRow:
    return CalibrationRow(
        rule=rule,
        source=source,
        scores="right or wrong",
        pairs=pairs,
        discordance=0.1,
        margin=0.03,
        alpha=0.05,
        cells=cells,
    )


def of(*rows: CalibrationRow) -> Calibration:
    return Calibration(seed=1, repetitions=20_000, quick=False, margin=0.03, alpha=0.05, rows=rows)


def unmet(*rows: CalibrationRow) -> list[str]:
    return [one.what for one in of(*rows).unmet]


GOOD = (
    cell(Truth.UNCHANGED, passed=18_000, failed=1_000, promised=0.91),
    cell(Truth.MARGIN, passed=1_000, failed=18_000),
    cell(Truth.FIVE_POINTS, passed=400, failed=19_000),
)


def test_rates_at_their_limits_are_met() -> None:
    found = of(row(*GOOD))
    assert found.met
    assert [one.limit for one in found.requirements] == [0.05, 0.05, 0.02, 0.02]
    assert found.requirements[0].room == pytest.approx(4 * math.sqrt(0.05 * 0.95 / 20_000))


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (cell(Truth.UNCHANGED, failed=1_130), "an unchanged model fails"),
        (cell(Truth.MARGIN, passed=1_130), "a lost margin passes"),
        (cell(Truth.FIVE_POINTS, passed=490), "five lost points pass"),
        (cell(Truth.UNCHANGED, passed=17_000, promised=0.91), "PASS of an unchanged model lies off its promise"),
        (cell(Truth.UNCHANGED, passed=19_500, promised=0.91), "PASS of an unchanged model lies off its promise"),
    ],
)
def test_a_rate_beyond_its_limit_and_the_simulation_error_is_named(bad: Cell, named: str) -> None:
    assert unmet(row(*GOOD), row(bad)) == [named]


def test_what_early_stopping_must_save() -> None:
    fine = (cell(Truth.UNCHANGED, used=0.75), cell(Truth.FIVE_POINTS, used=0.50))
    assert unmet(row(*fine, rule=DecisionRule.LOOKS)) == []
    slow = (cell(Truth.UNCHANGED, used=0.751), cell(Truth.FIVE_POINTS, used=0.501))
    assert unmet(row(*slow, rule=DecisionRule.LOOKS)) == [
        "cases used by early stopping (unchanged)",
        "cases used by early stopping (five points)",
    ]
    assert unmet(row(*slow, rule=DecisionRule.LOOKS, pairs=300)) == []


def test_rules_of_others_are_shown_and_nothing_is_asked_of_them() -> None:
    bad = row(cell(Truth.UNCHANGED, failed=9_000), rule=DecisionRule.MEAN_LOWER)
    assert unmet(row(*GOOD), bad) == []
    assert not of(bad).met, "nothing was asked, so nothing is shown"
    assert not of().met


def test_five_points_are_not_asked_of_a_hundred_real_pairs() -> None:
    bad = cell(Truth.FIVE_POINTS, passed=600)
    assert unmet(row(bad, source="gsm8k", pairs=100)) == []
    assert unmet(row(bad, source="gsm8k", pairs=300)) == ["five lost points pass"]
    assert unmet(row(bad, pairs=100)) == ["five lost points pass"]


@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_more_errors_never_help(first: int, second: int) -> None:
    fewer, more = sorted((first, second))
    for truth in (Truth.MARGIN, Truth.FIVE_POINTS):
        assert len(unmet(row(cell(truth, passed=fewer)))) <= len(unmet(row(cell(truth, passed=more))))
    assert len(unmet(row(cell(Truth.UNCHANGED, failed=fewer)))) <= len(unmet(row(cell(Truth.UNCHANGED, failed=more))))


def test_a_figure_that_is_no_number_is_not_met() -> None:
    assert not of(row(cell(Truth.UNCHANGED, promised=math.nan))).met


def test_counts_that_do_not_fit_are_refused() -> None:
    for passed, failed in ((20_001, 0), (-1, 0), (15_000, 6_000)):
        with pytest.raises(UndefinedError, match="do not fit into 20000 runs"):
            cell(Truth.UNCHANGED, passed=passed, failed=failed)
    with pytest.raises(UndefinedError, match="do not fit"):
        Cell(truth=Truth.UNCHANGED, loss=0.0, runs=0, passed=0, failed=0)
