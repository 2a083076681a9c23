"""Clusters with a known truth: what is drawn is what is said, and what is asked is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.clustered import (
    CLUSTERED_DESIGNS,
    CLUSTERED_MARGIN,
    ClusteredDesign,
    _decide_looks,
    _drawn,
    real_clusters,
    simulate_clusters,
)
from llmgate.gate.calibration.clustered_rows import ClusteredRow
from llmgate.gate.calibration.resampled import SystemPair
from llmgate.stats.clusters.facts import facts_of
from llmgate.stats.paired import cluster_t

ALPHA = 0.05


@pytest.mark.parametrize("design", CLUSTERED_DESIGNS, ids=lambda design: design.name)
def test_the_mean_that_is_drawn_is_the_truth(design: ClusteredDesign) -> None:
    sums = _drawn(design, -CLUSTERED_MARGIN, np.random.default_rng(2), 3_000)
    sizes = np.array(design.sizes)
    assert np.all(np.abs(sums) <= sizes)
    means = sums.sum(axis=1) / sizes.sum()
    assert means.mean() == pytest.approx(-CLUSTERED_MARGIN, abs=4.5 * means.std() / np.sqrt(3_000))


def test_clusters_that_fail_are_as_frequent_as_is_said_and_lose_as_much() -> None:
    design = ClusteredDesign(name="", sizes=(200,) * 20, sd=0.0, discordance=0.0, frequency=0.1)
    sums = _drawn(design, 0.0, np.random.default_rng(3), 2_000)
    failing = sums < -50
    assert design.lost == pytest.approx(0.5)
    assert failing.mean() == pytest.approx(0.1, abs=0.01)
    assert np.all(sums[~failing] == 0.0)
    assert sums[failing].mean() / 200 == pytest.approx(-0.5, abs=0.01)
    assert (~failing.any(axis=1)).mean() == pytest.approx(design.absent, abs=0.03)


@pytest.mark.parametrize(
    "design", [design for design in CLUSTERED_DESIGNS if design.looks == 1], ids=lambda design: design.name
)
def test_every_design_meets_what_is_asked_of_it(design: ClusteredDesign) -> None:
    row = simulate_clusters(design, rng=np.random.default_rng(7), repetitions=1_000, alpha=ALPHA)
    assert row.requirements
    assert all(asked.met for asked in row.requirements), [str(asked) for asked in row.requirements]
    assert (row.failed_unchanged is None) == (row.kind == "rare failures")


def test_robust_t_alone_would_not() -> None:
    """The design shows what it is for: one cluster with half of the cases."""
    design = next(design for design in CLUSTERED_DESIGNS if design.name == "41, one holds half")
    sums = _drawn(design, 0.0, np.random.default_rng(7), 400)
    codes = np.repeat(np.arange(41), design.sizes)
    found = [cluster_t((row / design.sizes)[codes], codes, alpha=ALPHA).upper < 0.0 for row in sums]
    assert np.mean(found) > 0.12


def test_early_looks_decide_what_is_plain_and_cannot_crash_where_they_see_next_to_nothing() -> None:
    sizes = np.full(30, 10.0)
    plain = np.random.default_rng(1).integers(-9, -5, (50, 30)).astype(float)
    found = _decide_looks(plain, sizes, looks=5, alpha=ALPHA)
    assert found.failed.all()
    assert not _decide_looks(plain * 0.0 + 1e-9, sizes, looks=5, alpha=ALPHA).failed.any()
    # The first look has one cluster, and the second all but one.
    lopsided = np.array([300.0, *([5.0] * 12)])
    some = np.random.default_rng(2).normal(-0.05, 0.1, (50, 13)) * lopsided
    verdicts = _decide_looks(some, lopsided, looks=5, alpha=ALPHA)
    assert not (verdicts.passed & verdicts.failed).any()


def test_a_cluster_cannot_lose_more_than_it_has() -> None:
    with pytest.raises(UndefinedError, match=r"0\.04 of the clusters cannot lose"):
        ClusteredDesign(name="", sizes=(1,) * 9, frequency=0.04)


def pair(losses: np.ndarray, name: str = "a / b", size: int = 30) -> SystemPair:
    codes = np.repeat(np.arange(len(losses)), size)
    within = np.tile(np.arange(size), len(losses))
    first = np.ones(len(codes))
    second = np.where(within < np.round(losses[codes] * size), 0.0, 1.0)
    return SystemPair(name=name, first=first, second=second, clusters=codes)


def test_real_pairs_are_held_to_their_own_loss_and_the_worst_is_named() -> None:
    spread = pair(np.linspace(0.0, 0.1, 18), "even / spread")
    one = pair(np.array([0.9, *([0.0] * 17)]), "one / task")
    turned = replace(spread, name="turned / round", first=spread.second, second=spread.first)
    equal = pair(np.zeros(18), "equal / equal")
    row = real_clusters([spread, one, turned, equal], source="made up", rng=np.random.default_rng(1), alpha=ALPHA)
    assert row is not None
    assert row.comparisons == 3
    assert row.runs == 3_000
    assert row.worst is not None
    assert row.worst[0] == "one / task"
    # Absent from 36 % of draws, and no rule can see what is absent.
    assert row.worst[1] == pytest.approx((17 / 18) ** 18, abs=0.06)
    assert row.far_over == 1
    over = next(asked for asked in row.requirements if "twice as often" in asked.what)
    assert not over.met
    assert "made up" in over.where
    assert row.to_json()["far_over"] == 1
    assert real_clusters([equal], source="made up", rng=np.random.default_rng(1), alpha=ALPHA) is None


def test_counts_that_do_not_fit_are_refused() -> None:
    facts = facts_of([0, 1, 2], alpha=ALPHA)
    row = ClusteredRow(
        kind="symmetric", design="3 of 1", cases=3, facts=facts, margin=0.05, alpha=ALPHA, runs=10, passed=10
    )
    assert not row.requirements[0].met
    for wrong in ({"passed": 11}, {"failed_unchanged": 11}, {"far_over": 1}, {"runs": 0}):
        with pytest.raises(UndefinedError, match="do not fit"):
            replace(row, **wrong)  # type: ignore[arg-type]
