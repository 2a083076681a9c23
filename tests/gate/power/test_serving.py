"""Planning pairs of serving runs: chances against what the gate then does, spreads of earlier runs, and bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.serving_runs import busy, make_arms, make_trace, noisy, with_run

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.serving import pairs_asked
from llmgate.gate.calibration.serving_rule import accepted_loss, decide_pairs
from llmgate.gate.evidence.serving_spread import ServingSpread, pair_sd_of_cv, pooled_spread
from llmgate.gate.power.plan import plan_power
from llmgate.gate.power.rules import Design
from llmgate.gate.power.serving import (
    ServingChances,
    ServingDesign,
    ServingNoise,
    ServingPower,
    hypotheses_of,
    plan_serving,
    slowdown_log,
)
from llmgate.gate.serving.arms_spread import spreads_of_arms
from llmgate.record.policy import MetricPolicy, Role
from llmgate.record.serving.policy import ServingPolicy

THROUGHPUT = ServingPolicy(suite="support", metric="output_throughput")
TTFT = ServingPolicy(suite="support", metric="median_ttft_ms")


def plan(policy: ServingPolicy = THROUGHPUT, pairs: int = 8, **noise: object) -> ServingPower:
    (power,) = plan_serving([ServingDesign(policy=policy, pairs=pairs)], ServingNoise(**noise))  # type: ignore[arg-type]
    return power


def compared(policy: ServingPolicy = THROUGHPUT, pairs: int = 8, **noise: object) -> ServingChances:
    comparison = plan(policy, pairs, **noise).comparison
    assert comparison is not None
    return comparison


# Bad input first.


@pytest.mark.parametrize("cv", [0.0, -0.1, math.nan, math.inf])
def test_runs_that_do_not_vary_are_refused(cv: float) -> None:
    with pytest.raises(UndefinedError, match="runs do not vary by"):
        plan(cv=cv)


@pytest.mark.parametrize(("slowdown", "latency"), [(0.0, True), (1.0, False), (-0.1, False), (math.nan, True)])
def test_a_slowdown_that_is_none_is_refused(slowdown: float, latency: bool) -> None:
    with pytest.raises(UndefinedError, match="is none"):
        slowdown_log(slowdown, latency=latency)


def test_one_pair_plans_nothing() -> None:
    with pytest.raises(UndefinedError):
        plan(pairs=1)


def test_spreads_that_nothing_tells_are_none() -> None:
    assert pooled_spread("s", "m", []) is None
    assert pooled_spread("s", "m", [np.array([0.1])]) is None
    assert pooled_spread("s", "m", [np.array([0.1, 0.1, 0.1])]) is None


# What is planned is what happens.


@pytest.mark.parametrize("policy", [THROUGHPUT, TTFT], ids=lambda policy: policy.metric)
@pytest.mark.parametrize(("cv", "pairs"), [(0.05, 6), (0.05, 12), (0.02, 6), (0.1, 20)])
def test_chances_are_what_the_rule_does(policy: ServingPolicy, cv: float, pairs: int) -> None:
    told = compared(policy, pairs, cv=cv)
    latency = policy is TTFT
    rng = np.random.default_rng(7)
    x = pair_sd_of_cv(cv) * rng.standard_normal((20_000, pairs))
    lost = accepted_loss(0.05, latency=latency)
    slower = -slowdown_log(0.08, latency=latency)
    rates = {}
    for name, delta in (("unchanged", 0.0), ("lost", lost), ("slower", slower)):
        verdicts = decide_pairs(x + delta, margin=0.05, latency=latency, alpha=0.05)
        rates[name] = verdicts.passed.mean(), verdicts.failed.mean()
    assert told.pass_if_unchanged == pytest.approx(rates["unchanged"][0], abs=0.015)
    assert told.pass_if_lost == pytest.approx(rates["lost"][0], abs=0.008)
    assert told.found == pytest.approx(rates["slower"][1], abs=0.015)
    assert told.missed == pytest.approx(rates["slower"][0], abs=0.008)


def test_pairs_that_are_asked_for_find_it() -> None:
    told = compared(cv=0.05)
    assert told.pairs_to_find == 7 == pairs_asked(0.05, margin=0.05, alpha=0.05)
    assert told.pairs_to_pass == 14
    assert compared(pairs=7, cv=0.05).found >= 0.8 > compared(pairs=6, cv=0.05).found
    assert compared(pairs=14, cv=0.05).pass_if_unchanged >= 0.8 > compared(pairs=13, cv=0.05).pass_if_unchanged
    assert told.detectable is not None
    assert compared(cv=0.05, slowdown=told.detectable).found >= 0.8
    assert compared(cv=0.05, slowdown=told.detectable - 0.001).found < 0.8


def test_a_slowdown_within_the_margin_is_never_to_be_found() -> None:
    assert compared(cv=0.01, slowdown=0.05).pairs_to_find is None
    assert compared(cv=0.01, slowdown=0.03).pairs_to_find is None
    assert compared(replace_margin(0.1), cv=0.01, slowdown=0.08).pairs_to_find is None


def replace_margin(margin: float) -> ServingPolicy:
    return replace(THROUGHPUT, margin=margin)


def test_more_hypotheses_find_less() -> None:
    alone, beside = (
        plan_serving([ServingDesign(policy=THROUGHPUT, pairs=8)], ServingNoise(cv=0.05), hypotheses=k)[0].comparison
        for k in (1, 4)
    )
    assert alone is not None
    assert beside is not None
    assert beside.found < alone.found
    assert beside.pass_if_unchanged == alone.pass_if_unchanged
    assert hypotheses_of([THROUGHPUT, replace(TTFT, max=500.0), replace(TTFT, role=Role.WATCH)]) == 3


def test_a_limit_tells_which_figures_pass_and_fail() -> None:
    power = plan(replace(TTFT, margin=None, max=500.0), pairs=8, cv=0.05)
    assert power.comparison is None
    assert power.threshold is not None
    passing, failing = power.threshold.passing, power.threshold.failing
    assert passing is not None
    assert failing is not None
    rng = np.random.default_rng(3)
    runs = math.sqrt(math.log1p(0.05**2)) * rng.standard_normal((20_000, 8))
    y = math.log(500.0) - (runs + math.log(passing))
    reach = stats.t.ppf(0.95, 7) * y.std(axis=1, ddof=1) / math.sqrt(8)
    assert (y.mean(axis=1) - reach > 0).mean() == pytest.approx(0.8, abs=0.015)
    y = math.log(500.0) - (runs + math.log(failing))
    assert (y.mean(axis=1) + reach < 0).mean() == pytest.approx(0.8, abs=0.015)
    higher = plan(replace(THROUGHPUT, margin=None, min=100.0), pairs=8, cv=0.05).threshold
    assert higher is not None
    assert higher.passing is not None
    assert higher.passing > 100.0 > (higher.failing or 0.0)


@settings(max_examples=8)
@given(cv=st.floats(0.005, 0.3), pairs=st.integers(6, 40))
def test_more_pairs_and_less_noise_never_hurt(cv: float, pairs: int) -> None:
    told, more, quieter = (
        compared(pairs=pairs, cv=cv),
        compared(pairs=pairs + 2, cv=cv),
        compared(pairs=pairs, cv=0.8 * cv),
    )
    assert more.pass_if_unchanged >= told.pass_if_unchanged - 1e-9
    assert quieter.pass_if_unchanged >= told.pass_if_unchanged - 1e-9
    assert told.pass_if_lost == pytest.approx(0.05, abs=1e-6)


# Spreads.


def test_a_spread_is_that_of_the_pairs() -> None:
    rng = np.random.default_rng(0)
    ratios = [0.05 * rng.standard_normal(8), 0.3 + 0.05 * rng.standard_normal(5)]
    spread = pooled_spread("s", "m", ratios)
    assert spread is not None
    pooled = (7 * np.var(ratios[0], ddof=1) + 4 * np.var(ratios[1], ddof=1)) / 11
    assert spread.pair_sd == pytest.approx(math.sqrt(pooled))
    assert spread.lowest == pytest.approx(math.sqrt(11 * pooled / stats.chi2.ppf(0.975, 11)))
    assert spread.highest == pytest.approx(math.sqrt(11 * pooled / stats.chi2.ppf(0.025, 11)))
    assert (spread.pairs, spread.source) == (13, "history")


def test_earlier_arms_tell_the_spread_whoever_was_faster() -> None:
    champion = noisy(100.0, 8, cv=0.04, seed=1)
    candidate = noisy(80.0, 8, cv=0.04, seed=2)
    arms = make_arms(candidate, champion)
    (spread,) = spreads_of_arms([THROUGHPUT], [arms])
    x = np.log(np.array(candidate) / np.array(champion))
    assert spread.pair_sd == pytest.approx(float(x.std(ddof=1)), rel=1e-6)
    assert (spread.suite, spread.metric, spread.pairs, spread.source) == ("support", "output_throughput", 8, "run")
    power = plan(spreads=(spread,))
    assert (power.source, power.measured_on) == ("run", 8)
    assert power.run_cv == pytest.approx(spread.pair_sd / math.sqrt(2), rel=1e-3)
    assert power.lowest is not None
    assert power.highest is not None
    assert power.lowest < power.run_cv < power.highest
    comparison = power.comparison
    assert comparison is not None
    assert comparison.pass_least is not None
    assert comparison.pass_most is not None
    assert comparison.pass_least < comparison.pass_if_unchanged < comparison.pass_most


def test_runs_that_are_not_believed_tell_nothing() -> None:
    candidate, champion = noisy(100.0, 8, cv=0.04, seed=3), noisy(100.0, 8, cv=0.04, seed=4)
    arms = make_arms(candidate, champion)
    spoilt = with_run(arms, 2, "champion", machine=busy(make_trace(50.0)).machine)
    (spread,) = spreads_of_arms([THROUGHPUT], [spoilt])
    assert spread.pairs == 7
    assert spreads_of_arms([THROUGHPUT], [make_arms(candidate, None)]) == ()
    assert spreads_of_arms([replace(THROUGHPUT, suite="other")], [arms]) == ()
    assert spreads_of_arms([ServingPolicy(suite="support", metric="request_goodput")], [arms]) == ()


def test_a_measured_spread_wins_over_a_given_one() -> None:
    spread = ServingSpread(
        suite="support", metric="output_throughput", pair_sd=0.03, lowest=0.02, highest=0.05, pairs=8, source="run"
    )
    assert plan(spreads=(spread,), cv=0.5).run_cv == pytest.approx(0.03 / math.sqrt(2), rel=1e-3)
    assert plan(TTFT, spreads=(spread,), cv=0.2).run_cv == pytest.approx(0.2)
    assert plan(TTFT, spreads=(spread,)).source == "assumed"


# Together with scores.


def test_scores_and_serving_stand_in_one_family() -> None:
    metric = Design(policy=MetricPolicy(suite="support", metric="accuracy", margin=0.05), cases=300)
    serving = [ServingDesign(policy=THROUGHPUT, pairs=12)]
    alone = plan_power([metric], ())
    both = plan_power([metric], (), serving=serving, runs=ServingNoise(cv=0.05))
    (figure,) = both.serving
    assert figure.comparison is not None
    assert both.joint == pytest.approx(alone.joint * figure.comparison.pass_if_unchanged)
    assert both.gating == 2
    assert both.metrics[0].detectable is not None
    assert alone.metrics[0].detectable is not None
    assert both.metrics[0].detectable > alone.metrics[0].detectable
    assert plan_power([], (), serving=serving, runs=ServingNoise(cv=0.01)).enough
    assert not plan_power([], ()).enough
