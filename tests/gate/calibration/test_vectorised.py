"""Thousands of verdicts at once are the verdicts that the gate gives one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import decide_tables

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.vectorised import Draws, decide_counts, decide_draws, tango_scores
from llmgate.gate.decision.types import Verdict
from llmgate.gate.metrics.intervals import compare
from llmgate.record.scores import Items, ScoreTable
from llmgate.stats.proportion import PairedCounts, tango, tango_z

MARGIN, ALPHA = 0.03, 0.05


def one_by_one(draws: Draws, margin: float) -> list[Verdict]:
    """The whole way of the gate: tables, matching, tests, verdict."""
    verdicts = []
    for one in range(draws.count):
        chosen = draws.draw == one
        keys = None if draws.clusters is None else [str(code) for code in draws.clusters[chosen].tolist()]
        ids = [f"c{i:05d}" for i in range(int(chosen.sum()))]
        sides = [
            ScoreTable(suite="s", metric="m", items=Items.of(ids, clusters=keys), scores=side[chosen])
            for side in (draws.candidate, draws.champion)
        ]
        verdicts.append(decide_tables(sides[0], sides[1], margin=margin, alpha=ALPHA).verdict)
    return verdicts


def together(draws: Draws, margin: float) -> list[Verdict]:
    found = decide_draws(draws, margin=margin, alpha=ALPHA)
    assert not (found.passed & found.failed).any()
    both = zip(found.passed.tolist(), found.failed.tolist(), strict=True)
    return [Verdict.PASS if p else Verdict.FAIL if f else Verdict.INCONCLUSIVE for p, f in both]


def draws_of(sides: list[tuple[np.ndarray, np.ndarray]], clusters: list[np.ndarray] | None = None) -> Draws:
    return Draws(
        candidate=np.concatenate([one for one, _ in sides]).astype(float),
        champion=np.concatenate([other for _, other in sides]).astype(float),
        draw=np.repeat(np.arange(len(sides)), [len(one) for one, _ in sides]),
        clusters=None if clusters is None else np.concatenate(clusters),
    )


def right_or_wrong(rng: np.random.Generator, n: int, lost: float) -> tuple[np.ndarray, np.ndarray]:
    champion = rng.random(n) < 0.7
    candidate = np.where(rng.random(n) < 0.1, rng.random(n) < 0.7, champion) & (rng.random(n) >= lost)
    return candidate, champion


def graded(rng: np.random.Generator, n: int, lost: float) -> tuple[np.ndarray, np.ndarray]:
    champion = np.round(rng.random(n), 2)
    candidate = np.clip(np.round(champion + rng.normal(0, 0.15, n), 2), 0, 1) * (rng.random(n) >= lost)
    return candidate, champion


def skewed(rng: np.random.Generator, n: int, lost: float) -> tuple[np.ndarray, np.ndarray]:
    """Few large losses: where the gate resamples."""
    champion = np.full(n, 0.9)
    return np.where(rng.random(n) < lost + 0.02, 0.1, 0.91), champion


KINDS = {"right or wrong": right_or_wrong, "graded": graded, "skewed": skewed}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "margin"), [(7, 0.4), (30, 0.12), (49, 0.1), (60, 0.1), (300, 0.03), (1000, 0.02)])
def test_the_same_verdicts_as_the_gate_on_independent_cases(kind: str, n: int, margin: float) -> None:
    rng = np.random.default_rng([n, len(kind)])
    sides = [KINDS[kind](rng, n, lost) for lost in (0.0, margin / 2, margin, 2 * margin) for _ in range(4)]
    draws = draws_of(sides)
    assert together(draws, margin) == one_by_one(draws, margin)


@pytest.mark.parametrize(("groups", "size"), [(2, 20), (6, 30), (18, 20), (29, 5), (30, 5), (45, 8)])
@pytest.mark.parametrize("kind", ["right or wrong", "graded"])
def test_the_same_verdicts_as_the_gate_on_clusters(kind: str, groups: int, size: int) -> None:
    rng = np.random.default_rng([groups, size, len(kind)])
    sides, clusters = [], []
    for lost in (0.0, 0.05, 0.1, 0.3):
        for _ in range(4):
            n = groups * size + int(rng.integers(5))
            sides.append(KINDS[kind](rng, n, lost))
            clusters.append(rng.permutation(np.arange(n) % groups))
    draws = draws_of(sides, clusters)
    verdicts = together(draws, 0.08)
    assert verdicts == one_by_one(draws, 0.08)
    assert len(set(verdicts)) > 1 or groups == 2


def unequal(rng: np.random.Generator, kind: int, n: int) -> np.ndarray:
    """Cluster codes: one that holds half, geometric sizes, or 3 large ones and the rest alone."""
    if kind == 0:
        return rng.permutation(np.where(np.arange(n) < n // 2, 0, 1 + np.arange(n) // 10))
    if kind == 1:
        return np.sort(np.minimum(rng.geometric(0.12, n), 25))
    return np.where(np.arange(n) < 3 * n // 4, np.arange(n) % 3, np.arange(n))


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("n", [90, 400, 1_400])
def test_the_same_verdicts_as_the_gate_on_unequal_and_skewed_clusters(kind: int, n: int) -> None:
    rng = np.random.default_rng([kind, n])
    sides, clusters = [], []
    for lost in (0.0, 0.02, 0.05, 0.2):
        for _ in range(6):
            codes = unequal(rng, kind, n)
            # What is lost is lost by whole clusters.
            hit = rng.random(int(codes.max()) + 1) < lost
            champion = rng.random(n) < 0.8
            candidate = np.where(rng.random(n) < 0.1, rng.random(n) < 0.8, champion) & ~hit[codes]
            sides.append((candidate, champion))
            clusters.append(codes)
    draws = draws_of(sides, clusters)
    verdicts = together(draws, 0.05)
    assert verdicts == one_by_one(draws, 0.05)
    assert len(set(verdicts)) > 1 or n == 90


@pytest.mark.parametrize("alpha", [4e-5, 0.003, 0.2])
def test_the_same_verdicts_at_the_tails_of_looks(alpha: float) -> None:
    rng = np.random.default_rng(round(1e6 * alpha))
    sides = [right_or_wrong(rng, 300, lost) for lost in (0.0, 0.0, 0.5) for _ in range(5)]
    draws = draws_of(sides, [np.arange(300) // size for size in (10, 40, 10, 40, 2) * 3])
    found = decide_draws(draws, margin=0.1, alpha=alpha)
    for one in range(draws.count):
        chosen = np.flatnonzero(draws.draw == one)
        try:
            wanted = compare(draws.pairs(int(chosen[0]), int(chosen[-1]) + 1), margin=0.1, alpha=alpha)
        except UndefinedError:
            assert not (found.passed[one])
            assert not (found.failed[one])
            continue
        assert (found.passed[one], found.failed[one]) == (wanted.passed, wanted.worse)


def test_the_kinds_together_reach_every_verdict() -> None:
    rng = np.random.default_rng(5)
    sides = [kind(rng, n, lost) for kind in KINDS.values() for n in (40, 400) for lost in (0.0, 0.05, 0.3)]
    draws = draws_of(sides * 2)
    verdicts = together(draws, 0.05)
    assert verdicts == one_by_one(draws, 0.05)
    assert set(verdicts) == {Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE}


def test_data_sets_of_different_kinds_and_sizes_may_lie_side_by_side() -> None:
    rng = np.random.default_rng(9)
    sides, clusters = [], []
    for n in (12, 80, 200):
        for kind in KINDS.values():
            sides += [kind(rng, n, 0.05)] * 2
            # Keys that no two cases share are no clusters.
            clusters += [np.arange(n), np.arange(n) // 4]
    draws = draws_of(sides, clusters)
    assert together(draws, 0.08) == one_by_one(draws, 0.08)


def test_differences_that_do_not_vary_and_a_single_cluster() -> None:
    same = np.full(200, 0.5)
    sides = [(same, same), (same - 0.1, same), (same + 0.1, same), (same[:50], same[:50])]
    for clusters in (
        None,
        [np.arange(len(one)) // 5 for one, _ in sides],
        [np.zeros(len(one), int) for one, _ in sides],
    ):
        draws = draws_of(sides, clusters)
        assert together(draws, 0.05) == one_by_one(draws, 0.05)


def test_clusters_that_balance_out_exactly() -> None:
    champion = np.tile([0.2, 0.8, 0.5, 0.5], 40)
    candidate = np.tile([0.3, 0.7, 0.6, 0.4], 40)
    draws = draws_of([(candidate, champion), (champion, candidate)], [np.arange(160) // 4] * 2)
    assert together(draws, 0.05) == one_by_one(draws, 0.05)


def test_counts_decide_as_tangos_interval_on_every_table_of_forty_pairs() -> None:
    tables = [(b, c) for b in range(41) for c in range(41 - b)]
    better, worse = np.array(tables).T
    found = decide_counts(better, worse, np.full(len(tables), 40), margin=0.1, alpha=ALPHA)
    intervals = [tango(PairedCounts(better=b, worse=c, pairs=40), alpha=ALPHA) for b, c in tables]
    assert found.passed.tolist() == [one.lower > -0.1 for one in intervals]
    assert found.failed.tolist() == [not one.lower > -0.1 and one.upper < 0.0 for one in intervals]


@given(st.integers(1, 3000), st.floats(0, 1), st.floats(0, 1), st.floats(-0.99, 0.99))
def test_scores_are_those_of_tango(n: int, first: float, second: float, delta0: float) -> None:
    better = int(first * n)
    worse = int(second * (n - better))
    (score,) = tango_scores(np.array([better]), np.array([worse]), np.array([n]), delta0=delta0)
    expected = tango_z(PairedCounts(better=better, worse=worse, pairs=n), delta0=delta0)
    assert score == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_impossible_questions_are_refused() -> None:
    one = np.array([1])
    with pytest.raises(UndefinedError, match="delta0 is 1"):
        tango_scores(one, one, np.array([5]), delta0=1.0)
    scores = np.zeros(3)
    for numbers in ([1, 1, 2], [0, 2, 2], [0, 1, 0]):
        with pytest.raises(UndefinedError, match="numbered from 0"):
            Draws(candidate=scores, champion=scores, draw=np.array(numbers))
    with pytest.raises(UndefinedError, match="numbered from 0"):
        Draws(candidate=scores[:0], champion=scores[:0], draw=np.zeros(0, int))
