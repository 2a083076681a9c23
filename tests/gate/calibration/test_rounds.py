"""Simulated rounds: what is asked of them, and what the rules that are refused do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.results import Calibration
from llmgate.gate.calibration.rounds import RoundDesign, RoundRow, RoundRule, simulate_rounds

DESIGNS = (
    RoundDesign(candidates=5, bad=5),
    RoundDesign(candidates=12, bad=12, pairs=300, discordance=0.225),
    RoundDesign(candidates=5, bad=3),
)
ROWS = tuple(simulate_rounds(DESIGNS, rng=np.random.default_rng(20261129), repetitions=2_000, margin=0.03, alpha=0.05))


def row(rule: RoundRule, design: RoundDesign) -> RoundRow:
    return next(one for one in ROWS if (one.rule, one.design, one.pairs) == (rule, design.name, design.pairs))


def test_a_bad_candidate_passes_in_five_of_a_hundred_rounds_at_most() -> None:
    found = Calibration(seed=0, repetitions=2_000, quick=True, margin=0.03, alpha=0.05, rows=(), further=ROWS)
    assert found.met, [str(one) for one in found.unmet]
    assert len(found.requirements) == 2 * len(DESIGNS)
    assert row(RoundRule.TOGETHER, DESIGNS[0]).bad_passes == pytest.approx(0.048, abs=0.02)


def test_alone_or_on_the_same_cases_they_pass_far_too_often() -> None:
    assert row(RoundRule.ALONE, DESIGNS[0]).bad_passes > 0.15
    assert row(RoundRule.ALONE, DESIGNS[1]).bad_passes > 0.25
    assert row(RoundRule.SAME_CASES, DESIGNS[0]).bad_passes > 0.12
    assert not row(RoundRule.ALONE, DESIGNS[0]).requirements


def test_good_ones_among_bad_ones_still_pass() -> None:
    together, alone = (row(rule, DESIGNS[2]) for rule in (RoundRule.TOGETHER, RoundRule.ALONE))
    assert together.good_passes is not None
    assert alone.good_passes is not None
    assert alone.good_passes > together.good_passes > 0.6
    assert row(RoundRule.TOGETHER, DESIGNS[0]).good_passes is None


def test_what_is_not_met_is_said() -> None:
    spoilt = replace(row(RoundRule.TOGETHER, DESIGNS[0]), bad_passes=0.17)
    (asked,) = spoilt.requirements
    assert not asked.met
    assert "5 candidates, all of them worse by the margin" in str(asked)
    assert spoilt.to_json()["rule"] == "together, stepped down"


def test_a_round_without_a_bad_candidate_shows_nothing() -> None:
    with pytest.raises(UndefinedError):
        RoundDesign(candidates=3, bad=0)
    with pytest.raises(UndefinedError):
        RoundDesign(candidates=3, bad=4)
