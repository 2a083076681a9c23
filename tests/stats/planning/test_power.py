"""Operating figures against the published table, brute force, other libraries and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmgate.errors import UndefinedError
from llmgate.stats.planning.power import required_pairs, t_pass_chance, tango_chances, tango_required_pairs
from llmgate.stats.proportion import PairedCounts, tango

# Simulated with 20,000 repetitions (margin 3 points, alpha 5 %) when the rule was designed:
# discordance, n, then PASS % and FAIL % at a true difference of 0, −2 and −5 points.
DESIGN_TABLE = [
    (0.1, 100, (21, 8, 1), (5, 16, 50)),
    (0.1, 300, (49, 13, 0), (5, 29, 88)),
    (0.1, 1000, (91, 25, 0), (5, 64, 100)),
    (0.2, 100, (16, 7, 2), (5, 11, 29)),
    (0.2, 300, (32, 10, 1), (5, 19, 62)),
    (0.2, 1000, (68, 17, 0), (5, 41, 97)),
]


@pytest.mark.parametrize(("discordance", "pairs", "passed", "failed"), DESIGN_TABLE)
def test_the_design_table_is_met_within_its_simulation_error(
    discordance: float, pairs: int, passed: tuple[int, ...], failed: tuple[int, ...]
) -> None:
    for delta, want_pass, want_fail in zip((0.0, -0.02, -0.05), passed, failed, strict=True):
        chances = tango_chances(delta=delta, discordance=discordance, pairs=pairs, margin=0.03, alpha=0.05)
        # Half a point of rounding and three standard errors of 20,000 repetitions.
        assert 100 * chances.passed == pytest.approx(want_pass, abs=0.5 + 1.1)
        assert 100 * chances.failed == pytest.approx(want_fail, abs=0.5 + 1.1)


@pytest.mark.parametrize("discordance", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("pairs", [100, 300, 1000, 3000])
def test_a_lost_margin_passes_in_about_alpha_of_the_runs(discordance: float, pairs: int) -> None:
    chances = tango_chances(delta=-0.03, discordance=discordance, pairs=pairs, margin=0.03, alpha=0.05)
    assert chances.passed <= 0.055


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 25), st.floats(0, 1), st.floats(-1, 1), st.sampled_from([0.03, 0.2]))
def test_the_sum_is_the_brute_force_sum(pairs: int, discordance: float, tilt: float, margin: float) -> None:
    delta = tilt * discordance
    p_b, p_c = (discordance + delta) / 2, (discordance - delta) / 2
    passed = failed = 0.0
    for b in range(pairs + 1):
        for c in range(pairs - b + 1):
            weight = stats.multinomial.pmf([b, c, pairs - b - c], pairs, [p_b, p_c, 1 - p_b - p_c])
            interval = tango(PairedCounts(better=b, worse=c, pairs=pairs), alpha=0.05)
            passed += weight * (interval.lower > -margin)
            failed += weight * (interval.lower <= -margin and interval.upper < 0)
    chances = tango_chances(delta=delta, discordance=discordance, pairs=pairs, margin=margin, alpha=0.05)
    assert chances.passed == pytest.approx(passed, abs=1e-9)
    assert chances.failed == pytest.approx(failed, abs=1e-9)
    assert chances.inconclusive == pytest.approx(1 - passed - failed, abs=1e-9)


@pytest.mark.parametrize(
    ("margin", "designed"), [(0.02, (774, 1547, 3093)), (0.03, (344, 688, 1375)), (0.05, (124, 248, 495))]
)
def test_sample_sizes_are_those_of_the_design(margin: float, designed: tuple[int, ...]) -> None:
    for discordance, pairs in zip((0.05, 0.1, 0.2), designed, strict=True):
        # The design rounded its two quantiles to 1.645 and 0.842.
        assert pairs == math.ceil((1.645 + 0.842) ** 2 * discordance / margin**2)
        assert 0 <= pairs - required_pairs(variance=discordance, margin=margin, alpha=0.05) <= 2


@pytest.mark.parametrize("discordance", [0.05, 0.1, 0.2])
def test_the_exact_sample_size_reaches_its_power(discordance: float) -> None:
    pairs = tango_required_pairs(discordance=discordance, margin=0.03, alpha=0.05)
    at = tango_chances(delta=0, discordance=discordance, pairs=pairs, margin=0.03, alpha=0.05)
    before = tango_chances(delta=0, discordance=discordance, pairs=pairs - 1, margin=0.03, alpha=0.05)
    assert before.passed < 0.8 <= at.passed
    assert pairs >= required_pairs(variance=discordance, margin=0.03, alpha=0.05)


@pytest.mark.parametrize(("delta", "sd", "pairs"), [(0.0, 0.2, 100), (-0.03, 0.2, 200), (0.0, 0.35, 60)])
def test_the_t_rule_agrees_with_simulation(delta: float, sd: float, pairs: int) -> None:
    margin = 0.06
    rng = np.random.default_rng(20261123)
    x = rng.normal(delta, sd, size=(20_000, pairs))
    se = x.std(axis=1, ddof=1) / math.sqrt(pairs)
    simulated = float(np.mean(x.mean(axis=1) - stats.t.ppf(0.95, pairs - 1) * se > -margin))
    chance = t_pass_chance(
        delta=delta, standard_error=sd / math.sqrt(pairs), df=pairs - 1, pairs=pairs, margin=margin, alpha=0.05
    )
    assert chance == pytest.approx(simulated, abs=4 * math.sqrt(simulated * (1 - simulated) / 20_000))


def test_the_t_rule_is_scipys_noncentral_t_where_nothing_can_stay_unseen() -> None:
    chance = t_pass_chance(delta=0.0, standard_error=0.012, df=999, pairs=1000, margin=0.03, alpha=0.05)
    assert chance == pytest.approx(stats.nct.sf(stats.t.ppf(0.95, 999), 999, 0.03 / 0.012), abs=1e-9)


@pytest.mark.parametrize(("pairs", "passes"), [(98, 0.0), (99, 1.0)])
def test_without_spread_only_the_unseen_share_counts(pairs: int, passes: float) -> None:
    chance = t_pass_chance(delta=0.0, standard_error=0.0, df=1, pairs=pairs, margin=0.03, alpha=0.05)
    assert chance == passes


@pytest.mark.parametrize(("shift", "passes"), [(1.0, 1.0), (-1.0, 0.0)])
def test_a_hopelessly_clear_case_is_certain(shift: float, passes: float) -> None:
    assert t_pass_chance(delta=shift, standard_error=1e-6, df=500, pairs=501, margin=0.03, alpha=0.05) == passes


@pytest.mark.parametrize(
    "wrong",
    [
        {"pairs": 0},
        {"discordance": 1.1},
        {"discordance": math.nan},
        {"delta": 0.2},
        {"delta": math.nan},
        {"margin": 0.0},
        {"margin": 1.0},
        {"alpha": 0.0},
    ],
)
def test_impossible_gates_are_refused(wrong: dict[str, float]) -> None:
    arguments: dict[str, float] = {"delta": 0.0, "discordance": 0.1, "pairs": 100, "margin": 0.03, "alpha": 0.05}
    with pytest.raises(UndefinedError):
        tango_chances(**{**arguments, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"standard_error": -0.1}, {"standard_error": math.nan}, {"df": 0}, {"pairs": 0}])
def test_impossible_t_rules_are_refused(wrong: dict[str, float]) -> None:
    arguments: dict[str, float] = {
        "delta": 0.0, "standard_error": 0.01, "df": 9, "pairs": 10, "margin": 0.03, "alpha": 0.05,
    }  # fmt: skip
    with pytest.raises(UndefinedError):
        t_pass_chance(**{**arguments, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(("variance", "power"), [(0.0, 0.8), (math.nan, 0.8), (0.1, 0.0), (0.1, 1.0)])
def test_impossible_sample_sizes_are_refused(variance: float, power: float) -> None:
    with pytest.raises(UndefinedError):
        required_pairs(variance=variance, margin=0.03, alpha=0.05, power=power)
