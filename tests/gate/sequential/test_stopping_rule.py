"""The rule at a look: its error rates and its savings by simulation, and its branches one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from llmgate.gate.decide import decide
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.evidence.pairing import Errors, Pairs
from llmgate.gate.metrics.intervals import compare
from llmgate.gate.metrics.look import LookPoint, look_point
from llmgate.gate.metrics.metric import HypothesisTest
from llmgate.gate.metrics.tests import run_test
from llmgate.gate.sequential.stopping_rule import at_look, run_test_at, settled
from llmgate.record.policy import MetricPolicy, Policy, Role
from llmgate.record.scores import ItemScore, ScoreTable, texts
from llmgate.record.serving.policy import ServingPolicy
from llmgate.record.waiver import Waiver
from llmgate.stats.interval import Interval
from llmgate.stats.planning.power import tango_chances
from llmgate.stats.sequential.looks import equal_fractions, obrien_fleming

LOOKS = 5
FRACTIONS = equal_fractions(LOOKS)
GATE = MetricPolicy(suite="s", metric="m", margin=0.03)


@dataclass(frozen=True)
class Rates:
    """Of many simulated runs."""

    passed: float
    failed: float
    used: float


def scores_z(b: np.ndarray, c: np.ndarray, n: int, delta0: float) -> np.ndarray:
    """Tango's statistic on arrays, as the specification writes it."""
    big_b, big_c = -b - c + (2 * n - b + c) * delta0, -c * delta0 * (1 - delta0)
    q = (np.sqrt(big_b**2 - 8 * n * big_c) - big_b) / (4 * n)
    variance = n * (2 * q + delta0 * (1 - delta0))
    return np.asarray((b - c - n * delta0) / np.sqrt(np.where(variance > 0, variance, np.inf)))


def simulated(
    *, n: int, discordance: float, delta: float, margin: float, guard: bool = True, runs: int = 20_000, seed: int = 1
) -> Rates:
    rng = np.random.default_rng(seed)
    z = obrien_fleming(LOOKS).z
    sizes = [round(t * n) for t in FRACTIONS]
    better, worse = (discordance + delta) / 2, (discordance - delta) / 2
    steps = [rng.multinomial(step, [better, worse, 1 - discordance], size=runs)[:, :2] for step in np.diff([0, *sizes])]
    counts = np.cumsum(steps, axis=0).astype(float)
    verdict, used = np.zeros(runs, dtype=int), np.full(runs, float(n))
    for k, size in enumerate(sizes):
        b, c = counts[k].T
        passes = scores_z(b, c, size, -margin) > z[k]
        fails = ~passes & (scores_z(b, c, size, 0.0) < -z[k])
        if guard and size < n:
            fails &= (b - c) / size < -margin
        new = (verdict == 0) & (passes | fails)
        verdict[new], used[new] = np.where(passes[new], 1, 2), size
    return Rates(float(np.mean(verdict == 1)), float(np.mean(verdict == 2)), float(np.mean(used)) / n)


def at_most(rate: float, runs: int = 20_000) -> float:
    return rate + 4 * math.sqrt(rate * (1 - rate) / runs)


@pytest.mark.parametrize(("n", "discordance"), [(100, 0.1), (300, 0.1), (1000, 0.1), (300, 0.2), (1000, 0.05)])
def test_both_error_rates_hold_over_all_looks(n: int, discordance: float) -> None:
    assert simulated(n=n, discordance=discordance, delta=-0.03, margin=0.03).passed <= at_most(0.05)
    assert simulated(n=n, discordance=discordance, delta=0.0, margin=0.03).failed <= at_most(0.05)


def test_looks_save_what_the_specification_says_and_cost_little_power() -> None:
    unchanged = simulated(n=1000, discordance=0.1, delta=0.0, margin=0.03)
    worse = simulated(n=1000, discordance=0.1, delta=-0.05, margin=0.03)
    assert unchanged.used <= 0.75
    assert worse.used <= 0.50
    whole = tango_chances(delta=0.0, discordance=0.1, pairs=1000, margin=0.03, alpha=0.05)
    assert whole.passed - 0.03 <= unchanged.passed <= whole.passed
    assert worse.failed >= 0.99


