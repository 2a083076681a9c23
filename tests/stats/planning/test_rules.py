"""Planned rules against enumeration, other libraries and simulation, and turned round."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower, normal_sample_size_one_tail
from statsmodels.stats.proportion import proportion_confint

from llmgate.errors import UndefinedError
from llmgate.stats.paired import t_interval
from llmgate.stats.planning.detectable import (
    minimum_detectable_effect,
    minimum_detectable_rate,
    passing_rate,
    smallest_margin,
    smallest_number,
)
from llmgate.stats.planning.power import required_pairs, t_chances, tango_chances, tango_required_pairs
from llmgate.stats.planning.rules import RateRule, TangoRule, TRule, rate_chances
from llmgate.stats.proportion import clopper_pearson
from llmgate.stats.unseen import widen_for_unseen

# The t rule.


@pytest.mark.parametrize("pairs", [2, 6, 30, 1000])
@pytest.mark.parametrize("effect", [0.1, 0.5, 2.0])
def test_passing_is_what_statsmodels_calls_the_power_of_a_paired_t_test(pairs: int, effect: float) -> None:
    theirs = TTestPower().power(effect, pairs, 0.05, alternative="larger")
    rule = TRule(variance=0.04**2, pairs=pairs, df=pairs - 1, alpha=0.05, bounded=False)
    assert rule.chances(delta=0.0, margin=effect * 0.04).passed == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("pairs", [2, 6, 30, 1000])
@pytest.mark.parametrize("effect", [0.1, 0.5, 2.0])
def test_failing_is_the_same_on_the_other_side_where_no_margin_comes_before(pairs: int, effect: float) -> None:
    theirs = TTestPower().power(-effect, pairs, 0.025, alternative="smaller")
    rule = TRule(variance=0.04**2, pairs=pairs, df=pairs - 1, alpha=0.05, fail_alpha=0.025, bounded=False)
    assert rule.chances(delta=-effect * 0.04, margin=1e-9).failed == pytest.approx(theirs, abs=1e-7)


def decided(x: np.ndarray, margin: float, alpha: float) -> tuple[bool, bool]:
    """What the gate says, from its own intervals."""
    interval = widen_for_unseen(x, t_interval(x, alpha=alpha), alpha=alpha, floor=-1.0, ceiling=1.0)
    passed = interval.lower > -margin
    return passed, not passed and interval.upper < 0.0


@pytest.mark.parametrize(
    ("delta", "sd", "pairs", "margin"),
    [(-0.02, 0.05, 60, 0.06), (-0.05, 0.03, 60, 0.05), (-0.03, 0.2, 200, 0.06), (0.0, 0.02, 80, 0.05), (-0.1, 0.2, 60, 0.2)],
)  # fmt: skip
def test_both_chances_are_those_of_the_gates_own_intervals(delta: float, sd: float, pairs: int, margin: float) -> None:
    rng = np.random.default_rng(20261127)
    outcomes = [decided(np.clip(rng.normal(delta, sd, pairs), -1, 1), margin, 0.05) for _ in range(3_000)]
    passed, failed = np.mean(outcomes, axis=0)
    chances = t_chances(
        delta=delta, standard_error=sd / math.sqrt(pairs), df=pairs - 1, margin=margin, alpha=0.05, pairs=pairs
    )
    for simulated, chance in ((passed, chances.passed), (failed, chances.failed)):
        assert chance == pytest.approx(simulated, abs=4 * math.sqrt(0.25 / 3_000))
    assert 0 <= chances.inconclusive <= 1


def test_the_six_pairs_of_a_serving_comparison() -> None:
    # Six pairs of runs, 2 % noise of a log ratio, margin of 5 %: checked with scipy's noncentral t.
    rule = TRule(variance=0.02**2, pairs=6, df=5, alpha=0.05, bounded=False)
    shift = 0.05 / (0.02 / math.sqrt(6))
    assert rule.chances(delta=0.0, margin=0.05).passed == pytest.approx(stats.nct.sf(stats.t.ppf(0.95, 5), 5, shift))
    loss = minimum_detectable_effect(rule, margin=0.05)
    assert loss is not None
    assert rule.chances(delta=-loss, margin=0.05).failed >= 0.8 > rule.chances(delta=-loss + 1e-4, margin=0.05).failed


@pytest.mark.parametrize("delta", [0.0, -0.2])
def test_without_any_spread_only_what_stayed_unseen_counts(delta: float) -> None:
    chances = t_chances(delta=delta, standard_error=0.0, df=1, pairs=200, margin=0.03, alpha=0.05)
    assert (chances.passed, chances.failed) == ((1.0, 0.0) if delta == 0.0 else (0.0, 1.0))


# The rate rule.


RATES = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@given(st.integers(1, 60), RATES, st.sampled_from([0.5, 0.8, 0.95, 1.0]), st.sampled_from([0.05, 0.01]))
def test_a_rate_is_held_against_its_minimum_by_clopper_pearson(
    trials: int, rate: float, minimum: float, fail_alpha: float
) -> None:
    passed = failed = 0.0
    for x in range(trials + 1):
        weight = float(stats.binom.pmf(x, trials, rate))
        passed += weight * (clopper_pearson(x, trials, alpha=0.05).lower >= minimum)
        failed += weight * (clopper_pearson(x, trials, alpha=fail_alpha).upper < minimum)
    chances = rate_chances(rate=rate, trials=trials, minimum=minimum, alpha=0.05, fail_alpha=fail_alpha)
    assert (chances.passed, chances.failed) == pytest.approx((passed, failed), abs=1e-9)


def test_the_bounds_are_those_of_statsmodels() -> None:
    right = next(x for x in range(301) if proportion_confint(x, 300, alpha=0.1, method="beta")[0] >= 0.8)
    expected = stats.binom.sf(right - 1, 300, 0.85)
    assert rate_chances(rate=0.85, trials=300, minimum=0.8, alpha=0.05).passed == pytest.approx(expected, abs=1e-12)


def test_the_rates_between_which_a_minimum_decides_nothing() -> None:
    rule = RateRule(trials=300, minimum=0.8, alpha=0.05)
    good, bad = passing_rate(rule), minimum_detectable_rate(rule)
    assert good is not None
    assert bad is not None
    assert bad < 0.8 < good
    assert rule.chances(rate=good).passed >= 0.8 > rule.chances(rate=good - 1e-4).passed
    assert rule.chances(rate=bad).failed >= 0.8 > rule.chances(rate=bad + 1e-4).failed


def test_too_few_cases_show_no_rate() -> None:
    assert passing_rate(RateRule(trials=10, minimum=0.9, alpha=0.05)) is None
    assert minimum_detectable_rate(RateRule(trials=2, minimum=0.5, alpha=0.05)) is None
    assert passing_rate(RateRule(trials=1000, minimum=1.0, alpha=0.05)) is None


# Turned round.


@pytest.mark.parametrize(("discordance", "pairs"), [(0.05, 388), (0.1, 705), (0.2, 1381)])
def test_the_exact_sizes_for_three_points(discordance: float, pairs: int) -> None:
    def chance(n: int) -> float:
        return TangoRule(pairs=n, discordance=discordance, alpha=0.05).chances(delta=0.0, margin=0.03).passed

    assert tango_required_pairs(discordance=discordance, margin=0.03, alpha=0.05) == pairs
    found = smallest_number(chance)
    assert found is not None
    # The saw teeth leave a few sizes at which either search may end.
    assert found == pytest.approx(pairs, abs=12)
    assert chance(found) >= 0.8
    margin = smallest_margin(TangoRule(pairs=pairs, discordance=discordance, alpha=0.05))
    assert margin == pytest.approx(0.03, abs=2e-4)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_the_normal_approximation_is_that_of_statsmodels(power: float) -> None:
    theirs = normal_sample_size_one_tail(0.03, power, 0.05, std_null=math.sqrt(0.1))
    assert required_pairs(variance=0.1, margin=0.03, alpha=0.05, power=power) == math.ceil(theirs)


@settings(max_examples=20, deadline=None)
@given(st.integers(20, 400), st.floats(0.01, 0.6), st.sampled_from([0.02, 0.05, 0.2]))
def test_the_loss_that_is_found_is_found_so_often(pairs: int, discordance: float, margin: float) -> None:
    for rule in (
        TangoRule(pairs=pairs, discordance=discordance, alpha=0.05, fail_alpha=0.025),
        TRule(variance=discordance, pairs=pairs, df=pairs - 1, alpha=0.05, fail_alpha=0.025),
    ):
        loss = minimum_detectable_effect(rule, margin=margin)
        assert loss is not None
        assert rule.chances(delta=-loss, margin=margin).failed >= 0.8
        assert rule.chances(delta=-loss + 1e-4, margin=margin).failed < 0.8
        smallest = smallest_margin(rule)
        if smallest is not None:
            assert rule.chances(delta=0.0, margin=smallest).passed >= 0.8


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 300), st.floats(0, 0.6), st.floats(0.005, 0.4), st.floats(0.005, 0.4))
def test_a_wider_margin_never_passes_less(pairs: int, discordance: float, one: float, other: float) -> None:
    for rule in (
        TangoRule(pairs=pairs, discordance=discordance, alpha=0.05),
        TRule(variance=discordance, pairs=pairs, df=pairs - 1, alpha=0.05),
    ):
        narrow, wide = (rule.chances(delta=0.0, margin=margin).passed for margin in sorted((one, other)))
        assert narrow <= wide + 1e-12


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 300), st.floats(0, 0.6), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_larger_loss_never_fails_less_nor_passes_more(pairs: int, psi: float, one: float, other: float) -> None:
    for rule in (
        TangoRule(pairs=pairs, discordance=psi, alpha=0.05),
        TRule(variance=psi, pairs=pairs, df=pairs - 1, alpha=0.05),
    ):
        small, large = (rule.chances(delta=-loss, margin=0.1) for loss in sorted((one, other)))
        assert small.failed <= large.failed + 1e-9
        assert large.passed <= small.passed + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 500), st.integers(1, 500), st.floats(0, 0.6), st.floats(0.01, 0.3))
def test_more_cases_never_pass_less_where_scores_are_graded(
    few: int, more: int, variance: float, margin: float
) -> None:
    small, large = (
        TRule(variance=variance, pairs=n, df=n - 1, alpha=0.05).chances(delta=0.0, margin=margin).passed
        for n in (few, few + more)
    )
    assert small <= large + 1e-9


@settings(max_examples=15, deadline=None)
@given(st.integers(20, 300), st.floats(0.02, 0.6), st.floats(0.01, 0.2))
def test_twice_the_cases_never_pass_less_where_they_are_right_or_wrong(pairs: int, psi: float, margin: float) -> None:
    """Counts are whole numbers, so that single cases more may cost a little; see the next test."""
    small, large = (
        TangoRule(pairs=n, discordance=psi, alpha=0.05).chances(delta=0.0, margin=margin).passed
        for n in (pairs, 2 * pairs)
    )
    assert small <= large + 0.02


def test_a_case_more_may_cost_a_right_or_wrong_gate_a_little() -> None:
    chances = [
        tango_chances(delta=0.0, discordance=0.1, pairs=n, margin=0.03, alpha=0.05).passed for n in range(300, 420)
    ]
    falls = [a - b for a, b in pairwise(chances) if b < a]
    assert falls, "the sum is exact, so its saw teeth must show"
    assert max(falls) < 0.01
    assert chances[-1] > chances[0]


@pytest.mark.parametrize("power", [0.0, 1.0, math.nan])
def test_no_rule_has_such_a_power(power: float) -> None:
    rule = TangoRule(pairs=100, discordance=0.1, alpha=0.05)
    rate = RateRule(trials=100, minimum=0.8, alpha=0.05)
    for ask in (
        lambda: minimum_detectable_effect(rule, margin=0.03, power=power),
        lambda: smallest_margin(rule, power=power),
        lambda: passing_rate(rate, power=power),
        lambda: minimum_detectable_rate(rate, power=power),
        lambda: smallest_number(float, power=power),
    ):
        with pytest.raises(UndefinedError):
            ask()


def test_what_cannot_be_reached_is_none() -> None:
    assert smallest_number(lambda _: 0.5) is None
    assert smallest_margin(TRule(variance=1.0, pairs=2, df=1, alpha=0.05)) is None
    assert minimum_detectable_effect(TangoRule(pairs=2, discordance=0.1, alpha=0.05), margin=0.03) is None


@pytest.mark.parametrize(
    "wrong", [{"variance": -0.1}, {"variance": math.nan}, {"pairs": 0}, {"df": 0}, {"alpha": 0.0}, {"fail_alpha": 0.2}]
)
def test_impossible_t_rules_are_refused(wrong: dict[str, float]) -> None:
    arguments: dict[str, float] = {"variance": 0.1, "pairs": 100, "df": 99, "alpha": 0.05}
    with pytest.raises(UndefinedError):
        TRule(**{**arguments, **wrong}).chances(delta=0.0, margin=0.03)  # type: ignore[arg-type]


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, math.nan])
def test_impossible_margins_are_refused(margin: float) -> None:
    with pytest.raises(UndefinedError):
        TRule(variance=0.1, pairs=100, df=99, alpha=0.05).chances(delta=0.0, margin=margin)


@pytest.mark.parametrize(
    "wrong", [{"rate": 1.1}, {"rate": math.nan}, {"trials": 0}, {"minimum": 0.0}, {"alpha": 0.5}, {"fail_alpha": 0.1}]
)
def test_impossible_rates_are_refused(wrong: dict[str, float]) -> None:
    arguments: dict[str, float] = {"rate": 0.9, "trials": 100, "minimum": 0.8, "alpha": 0.05}
    with pytest.raises(UndefinedError):
        rate_chances(**{**arguments, **wrong})  # type: ignore[arg-type]
