"""Planned looks against simulated runs of the gate, and at their limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.gate.calibration.vectorised import decide_looks, look_sizes
from llmgate.stats.planning.detectable import minimum_detectable_effect
from llmgate.stats.planning.looks import StagedRule
from llmgate.stats.planning.loss import discordance_at
from llmgate.stats.planning.rules import TangoRule, TRule

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.mark.parametrize("pairs", [200, 1000])
@pytest.mark.parametrize("delta", [0.0, -0.03, -0.06])
def test_five_looks_do_what_is_planned(pairs: int, delta: float) -> None:
    rng = np.random.default_rng(17)
    psi = discordance_at(delta, unchanged=0.1)
    sizes = look_sizes(pairs)
    steps = [
        rng.multinomial(step, [(psi + delta) / 2, (psi - delta) / 2, 1 - psi], size=10_000)
        for step in np.diff([0, *sizes])
    ]
    better, worse = (np.cumsum(np.column_stack([step[:, i] for step in steps]), axis=1) for i in (0, 1))
    stops = decide_looks(better, worse, sizes, margin=0.03, alpha=0.05)
    rule = StagedRule(rule=TangoRule(pairs=pairs, discordance=0.1, alpha=0.05), fractions=FIVE)
    chances = rule.chances(delta=delta, margin=0.03)
    assert chances.passed == pytest.approx(stops.verdicts.passed.mean(), abs=0.02)
    assert chances.failed == pytest.approx(stops.verdicts.failed.mean(), abs=0.02)
    assert rule.used(delta=delta, margin=0.03) == pytest.approx(stops.used.mean(), abs=0.03)


@settings(max_examples=10, deadline=None)
@given(st.integers(20, 400), st.floats(0.01, 0.5), st.floats(-0.2, 0.1))
def test_one_look_is_the_rule_itself(pairs: int, variance: float, delta: float) -> None:
    for rule in (
        TangoRule(pairs=pairs, discordance=variance, alpha=0.05, fail_alpha=0.025),
        TRule(variance=variance, pairs=pairs, df=pairs - 1, alpha=0.05, fail_alpha=0.025),
    ):
        staged = StagedRule(rule=rule, fractions=(1.0,))
        one, other = staged.chances(delta=delta, margin=0.05), rule.chances(delta=delta, margin=0.05)
        assert (one.passed, one.failed) == pytest.approx((other.passed, other.failed), abs=1e-9)
        assert staged.used(delta=delta, margin=0.05) == 1.0


@settings(max_examples=15, deadline=None)
@given(st.integers(30, 2000), st.floats(0.0, 0.6), st.floats(-0.3, 0.3), st.floats(0.01, 0.3))
def test_looks_cost_little_and_never_use_more_than_all(pairs: int, psi: float, delta: float, margin: float) -> None:
    rule = TangoRule(pairs=pairs, discordance=psi, alpha=0.05)
    chances = StagedRule(rule=rule, fractions=FIVE).chances(delta=delta, margin=margin)
    assert 0 <= chances.passed <= 1
    assert 0 <= chances.failed <= 1 - chances.passed + 1e-12
    assert 0.19 <= StagedRule(rule=rule, fractions=FIVE).used(delta=delta, margin=margin) <= 1.0 + 1e-9


def test_a_loss_is_found_later_with_looks_and_graded_scores_have_them_too() -> None:
    for rule in (
        TangoRule(pairs=500, discordance=0.1, alpha=0.05),
        TRule(variance=0.1, pairs=500, df=49, alpha=0.05, clusters=50),
    ):
        whole = minimum_detectable_effect(rule, margin=0.03)
        staged = minimum_detectable_effect(StagedRule(rule=rule, fractions=FIVE), margin=0.03)
        assert whole is not None
        assert staged is not None
        assert whole - 2e-4 <= staged < whole + 0.01
