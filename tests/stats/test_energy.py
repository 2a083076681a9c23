"""Energy distance against scipy, brute force, exact enumeration and its own properties."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist

from llmgate.errors import UndefinedError
from llmgate.stats import energy
from llmgate.stats.energy import energy_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS = st.floats(-50, 50).map(lambda x: round(x, 2))
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20)


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def brute(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean())


def normals(n: int, d: int, *, seed: int, shift: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    source = rng(seed)
    common = source.normal(size=(n, d))
    return common + source.normal(size=(n, d)), common + source.normal(size=(n, d)) + shift


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ([], [], "0 pairs"),
        ([[1.0, 2.0]], [[1.0]], "come in pairs"),
        ([[1.0], [2.0]], [[1.0]], "come in pairs"),
        ([math.nan, 1.0], [0.0, 1.0], "not finite"),
        ([0.0, 1.0], [math.inf, 1.0], "not finite"),
    ],
)
def test_what_has_no_distance_is_refused(x: list[float], y: list[float], said: str) -> None:
    with pytest.raises(UndefinedError, match=said):
        energy_distance(np.array(x), np.array(y), rng=rng())


def test_permutations_and_clusters_are_checked() -> None:
    x, y = normals(5, 2, seed=1)
    with pytest.raises(UndefinedError, match="0 permutations"):
        energy_distance(x, y, rng=rng(), permutations=0)
    with pytest.raises(UndefinedError, match="5 pairs but 4 cluster codes"):
        energy_distance(x, y, rng=rng(), clusters=np.arange(4))


@given(pairs=PAIRS)
def test_one_dimension_agrees_with_scipy(pairs: list[tuple[float, float]]) -> None:
    x, y = np.array(pairs).T
    found = energy_distance(x, y, rng=rng(), permutations=9)
    assert found.distance == pytest.approx(stats.energy_distance(x, y), abs=1e-6)


@pytest.mark.parametrize("d", [1, 2, 17])
def test_many_dimensions_agree_with_brute_force(d: int) -> None:
    x, y = normals(60, d, seed=d, shift=0.4)
    y[::3] = x[::3]  # Answers that did not change are the usual case, and take a path of their own.
    found = energy_distance(x, y, rng=rng(), permutations=9)
    assert found.distance**2 == pytest.approx(brute(x, y), rel=1e-9)
    assert (found.pairs, found.changed) == (60, 40)


def test_the_p_value_is_that_of_all_exchanges() -> None:
    x, y = normals(9, 3, seed=4, shift=0.5)
    observed = brute(x, y)
    every = []
    for swap in product([False, True], repeat=9):
        at = np.array(swap)[:, None]
        every.append(brute(np.where(at, y, x), np.where(at, x, y)))
    exact = np.mean(np.array(every) >= observed - 1e-9)
    found = energy_distance(x, y, rng=rng(), permutations=20_000)
    assert found.p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))
    assert found.expected**2 == pytest.approx(np.mean(every), rel=0.02)


def test_clusters_are_exchanged_whole() -> None:
    x, y = normals(8, 2, seed=5, shift=0.5)
    clusters = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    observed = brute(x, y)
    every = [
        brute(np.where(at, y, x), np.where(at, x, y))
        for swap in product([False, True], repeat=3)
        for at in [np.array(swap)[clusters][:, None]]
    ]
    exact = np.mean(np.array(every) >= observed - 1e-9)
    found = energy_distance(x, y, rng=rng(), permutations=20_000, clusters=clusters)
    assert found.p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))


@given(pairs=PAIRS, move=st.floats(-100, 100), scale=st.floats(0.01, 100))
def test_it_moves_with_the_unit_and_not_with_the_origin(
    pairs: list[tuple[float, float]], move: float, scale: float
) -> None:
    x, y = np.array(pairs).T
    here = energy_distance(x, y, rng=rng(), permutations=19)
    there = energy_distance(scale * x + move, scale * y + move, rng=rng(), permutations=19)
    assert there.distance**2 == pytest.approx(scale * here.distance**2, rel=1e-6, abs=1e-9 + 1e-6 * scale)
    turned = energy_distance(y, x, rng=rng(), permutations=19)
    assert turned.distance == pytest.approx(here.distance, abs=1e-6)
    assert 0.0 < here.p <= 1.0


def test_equal_samples_have_no_distance_and_no_doubt() -> None:
    x, _ = normals(40, 3, seed=6)
    found = energy_distance(x, x.copy(), rng=rng())
    assert (found.distance, found.expected, found.p, found.changed) == (0.0, 0.0, 1.0, 0)


def test_the_same_seed_gives_the_same_numbers() -> None:
    x, y = normals(30, 3, seed=8)
    assert energy_distance(x, y, rng=rng(3)) == energy_distance(x, y, rng=rng(3))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normals(50, 4, seed=9, shift=0.2)
    whole = energy_distance(x, y, rng=rng())
    monkeypatch.setattr(energy, "_BLOCK_NUMBERS", 3 * 50)
    parted = energy_distance(x, y, rng=rng())
    assert parted.distance == pytest.approx(whole.distance, rel=1e-12)
    assert parted.p == whole.p


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_more_of_a_shift_is_never_nearer(seed: int) -> None:
    x, _ = normals(12, 2, seed=seed)
    distances = [energy_distance(x, x + shift, rng=rng(), permutations=1).distance for shift in (0.1, 0.4, 1.6)]
    assert distances == sorted(distances)


def test_an_unchanged_model_is_called_changed_as_often_as_announced() -> None:
    """500 comparisons without a change: at most 5 % have p ≤ 0.05, but for simulation error (3 σ)."""
    small = sum(energy_distance(*normals(25, 3, seed=i), rng=rng(i), permutations=99).p <= 0.05 for i in range(500))
    assert small <= 500 * 0.05 + 3 * math.sqrt(500 * 0.05 * 0.95)
    assert small >= 500 * 0.05 - 3 * math.sqrt(500 * 0.05 * 0.95)


def test_a_real_change_is_found() -> None:
    found = [energy_distance(*normals(80, 3, seed=i, shift=0.6), rng=rng(i), permutations=99).p for i in range(20)]
    assert max(found) <= 0.05


def test_a_change_of_spread_alone_is_found() -> None:
    """What no comparison of means can see."""
    source = rng(1)
    x, y = source.normal(size=(400, 2)), 2.0 * source.normal(size=(400, 2))
    assert energy_distance(x, y, rng=rng()).p <= 0.01
