"""What an unchanged model meets after a promotion: drawn, and held against what is known of each baseline."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from llmgate.gate.calibration.baselines import BASELINE_DESIGNS, BaselineDesign, BaselineKind, simulate_baselines
from llmgate.report.calibration.baselines import baseline_sheets


def test_each_kind_errs_as_is_known_of_it() -> None:
    rows = simulate_baselines(
        BaselineDesign(pairs=688, discordance=0.225),
        rng=np.random.default_rng(3),
        repetitions=4_000,
        margin=0.03,
        alpha=0.05,
    )
    assert [row.kind for row in rows] == list(BaselineKind)
    by_kind = {row.kind: row for row in rows}
    fresh, stored, selected, best = (by_kind[kind] for kind in BaselineKind)
    assert fresh.fail_rate <= 0.055 + 0.01
    assert 0.07 < selected.fail_rate < 0.105
    assert 0.15 < best.fail_rate < 0.19
    assert stored.unlucky == pytest.approx(0.15, abs=0.06)
    for row in rows:
        assert row.requirements, "no row is there of which nothing is asked"
        for asked in row.requirements:
            assert asked.met, str(asked)
        assert json.loads(json.dumps(row.to_json()))["baseline"] == row.kind
    (sheet,) = baseline_sheets(rows)
    assert len(sheet.rows) == 4
    assert sheet.rows[2][3] == f"{100 * selected.fail_rate:.1f} ({100 * selected.known_fail:.1f})"
    assert not baseline_sheets(())[0].rows


def test_a_fresh_baseline_that_errs_is_not_met() -> None:
    row = simulate_baselines(
        BASELINE_DESIGNS[0], rng=np.random.default_rng(1), repetitions=500, margin=0.03, alpha=0.05
    )[0]
    wrong = replace(row, failed=row.runs // 8, passed=0)
    assert [asked.met for asked in wrong.requirements] == [False, False, False]


def test_designs_bring_the_discordance_that_they_say() -> None:
    for design in BASELINE_DESIGNS:
        rates, discordance = design.changing
        assert discordance == pytest.approx(design.discordance, abs=0.002)
        assert len(rates) <= design.pairs
