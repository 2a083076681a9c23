"""Real results with a known truth: swapped labels are an exact null, planted losses are exactly lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.shared_data import shared_file

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.resampled import (
    Sampling,
    SystemPair,
    _pick_clusters,
    _picks,
    _swapped,
    real_losses,
    resample,
)
from llmgate.gate.calibration.results import Calibration, CalibrationRow, DecisionRule, Truth
from llmgate.gate.calibration.system_pairs import choose
from llmgate.record.results.paired import PairedResults, load_paired
from llmgate.stats.planning.power import tango_chances

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.gate.calibration.vectorised import Draws


def pair(*, delta: float = 0.0, n: int = 2_000, graded: bool = False, groups: int | None = None) -> SystemPair:
    """The first is right on 6 of 10 items; the second gains 1 of 10 and loses as many, and -delta besides."""
    rng = np.random.default_rng([n, round(-1000 * delta), graded])
    first, second = (rng.permutation(n) < 0.6 * n).astype(float), np.zeros(n)
    right, wrong = np.flatnonzero(first == 1.0), np.flatnonzero(first == 0.0)
    second[right[round((0.1 - delta) * n) :]] = 1.0
    second[wrong[: round(0.1 * n)]] = 1.0
    if graded:
        first, second = (np.round(0.9 * side + 0.1 * rng.random(n), 3) for side in (first, second))
    clusters = None if groups is None else rng.integers(groups, size=n)
    return SystemPair(name="a / b", first=first, second=second, clusters=clusters)


def sampling(size: int | None, repetitions: int = 3_000) -> Sampling:
    return Sampling(source="made up", scores="right or wrong", size=size, repetitions=repetitions)


def measured(pairs: list[SystemPair], size: int | None, repetitions: int = 3_000) -> dict[DecisionRule, CalibrationRow]:
    rng = np.random.default_rng(11)
    rows = resample(pairs, sampling(size, repetitions), rng=rng, margin=0.03, alpha=0.05)
    return {row.rule: row for row in rows}


def drawn(one: SystemPair, loss: float, size: int | None) -> Draws:
    rng = np.random.default_rng(3)
    (picked, *_) = _picks(one, sampling(size), 400, rng)
    return _swapped(one, picked, loss, rng)


@pytest.mark.parametrize("size", [300, None])
@pytest.mark.parametrize("loss", [0.0, 0.03, 0.05])
def test_what_is_planted_is_lost_and_nothing_else(size: int | None, loss: float) -> None:
    one = pair(delta=-0.06, groups=20 if size is None else None)
    draws = drawn(one, loss, size)
    deltas = np.bincount(draws.draw, weights=draws.candidate - draws.champion) / draws.sizes
    error = float(deltas.std()) / math.sqrt(draws.count)
    assert abs(float(deltas.mean()) + loss) <= 4 * error
    assert draws.count == 400


def test_labels_of_a_cluster_are_swapped_together_and_its_items_stay_together() -> None:
    n = 60
    one = SystemPair(
        name="a / b", first=np.full(n, 0.25), second=np.arange(n) / n, clusters=np.repeat(np.arange(6), 10)[::-1]
    )
    rng = np.random.default_rng(1)
    picked = _pick_clusters(one, 50, rng)
    draws = _swapped(one, picked, 0.0, rng)
    assert draws.clusters is not None
    assert (draws.sizes == n).all()
    assert one.clusters is not None
    for one_draw in range(50):
        chosen = draws.draw == one_draw
        for cluster in range(6):
            inside = chosen & (draws.clusters == cluster)
            items = picked.item[inside]
            assert len(items) == 10
            assert len(set(one.clusters[items].tolist())) == 1
            assert len(set(items.tolist())) == 10
            # One side is the first system on all of them.
            assert (draws.candidate[inside] == 0.25).all() or (draws.champion[inside] == 0.25).all()


@pytest.mark.parametrize("size", [100, 400])
def test_right_or_wrong_rates_are_the_exact_ones(size: int) -> None:
    """Independent draws of swapped right-or-wrong items are what the exact sums are about."""
    one = pair()
    row = measured([one], size)[DecisionRule.GATE]
    exact = tango_chances(delta=0.0, discordance=one.discordance, pairs=size, margin=0.03, alpha=0.05)
    cell = row.cells[0]
    assert cell.promised == pytest.approx(exact.passed)
    for found, expected in ((cell.pass_rate, exact.passed), (cell.fail_rate, exact.failed)):
        assert abs(found - expected) <= 4 * math.sqrt(expected * (1 - expected) / cell.runs)
    assert (row.pairs, row.comparisons, row.discordance) == (size, 1, one.discordance)


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda: [pair(), pair(delta=-0.08)], 300),
        (lambda: [pair(graded=True), pair(graded=True, delta=-0.08)], 300),
        (lambda: [pair(groups=40, n=800)], None),
    ],
    ids=["right or wrong", "graded", "clusters"],
)
def test_all_that_is_asked_is_shown(make: Callable[[], list[SystemPair]], size: int | None) -> None:
    rows = measured(make(), size, repetitions=1_000)
    found = Calibration(seed=11, repetitions=1_000, quick=True, margin=0.03, alpha=0.05, rows=tuple(rows.values()))
    assert found.met, [str(one) for one in found.unmet]
    assert len(found.requirements) == (3 if size is None else 4)
    assert rows[DecisionRule.GATE].clustered is (size is None)
    assert 0.42 < rows[DecisionRule.MEAN_LOWER].cells[0].fail_rate < 0.55


def test_the_same_source_gives_the_same_rows() -> None:
    assert measured([pair()], 100, 50) == measured([pair()], 100, 50)


def test_real_losses_at_the_margin_rarely_pass() -> None:
    pairs = [pair(delta=-0.05), pair(), pair(delta=-0.3)]
    row = real_losses(pairs, sampling(300), rng=np.random.default_rng(2), alpha=0.05)
    assert row is not None
    (cell,) = row.cells
    assert (cell.truth, row.comparisons, row.margin) == (Truth.REAL_MARGIN, 1, None)
    assert cell.loss == pytest.approx(0.05)
    assert cell.pass_rate <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / cell.runs)
    assert cell.pass_rate >= 0.02
    assert real_losses([pair()], sampling(300), rng=np.random.default_rng(2), alpha=0.05) is None


def test_either_system_may_be_the_worse_one() -> None:
    one = pair(delta=-0.05)
    turned = SystemPair(name="b / a", first=one.second, second=one.first)
    rows = [real_losses([it], sampling(300), rng=np.random.default_rng(2), alpha=0.05) for it in (one, turned)]
    assert rows[0] is not None
    assert rows[1] is not None
    assert (rows[0].cells[0].passed, rows[0].cells[0].failed) == (rows[1].cells[0].passed, rows[1].cells[0].failed)


def test_the_worst_comparison_is_named_where_there_are_enough_data_sets() -> None:
    rows = measured([pair(), pair(delta=-0.06)], 100, repetitions=2_000)
    worst = rows[DecisionRule.GATE].cells[0].worst
    assert worst is not None
    assert worst[0] == "a / b"
    assert measured([pair()], 100, repetitions=500)[DecisionRule.GATE].cells[0].worst is None


def test_what_cannot_be_planted_is_refused() -> None:
    poor = SystemPair(name="poor", first=np.full(200, 0.04), second=np.full(200, 0.04))
    with pytest.raises(UndefinedError, match="poor score 0.040 on average, from which 0.05 cannot be lost"):
        resample([pair(), poor], sampling(100), rng=np.random.default_rng(0), margin=0.03, alpha=0.05)
    with pytest.raises(UndefinedError, match="no pair of systems"):
        resample([], sampling(100), rng=np.random.default_rng(0), margin=0.03, alpha=0.05)
    with pytest.raises(UndefinedError, match="share no item"):
        SystemPair(name="none", first=np.zeros(0), second=np.zeros(0))
    with pytest.raises(UndefinedError, match="all items of one belong to one cluster"):
        SystemPair(name="one", first=np.zeros(5), second=np.ones(5), clusters=np.zeros(5, dtype=np.int64))


def results(scores: np.ndarray, clusters: np.ndarray | None = None) -> PairedResults:
    systems, items = scores.shape
    return PairedResults(
        name="set",
        sha256="0",
        systems=tuple(f"s{i}" for i in range(systems)),
        items=tuple(f"i{i:04d}" for i in range(items)),
        clusters=clusters,
        scores=scores,
    )


def test_comparisons_that_are_left_out_are_counted_and_named() -> None:
    scores = np.full((4, 150), 0.5)
    scores[1, 60:] = math.nan  # shares 60 items with the others
    scores[2] = scores[3] = 0.02  # 2 points on average
    chosen = choose(results(scores), loss=0.05, most=10, rng=np.random.default_rng(0))
    assert [one.name for one in chosen.pairs] == ["s0 / s2", "s0 / s3"]
    assert chosen.notes == (
        "3 comparisons of set on fewer than 100 shared items",
        "1 comparison of set in which less than 5 points are scored, so that they cannot be lost",
    )


def test_of_many_comparisons_some_are_drawn() -> None:
    chosen = choose(results(np.full((6, 120), 0.5)), loss=0.05, most=4, rng=np.random.default_rng(0))
    assert len(chosen.pairs) == 4
    assert chosen.notes == ("11 comparisons of set, not drawn from its 15",)


def test_items_of_one_cluster_are_no_comparison() -> None:
    chosen = choose(
        results(np.full((2, 120), 0.5), np.zeros(120, dtype=np.int64)), loss=0.05, most=4, rng=np.random.default_rng(0)
    )
    assert chosen.pairs == ()


def test_gsm8k_shows_what_is_asked() -> None:
    """Three real systems on 1,319 problems."""
    chosen = choose(load_paired(shared_file("paired/gsm8k.jsonl")), loss=0.05, most=10, rng=np.random.default_rng(0))
    rows = tuple(measured(list(chosen.pairs), 300, repetitions=2_000).values())
    found = Calibration(seed=11, repetitions=2_000, quick=True, margin=0.03, alpha=0.05, rows=rows)
    assert found.met, [str(one) for one in found.unmet]
    assert rows[0].comparisons == 3
