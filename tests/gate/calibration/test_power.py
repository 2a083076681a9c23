"""What power promises, against the gate on planted losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.power import POWER_DESIGNS, PowerDesign, PowerRow, power_of_pairs, simulate_power
from llmgate.gate.calibration.resampled import SystemPair
from llmgate.gate.calibration.results import Calibration


def simulated(*designs: PowerDesign, runs: int = 1_000) -> list[PowerRow]:
    rng = np.random.default_rng(20261129)
    return list(simulate_power(designs, rng=rng, repetitions=runs, margin=0.03, alpha=0.05))


def test_power_is_within_three_points_of_what_happens() -> None:
    designs = [design for design in POWER_DESIGNS if design.pairs in {50, 100, 688}]
    rows = simulated(*designs)
    found = Calibration(seed=0, repetitions=1_000, quick=True, margin=0.03, alpha=0.05, rows=(), further=tuple(rows))
    assert found.met, [str(one) for one in found.unmet]
    assert len(found.requirements) == 2 * len(designs)
    for row in rows:
        assert row.promised_fail == pytest.approx(0.8, abs=0.01)
        assert row.to_json()["pairs"] == row.pairs


def test_a_promise_that_is_not_kept_is_said() -> None:
    (row,) = simulated(PowerDesign(pairs=100), runs=2_000)
    # What power said before it counted the discordance that a loss adds.
    spoilt = replace(row, found_fail=0.46)
    assert [one.met for one in spoilt.requirements] == [True, False]
    more = replace(row, found_fail=1.0, found_pass=1.0)
    assert not any(one.met for one in more.requirements)
    assert all(one.met for one in replace(more, at_least=True).requirements)


def test_clusters_get_at_least_what_is_promised() -> None:
    (row,) = simulated(PowerDesign(pairs=400, clusters=40), runs=400)
    assert row.at_least
    assert all(one.met for one in row.requirements)
    assert row.design == "right or wrong, 40 clusters of 10"


def test_real_pairs_of_systems() -> None:
    rng = np.random.default_rng(5)
    kind = rng.choice(4, 1_200, p=[0.65, 0.1, 0.1, 0.15])
    pair = SystemPair(
        name="a, b", first=np.isin(kind, [0, 1]).astype(np.float64), second=np.isin(kind, [0, 2]).astype(np.float64)
    )
    graded = replace(pair, name="graded", first=pair.first / 2)
    row = power_of_pairs([pair, graded], source="data", size=300, rng=rng, repetitions=1_000, margin=0.03, alpha=0.05)
    assert row is not None
    assert row.name == "power, data, right or wrong, 300 pairs, 19 % discordance"
    assert all(one.met for one in row.requirements)
    options = {"source": "data", "rng": rng, "repetitions": 10, "margin": 0.03, "alpha": 0.05}
    assert power_of_pairs([graded], size=300, **options) is None  # type: ignore[arg-type]
    assert power_of_pairs([pair], size=2, **options) is None, "nothing is found by two cases"  # type: ignore[arg-type]


def test_a_design_that_finds_nothing_is_refused() -> None:
    with pytest.raises(UndefinedError, match="no loss is found"):
        simulated(PowerDesign(pairs=4, level=0.2))