def test_an_early_fail_does_not_take_the_place_of_a_pass_that_a_wide_margin_gives() -> None:
    design = {"n": 1000, "discordance": 0.1, "delta": -0.05, "margin": 0.1}
    whole = tango_chances(delta=-0.05, discordance=0.1, pairs=1000, margin=0.1, alpha=0.05)
    assert whole.passed > 0.998
    assert simulated(**design).passed == pytest.approx(0.990, abs=0.004)  # type: ignore[arg-type]
    assert simulated(**design, guard=False).passed == pytest.approx(0.54, abs=0.015)  # type: ignore[arg-type]


def paired(candidate: np.ndarray, champion: np.ndarray, clusters: np.ndarray | None = None) -> Pairs:
    return Pairs(
        item_ids=texts([str(i) for i in range(len(candidate))]),
        candidate=candidate,
        champion=champion,
        clusters=clusters,
        expected=len(candidate),
        errors=Errors(),
        slices={},
    )


def counted(better: int, worse: int, pairs: int) -> Pairs:
    candidate = np.array([1.0] * better + [0.0] * worse + [1.0] * (pairs - better - worse))
    champion = np.array([0.0] * better + [1.0] * worse + [1.0] * (pairs - better - worse))
    return paired(candidate, champion)


def test_the_rule_is_the_one_that_was_simulated() -> None:
    rng = np.random.default_rng(3)
    z = obrien_fleming(LOOKS).z
    for _ in range(150):
        k, margin = int(rng.integers(LOOKS)), float(rng.choice([0.02, 0.05, 0.1]))
        pairs = int(rng.integers(20, 1200))
        better, worse = (int(x) for x in rng.binomial(pairs, [0.05, rng.choice([0.05, 0.1, 0.2])]))
        point = LookPoint(fractions=FRACTIONS, at=k, planned=pairs * LOOKS)
        found = at_look(
            compare(counted(better, worse, pairs), margin=margin, alpha=point.tail(0.05)), point, margin=margin
        )
        b, c = np.array([float(better)]), np.array([float(worse)])
        passes = bool(scores_z(b, c, pairs, -margin)[0] > z[k])
        fails = not passes and bool(scores_z(b, c, pairs, 0.0)[0] < -z[k])
        assert found.passed is passes
        assert found.worse is (fails and (k == LOOKS - 1 or (better - worse) / pairs < -margin))
        if found.worse:
            assert found.p <= 0.05


@pytest.mark.parametrize("clustered", [False, True])
def test_error_rates_hold_for_graded_scores(clustered: bool) -> None:
    """The whole choice of methods, at levels that no other test asks of them."""
    rng = np.random.default_rng(11)
    runs, n, margin = 150, 300, 0.04
    points = [LookPoint(fractions=FRACTIONS, at=k, planned=n) for k in range(LOOKS)]
    clusters = np.arange(n) // 2 if clustered else None
    wrong = {-margin: 0, 0.0: 0}
    for delta in wrong:
        for _ in range(runs):
            own = rng.choice([0.0, 0.5, 1.0], size=n, p=[0.15 - delta, 0.7, 0.15 + delta])
            champion = np.full(n, 0.5)
            candidate = np.where(rng.random(n) < 0.5, np.repeat(own[::2], 2), own) if clustered else own
            for point in points:
                size = round(point.fractions[point.at] * n)
                part = paired(candidate[:size], champion[:size], None if clusters is None else clusters[:size])
                found = at_look(compare(part, margin=margin, alpha=point.tail(0.05)), point, margin=margin)
                if found.passed or found.worse:
                    wrong[delta] += found.passed if delta else found.worse
                    break
    assert all(count / runs <= at_most(0.05, runs) for count in wrong.values())


def finding(*, estimate: float = -0.1, method: str = "paired t", alpha: float = 0.001) -> HypothesisTest:
    interval = Interval(estimate=estimate, lower=-0.2, upper=-0.01, alpha=alpha, method=method, p_negative=1e-6)
    return HypothesisTest(interval=interval, passed=False, worse=True, p=1e-6)


