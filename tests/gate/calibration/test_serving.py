"""The serving rule on many measurements is the gate's, and holds where runs disturb each other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from support.serving_runs import make_arms, make_trace

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.results import (
    Calibration,
    Cell,
    ServingCalibrationRow,
    ServingRule,
    Truth,
    serving_requirements,
)
from llmgate.gate.calibration.serving import (
    INDEPENDENT,
    NOISES,
    ServingCase,
    pairs_asked,
    serving_cases,
    simulate_serving,
)
from llmgate.gate.calibration.serving_noise import MeasuredRuns, RunNoise, RunOrder, draw_runs
from llmgate.gate.calibration.serving_rule import (
    accepted_loss,
    decide_pairs,
    five_percent,
    mann_whitney,
    two_percent,
    two_sigma,
)
from llmgate.gate.serving.arms import run_serving_test
from llmgate.record.serving.policy import ServingPolicy

PERIOD = next(noise for noise in NOISES if noise.period == 4)
LAG = next(noise for noise in NOISES if noise.lag == 0.5)
MADE_AGAIN = next(noise for noise in NOISES if noise.discards)


# Bad input first.


@pytest.mark.parametrize(
    "x", [np.zeros((3, 1)), np.zeros(4), np.array([[0.1, math.nan, 0.2]]), np.array([[0.1, math.inf, 0.2]])]
)
def test_what_shows_no_spread_is_refused(x: np.ndarray) -> None:
    with pytest.raises(UndefinedError, match="no spread that could be estimated"):
        decide_pairs(x, margin=0.05, latency=False, alpha=0.05)


def test_equal_ratios_decide_nothing() -> None:
    told = decide_pairs(np.array([[0.1] * 8, [-0.2] * 8, [1e-12, 0.0] * 4]), margin=0.05, latency=False, alpha=0.05)
    assert not told.passed.any()
    assert not told.failed.any()


def test_phases_have_no_pairs_to_make_again() -> None:
    with pytest.raises(UndefinedError, match="no pairs that could be made again"):
        draw_runs(MADE_AGAIN, RunOrder.PHASES, rng=np.random.default_rng(0), repetitions=2, pairs=6, cv=0.05)


# The same verdicts as the gate's.


@pytest.mark.parametrize("metric", ["output_throughput", "median_ttft_ms"])
@pytest.mark.parametrize("pairs", [6, 8, 12])
def test_verdict_by_verdict_as_the_gate_decides(metric: str, pairs: int) -> None:
    policy = ServingPolicy(suite="support", metric=metric)
    latency = metric.endswith("_ms")
    rng = np.random.default_rng(pairs)
    seen = set()
    for shift in np.linspace(-0.14, 0.06, 21):
        speeds = 100.0 * np.exp(0.04 * rng.standard_normal((2, pairs)) + np.array([[shift], [0.0]]))
        # A request lasts 160 ms at 100 tokens/s; its first token comes after a fifth of that.
        arms = make_arms(*([make_trace(speed) for speed in side] for side in speeds.tolist()))
        test = run_serving_test(policy, arms, champion=True)
        assert test.problem is None
        assert test.comparison is not None
        ratios = np.log(np.array(test.candidate) / np.array(test.champion)) * (-1.0 if latency else 1.0)
        assert ratios == pytest.approx(np.log(speeds[0] / speeds[1]))
        told = decide_pairs(ratios[None], margin=0.05, latency=latency, alpha=0.05)
        verdict = (bool(told.passed[0]), bool(told.failed[0]))
        assert verdict == (test.comparison.passed, test.comparison.worse)
        seen.add(verdict)
    assert seen == {(True, False), (False, True), (False, False)}


def test_the_rule_is_a_paired_t_test() -> None:
    x = 0.05 * np.random.default_rng(1).standard_normal((200, 8)) - 0.03
    told = decide_pairs(x, margin=0.05, latency=True, alpha=0.05)
    worse = stats.ttest_1samp(x, 0.0, axis=1, alternative="less").pvalue < 0.05
    good = stats.ttest_1samp(x, -math.log(1.05), axis=1, alternative="greater").pvalue < 0.05
    assert np.array_equal(told.passed, good)
    assert np.array_equal(told.failed, worse & ~good)
    assert accepted_loss(0.05, latency=True) == pytest.approx(-math.log(1.05))
    assert accepted_loss(0.05, latency=False) == pytest.approx(math.log(0.95))


# What is drawn.


def drawn(
    noise: RunNoise, order: RunOrder = RunOrder.DRAWN, *, pairs: int = 8, repetitions: int = 2_000
) -> MeasuredRuns:
    return draw_runs(noise, order, rng=np.random.default_rng(5), repetitions=repetitions, pairs=pairs, cv=0.05)


def test_runs_vary_as_asked_and_neighbours_belong_together() -> None:
    runs = drawn(INDEPENDENT)
    assert runs.candidate.shape == runs.champion.shape == (2_000, 8)
    assert runs.candidate.std() == pytest.approx(0.05, rel=0.03)
    assert np.corrcoef(runs.candidate.ravel(), runs.champion.ravel())[0, 1] == pytest.approx(0.0, abs=0.03)
    lagged = drawn(LAG)
    assert lagged.candidate.std() == pytest.approx(0.05, rel=0.03)
    assert np.corrcoef(lagged.candidate.ravel(), lagged.champion.ravel())[0, 1] == pytest.approx(0.5, abs=0.03)
    heavy = drawn(RunNoise(name="t3", tails="t3"))
    assert 0.04 < heavy.candidate.std() < 0.07
    slow = drawn(RunNoise(name="slow", tails="slow"))
    assert (slow.candidate < -0.45).mean() == pytest.approx(0.05, abs=0.01)


def test_a_drift_falls_evenly_over_the_session() -> None:
    drift = drawn(RunNoise(name="drift", drift=0.3), RunOrder.ALTERNATING)
    both = (drift.candidate + drift.champion).mean(axis=0) / 2
    steps = np.diff(both)
    assert steps == pytest.approx(np.full(7, math.log(0.7) * 2 / 15), abs=0.01)


def test_each_order_gives_both_arms_the_first_place() -> None:
    rng = np.random.default_rng(2)
    for order in RunOrder:
        told = draw_runs(RunNoise(name="drift", drift=0.9), order, rng=rng, repetitions=2_000, pairs=6, cv=0.001)
        first = told.candidate > told.champion
        assert first.mean() == pytest.approx(0.5, abs=0.04)
        same_as_next = (first[:, 1:] == first[:, :-1]).mean(axis=0)
        expected = {
            RunOrder.DRAWN: [0.5] * 5,
            RunOrder.BLOCKS: [0.0, 0.5, 0.0, 0.5, 0.0],
            RunOrder.MIRRORED: [0.0] * 5,
            RunOrder.ALTERNATING: [1.0] * 5,
            RunOrder.PHASES: [1.0] * 5,
        }[order]
        assert same_as_next == pytest.approx(expected, abs=0.05)


def test_contended_pairs_are_made_again_until_there_are_no_more_attempts() -> None:
    runs = drawn(MADE_AGAIN, pairs=6)
    assert 0.8 < runs.complete.mean() < 0.99
    kept = drawn(replace(MADE_AGAIN, discards=False), pairs=6)
    assert kept.complete.all()
    whole = runs.candidate[runs.complete]
    assert whole.std() < 0.06 < kept.candidate.std()


def test_a_server_that_is_kept_is_shared_by_neighbouring_runs() -> None:
    kept = RunNoise(name="kept", start_share=0.9, fresh_starts=False)
    phases = drawn(kept, RunOrder.PHASES)
    assert phases.candidate.std(axis=1).mean() < 0.02
    fresh = drawn(replace(kept, fresh_starts=True), RunOrder.PHASES)
    assert fresh.candidate.std(axis=1).mean() > 0.04
    assert fresh.candidate.std() == pytest.approx(phases.candidate.std(), rel=0.1)


# How often it errs.


def gate_row(
    noise: RunNoise, order: RunOrder = RunOrder.DRAWN, *, cv: float = 0.05, pairs: int = 8
) -> ServingCalibrationRow:
    case = ServingCase(noise=noise, order=order, cv=cv, pairs=pairs, asked=order is RunOrder.DRAWN)
    row, *others = simulate_serving(case, rng=np.random.default_rng(11), repetitions=4_000)
    assert not others
    return row


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_what_disturbs_runs_does_not_disturb_the_rule(noise: RunNoise) -> None:
    asked = serving_requirements([gate_row(noise)])
    assert len(asked) == (5 if noise == INDEPENDENT else 3)
    assert [str(requirement) for requirement in asked if not requirement.met] == []


def test_an_order_that_is_not_drawn_meets_its_neighbour() -> None:
    mirrored, drawn_row = gate_row(PERIOD, RunOrder.MIRRORED), gate_row(PERIOD)
    for truth, rate in ((Truth.UNCHANGED, "fail_rate"), (Truth.MARGIN, "pass_rate")):
        bad, good = (getattr(row.cell(truth), rate) for row in (mirrored, drawn_row))
        assert bad > 0.2
        assert good < 0.07
    assert serving_requirements([mirrored]) == ()


def test_an_incomplete_measurement_never_passes() -> None:
    always = RunNoise(name="always", bursts=True, discards=True)
    runs = draw_runs(always, RunOrder.DRAWN, rng=np.random.default_rng(3), repetitions=4_000, pairs=8, cv=0.001)
    row = gate_row(always, cv=0.001)
    faster = row.cell(Truth.FASTER)
    assert faster is not None
    assert faster.passed <= runs.complete.sum() + 150
    assert faster.pass_rate < 0.97


def test_pairs_that_power_asks_for_keep_its_promise() -> None:
    pairs = pairs_asked(0.05, margin=0.05, alpha=0.05)
    cell = gate_row(INDEPENDENT, pairs=pairs).cell(Truth.SLOWER)
    assert cell is not None
    assert cell.promised is not None
    assert cell.promised >= 0.8
    assert cell.fail_rate == pytest.approx(cell.promised, abs=0.03)
    assert cell.pass_rate <= 0.05


def test_rules_of_others_err_on_the_same_runs() -> None:
    case = ServingCase(noise=INDEPENDENT, others=True)
    rows = {row.rule: row for row in simulate_serving(case, rng=np.random.default_rng(4), repetitions=4_000)}
    assert set(rows) == set(ServingRule)
    assert [row.asked for row in rows.values()] == [True, False, False, False, False]
    blocks = {rule: cell.fail_rate for rule, row in rows.items() if (cell := row.cell(Truth.UNCHANGED)) is not None}
    assert blocks[ServingRule.MANN_WHITNEY] > 0.12
    assert blocks[ServingRule.TWO_PERCENT] > 0.15
    lets = {rule: cell.pass_rate for rule, row in rows.items() if (cell := row.cell(Truth.SLOWER)) is not None}
    assert lets[ServingRule.TWO_SIGMA] > 0.5
    assert lets[ServingRule.FIVE_PERCENT] > 0.1


def test_rules_of_others_by_hand() -> None:
    slow = MeasuredRuns(
        candidate=np.log([[97.0, 97.0, 97.0], [94.0, 94.0, 94.0]]),
        champion=np.log([[99.0, 100.0, 101.0]] * 2),
        complete=np.ones(2, dtype=np.bool_),
    )
    assert two_percent(slow).failed.tolist() == [True, True]
    assert two_sigma(slow).failed.tolist() == [True, True]
    assert five_percent(slow).failed.tolist() == [False, True]
    assert two_percent(slow).passed.tolist() == [False, False]
    far = MeasuredRuns(candidate=slow.candidate - 1.0, champion=slow.champion, complete=slow.complete)
    assert mann_whitney(far, alpha=0.05, rng=np.random.default_rng(0)).failed.all()
    assert not mann_whitney(
        MeasuredRuns(candidate=slow.champion + 1.0, champion=slow.champion, complete=slow.complete),
        alpha=0.05,
        rng=np.random.default_rng(0),
    ).failed.any()


def test_what_a_release_tries() -> None:
    cases, few = list(serving_cases()), list(serving_cases(quick=True))
    assert {case.pairs for case in cases if case.asked and not case.sized} == {6, 8, 12, 20}
    assert {case.cv for case in cases} == {0.02, 0.05, 0.1}
    assert {case.order for case in cases} == set(RunOrder)
    assert {case.pairs for case in cases if case.sized} == {6, 7, 20}
    assert all(case.order is RunOrder.DRAWN for case in cases if case.asked)
    assert len(few) < len(cases) / 2
    assert {case.noise for case in few} == {case.noise for case in cases}


def test_a_rate_above_its_limit_is_not_met() -> None:
    bad = Cell(truth=Truth.UNCHANGED, loss=0.0, runs=20_000, passed=9_000, failed=1_300, promised=0.58)
    row = ServingCalibrationRow(
        rule=ServingRule.GATE, noise="noise", order="drawn", cv=0.05, pairs=8, margin=0.05, alpha=0.05, cells=(bad,)
    )
    unmet = [one.what for one in serving_requirements([row]) if not one.met]
    assert unmet == [
        "serving: an unchanged model fails",
        "serving: PASS of an unchanged model lies off its promise",
    ]
    found = Calibration(seed=0, repetitions=1, quick=True, margin=0.03, alpha=0.05, rows=(), serving=(row,))
    assert not found.met
    assert [one.where for one in found.unmet] == ["serving, noise, 8 pairs, runs vary by 5 %"] * 2
    assert serving_requirements([replace(row, asked=False)]) == ()


def test_kept_servers_make_neighbouring_pairs_alike_unless_each_run_has_its_own() -> None:
    kept = RunNoise(name="kept", start_share=0.9, fresh_starts=False)

    def alike(noise: RunNoise) -> float:
        runs = drawn(noise, RunOrder.MIRRORED)
        x = runs.candidate - runs.champion
        return float(np.corrcoef(x[:, :-1].ravel(), x[:, 1:].ravel())[0, 1])

    # Each start serves two neighbouring runs, of two pairs: half of what starts decide is shared.
    assert alike(kept) == pytest.approx(0.45, abs=0.05)
    assert alike(replace(kept, fresh_starts=True)) == pytest.approx(0.0, abs=0.05)


def test_what_was_not_tried_is_not_asked() -> None:
    only = Cell(truth=Truth.MARGIN, loss=0.05, runs=20_000, passed=1_000, failed=9_000)
    row = ServingCalibrationRow(
        rule=ServingRule.GATE, noise="noise", order="drawn", cv=0.05, pairs=8, margin=0.05, alpha=0.05, cells=(only,)
    )
    assert [one.what for one in serving_requirements([row])] == ["serving: a lost margin passes"]
