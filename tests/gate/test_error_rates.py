"""How often the rule errs, by simulation with fixed seeds: the promises that are published.

Tango's rates are exact sums, compared with the design table in tests/stats/test_power.py. Here the whole choice of
methods is run on scores that are not 0 or 1, and on clusters. The bounds leave four standard errors of room.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmgate.gate.evidence.pairing import Errors, Pairs
from llmgate.gate.metrics.intervals import compare
from llmgate.record.scores import texts

if TYPE_CHECKING:
    from llmgate.gate.metrics.metric import HypothesisTest

RUNS = 200
ALPHA = 0.05

Draw = Callable[[np.random.Generator, int, float], np.ndarray]


def at_most(rate: float, runs: int = RUNS) -> float:
    return rate + 4 * math.sqrt(rate * (1 - rate) / runs)


def compared(differences: np.ndarray, margin: float, clusters: tuple[int, ...] | None = None) -> HypothesisTest:
    """The rule on differences between −1 and 1; scores are halves around one half, so all sizes are halved too."""
    candidate = (1.0 + np.clip(differences, -1.0, 1.0)) / 2.0
    pairs = Pairs(
        item_ids=texts([str(i) for i in range(len(candidate))]),
        candidate=candidate,
        champion=np.full(len(candidate), 0.5),
        clusters=None if clusters is None else np.array(clusters),
        expected=len(candidate),
        errors=Errors(),
        slices={},
    )
    return compare(pairs, margin=margin / 2.0, alpha=ALPHA)


def normal(rng: np.random.Generator, n: int, mean: float) -> np.ndarray:
    return rng.normal(mean, 0.15, n)


def few_large_losses(rng: np.random.Generator, n: int, mean: float) -> np.ndarray:
    loss = (0.02 * 0.9 - mean) / 0.1
    return np.where(rng.random(n) < 0.1, -loss, 0.02) + rng.normal(0, 0.002, n)


def rare_halves(rng: np.random.Generator, n: int, mean: float) -> np.ndarray:
    return -0.5 * (rng.random(n) < -2 * mean).astype(float)


@pytest.mark.parametrize(
    ("kind", "cases", "margin"),
    [
        (normal, 30, 0.1),
        (normal, 300, 0.05),
        (few_large_losses, 100, 0.05),
        (few_large_losses, 300, 0.05),
        (rare_halves, 100, 0.05),
        (rare_halves, 300, 0.05),
        (rare_halves, 1000, 0.03),
    ],
)
def test_a_graded_loss_of_the_margin_rarely_passes(kind: Draw, cases: int, margin: float) -> None:
    rng = np.random.default_rng([cases, int(1000 * margin)])
    passed = sum(compared(kind(rng, cases, -margin), margin).passed for _ in range(RUNS))
    assert passed / RUNS <= at_most(ALPHA)


@pytest.mark.parametrize("cases", [40, 300])
def test_an_unchanged_graded_model_rarely_fails_and_passes_once_there_are_cases(cases: int) -> None:
    rng = np.random.default_rng(cases)
    found = [compared(normal(rng, cases, 0.0), 0.05) for _ in range(RUNS)]
    assert sum(f.worse for f in found) / RUNS <= at_most(ALPHA)
    if cases == 300:
        assert sum(f.passed for f in found) / RUNS >= 0.95


@pytest.mark.parametrize(("groups", "size", "correlation"), [(8, 30, 0.1), (25, 20, 0.2), (40, 10, 0.3)])
def test_clusters_do_not_pretend_to_be_independent_cases(groups: int, size: int, correlation: float) -> None:
    rng = np.random.default_rng(groups)
    keys = np.repeat(np.arange(groups), size)

    def draw(mean: float) -> HypothesisTest:
        shared = rng.normal(0, 0.3 * math.sqrt(correlation), groups)[keys]
        own = rng.normal(0, 0.3 * math.sqrt(1 - correlation), groups * size)
        return compared(mean + shared + own, 0.1, tuple(keys.tolist()))

    assert sum(draw(-0.1).passed for _ in range(RUNS)) / RUNS <= at_most(ALPHA)
    assert sum(draw(0.0).worse for _ in range(RUNS)) / RUNS <= at_most(ALPHA)


def test_swapping_labels_of_real_results_gives_an_exact_null() -> None:
    """GSM8K, 175b_finetuning and 6b_verification: 152 and 209 of 1,319 answers are right in only one of them."""
    rng = np.random.default_rng(1319)
    failed = 0
    for _ in range(RUNS):
        swapped = rng.random(361) < 0.5
        candidate = np.concatenate((np.where(swapped, 1.0, 0.0), np.ones(958)))
        champion = np.concatenate((np.where(swapped, 0.0, 1.0), np.ones(958)))
        pairs = Pairs(
            item_ids=texts([str(i) for i in range(1319)]),
            candidate=candidate,
            champion=champion,
            clusters=None,
            expected=1319,
            errors=Errors(),
            slices={},
        )
        failed += compare(pairs, margin=0.01, alpha=ALPHA).worse
    assert failed / RUNS <= at_most(ALPHA)