def test_a_bootstrap_decides_nothing_where_it_has_too_few_resamples() -> None:
    early, last = (LookPoint(fractions=FRACTIONS, at=k, planned=100) for k in (1, 4))
    assert not at_look(finding(method="BCa bootstrap"), early, margin=0.03).worse
    assert at_look(finding(method="BCa bootstrap"), last, margin=0.03).worse
    assert at_look(finding(method="BCa bootstrap", alpha=0.0028), early, margin=0.03).worse
    assert at_look(finding(), early, margin=0.03).worse


def test_a_threshold_needs_no_condition_on_the_estimate() -> None:
    early = LookPoint(fractions=FRACTIONS, at=1, planned=100)
    assert not at_look(finding(estimate=-0.02), early, margin=0.03).worse
    assert at_look(finding(estimate=-0.02), early).worse


def test_a_metric_of_some_cases_has_looks_of_its_own() -> None:
    assert look_point([0, 0, 10, 10, 40], look=2) is None
    assert look_point([0, 0, 10, 10, 40], look=3) == LookPoint(fractions=(0.25, 1.0), at=0, planned=40, looks=(3, 5))
    assert look_point([0, 0, 10, 10, 40], look=4) == look_point([0, 0, 10, 10, 40], look=3)
    assert look_point([5, 8, 8], look=2) == LookPoint(fractions=(0.625, 1.0), at=1, planned=8, looks=(1, 2))
    assert look_point([0, 0], look=1) is None


def test_p_values_of_looks_are_never_smaller_than_plain_ones() -> None:
    for k in range(LOOKS):
        point = LookPoint(fractions=FRACTIONS, at=k, planned=100)
        assert point.p(point.tail(0.05)) == pytest.approx(0.05, rel=1e-6)
        for p in (0.0, 1e-9, 0.01, 0.5, 1.0):
            assert 0.0 <= p <= point.p(p) + 1e-12 <= 1.0 + 1e-9


def evidence(better: int, worse: int, pairs: int, metric: str = "m") -> tuple[Evidence, Evidence]:
    made = counted(better, worse, pairs)
    sides = (made.candidate, made.champion)
    tables = [
        ScoreTable.of(
            (
                ItemScore(item_id=f"{i:04d}", score=float(score))
                for i, score in enumerate(side if side is not None else [])
            ),
            suite="s",
            metric=metric,
        )
        for side in sides
    ]
    return Evidence(tables=(tables[0],)), Evidence(tables=(tables[1],))


def point_of(pairs: int, look: int = 3) -> LookPoint:
    return LookPoint(fractions=FRACTIONS, at=look - 1, planned=pairs * LOOKS // look)


@pytest.mark.parametrize(
    ("better", "worse", "reason"),
    [(30, 30, "every gating metric passes"), (10, 70, "m fails"), (20, 35, ""), (30, 42, "")],
)
def test_a_suite_stops_when_it_is_settled(better: int, worse: int, reason: str) -> None:
    measured = [run_test_at(GATE, *evidence(better, worse, 900), point_of(900))]
    assert settled(measured, Policy(metrics=(GATE,)), champion=True) == reason


def clustered_evidence(groups: int, lost: float) -> tuple[Evidence, Evidence]:
    """Clusters of ten, of which each loses nearly the same."""
    scores = [0.9 - lost * (1.0 + 0.01 * (i // 10 % 7)) for i in range(10 * groups)]
    candidate, champion = (
        ScoreTable.of(
            (ItemScore(item_id=f"{i:04d}", score=score, cluster=f"k{i // 10}") for i, score in enumerate(side)),
            suite="s",
            metric="m",
        )
        for side in (scores, [0.9] * len(scores))
    )
    return Evidence(tables=(candidate,)), Evidence(tables=(champion,))


def test_a_look_with_too_few_clusters_decides_nothing_and_crashes_nothing() -> None:
    """At the tail of the first of five looks, 4.4e-5, it takes 15 clusters; later ones are content with fewer."""
    policy = Policy(metrics=(GATE,))
    for groups, look, reason in ((14, 1, ""), (20, 1, "m fails"), (14, 2, "m fails"), (4, 5, ""), (6, 5, "m fails")):
        found = run_test_at(GATE, *clustered_evidence(groups, 0.3), point_of(10 * groups, look))
        assert settled([found], policy, champion=True) == reason, (groups, look)
        if not reason:
            assert found.comparison is None
            assert found.problem is not None
            assert "too few to decide" in found.problem.what
    good = run_test_at(GATE, *clustered_evidence(60, 0.001), point_of(600, 4))
    assert settled([good], policy, champion=True) == "every gating metric passes"


def test_every_gating_metric_has_to_pass_and_watched_ones_do_not() -> None:
    other, watched = replace(GATE, metric="other"), replace(GATE, metric="seen", role=Role.WATCH)
    good = run_test_at(GATE, *evidence(30, 30, 900), point_of(900))
    open_ = run_test_at(other, *evidence(20, 35, 900, "other"), point_of(900))
    bad = run_test_at(watched, *evidence(10, 70, 900, "seen"), point_of(900))
    policy = Policy(metrics=(GATE, other, watched))
    assert settled([good, open_, bad], policy, champion=True) == ""
    assert settled([good, bad], policy, champion=True) == "every gating metric passes"
    assert settled([bad], policy, champion=True) == ""


def test_p_values_are_adjusted_for_tests_that_are_still_to_come() -> None:
    strict = replace(GATE, margin=0.01)
    bad = run_test_at(strict, *evidence(20, 38, 900), point_of(900))
    (found,) = bad.hypotheses
    assert found.worse
    assert 0.025 < found.p < 0.05
    alone = Policy(metrics=(strict,))
    many = Policy(metrics=(strict, replace(strict, suite="t")))
    assert settled([bad], alone, champion=True) == "m fails"
    assert settled([bad], many, champion=True) == ""
    speed = ServingPolicy(suite="s", metric="output_throughput")
    assert settled([bad], replace(alone, serving=(speed,)), champion=True) == "", "serving is decided with it"
    assert settled([bad], replace(alone, serving=(replace(speed, role=Role.WATCH),)), champion=True) == "m fails"


def test_what_somebody_waived_ends_nothing() -> None:
    bad = run_test_at(GATE, *evidence(10, 70, 900), point_of(900))
    waiver = Waiver(suite="s", metric="m", until="2026-12-31", by="Ada", reason="known")
    assert settled([bad], Policy(metrics=(GATE,), waivers=(waiver,)), champion=True) == ""


def test_nothing_stops_while_something_could_not_be_evaluated() -> None:
    mine, theirs = evidence(30, 30, 900)
    table = mine.tables[0]
    broken = ScoreTable.of(
        (ItemScore(item_id="0000", score=None, error="timeout"), *list(table.rows())[1:]), suite="s", metric="m"
    )
    for side in (Evidence(tables=(broken,)), Evidence(tables=())):
        measured = [run_test_at(GATE, side, theirs, point_of(900))]
        assert settled(measured, Policy(metrics=(GATE,)), champion=True) == ""
    assert settled([run_test_at(GATE, mine, theirs, None)], Policy(metrics=(GATE,)), champion=True) == ""
    assert settled([], Policy(metrics=(GATE,)), champion=True) == ""


def test_the_default_margin_is_that_of_all_planned_cases() -> None:
    bare = replace(GATE, margin=None)
    mine, theirs = evidence(30, 30, 600)
    assert run_test(bare, mine, theirs).margin == 0.05
    found = run_test_at(bare, mine, theirs, point_of(600))
    assert found.margin == 0.03
    assert "688 cases or more" in found.notes[0]
    assert found.policy is bare


def test_thresholds_are_looked_at_without_a_champion() -> None:
    floor = MetricPolicy(suite="s", metric="m", min=0.8)
    mine, _ = evidence(0, 20, 900)
    measured = [run_test_at(floor, mine, None, point_of(900))]
    assert settled(measured, Policy(metrics=(floor,)), champion=False) == "every gating metric passes"
    low, _ = evidence(0, 270, 900)
    assert (
        settled([run_test_at(floor, low, None, point_of(900))], Policy(metrics=(floor,)), champion=False) == "m fails"
    )


def test_without_looks_nothing_changes() -> None:
    mine, theirs = evidence(30, 42, 900)
    assert decide(mine, theirs, Policy(metrics=(GATE,))).looks == ()
