"""Energy distance between two samples of vectors that come in pairs: has the distribution moved, in any way at all?

Both sides answer the same prompts, so the samples are paired, and under "nothing changed" the two vectors of a pair may
be exchanged. Which is what the p-value does, many times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = ["EnergyDistance", "energy_distance"]

_BLOCK_NUMBERS = 1 << 22
"""Distances held in memory at a time, about 32 MiB per matrix."""
_TIE = 1e-9
"""Relative to the statistic: permutations that only differ by rounding count as equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyDistance:
    """How far apart two paired samples are.

    Attributes:
        distance: √(2·E|X−Y| − E|X−X'| − E|Y−Y'|) of the two empirical distributions, in the root of the vectors' unit;
            0 if and only if the two samples are equal as sets.
        expected: What the distance would be if nothing had changed: the root of the mean over the permutations. It is
            not 0, because two finite samples never are the same.
        p: Share of the permutations, the observed one included, with at least this distance.
        pairs: Number of pairs.
        changed: Pairs whose vectors differ.
        permutations: How many were drawn.
    """

    distance: float
    expected: float
    p: float
    pairs: int
    changed: int
    permutations: int


def energy_distance(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    rng: Generator,
    permutations: int = 999,
    clusters: NDArray[np.int64] | None = None,
) -> EnergyDistance:
    """Energy distance of paired samples with a permutation p-value.

    E = 2/n² Σ_ij |x_i − y_j| − 1/n² Σ_ij |x_i − x_j| − 1/n² Σ_ij |y_i − y_j|, |·| Euclidean. With
    A_ij = |x_i − x_j| − |x_i − y_j| − |y_i − x_j| + |y_i − y_j| this is E = −sᵀAs/n² for s = (1, …, 1), and exchanging
    the vectors of pair i is s_i = −1. So all permutations together are one product of matrices, taken in blocks of
    rows: memory grows with n·permutations, not with n². Pairs of equal vectors have rows of zeros and are left out.

    p = (1 + #{E_s ≥ E}) / (1 + permutations), exact (never too small) whenever pairs are independent and exchangeable.

    Args:
        x: Shape (n, d) or (n,), n ≥ 1.
        y: The same shape; row i belongs to row i of x.
        rng: Source of the permutations.
        permutations: How many to draw, at least 1.
        clusters: A code per pair, shape (n,): pairs of one cluster are exchanged together. None if pairs are
            independent.

    Raises:
        UndefinedError: Without pairs or permutations, for shapes that differ, or numbers that are not finite.

    Reference: Székely & Rizzo (2013), Energy statistics, Journal of Statistical Planning and Inference 143:1249-1272;
    the +1 is of Phipson & Smyth (2010), Statistical Applications in Genetics and Molecular Biology 9:39.
    """
    left, right = _rows(x), _rows(y)
    if left.shape != right.shape:
        raise UndefinedError(f"the samples have shapes {left.shape} and {right.shape}, but must come in pairs")
    n = len(left)
    if n < 1 or permutations < 1:
        raise UndefinedError(f"{n} pairs and {permutations} permutations give no distribution")
    if not (np.all(np.isfinite(left)) and np.all(np.isfinite(right))):
        raise UndefinedError("a vector holds a number that is not finite")
    codes = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    if len(codes) != n:
        raise UndefinedError(f"{n} pairs but {len(codes)} cluster codes")
    moved = np.flatnonzero(np.any(left != right, axis=1))
    units, of_pair = np.unique(codes[moved], return_inverse=True)
    swaps = rng.choice(np.array([-1.0, 1.0]), size=(len(units), permutations))
    signs = np.concatenate((np.ones((len(moved), 1)), swaps[of_pair]), axis=1)
    statistics = _statistics(left[moved], right[moved], signs) / (n * n)
    observed, permuted = float(statistics[0]), statistics[1:]
    reached = int(np.sum(permuted >= observed - _TIE * abs(observed)))
    return EnergyDistance(
        distance=math.sqrt(max(observed, 0.0)),
        expected=math.sqrt(max(float(np.mean(permuted)), 0.0)),
        p=(1 + reached) / (1 + permutations),
        pairs=n,
        changed=len(moved),
        permutations=permutations,
    )


def _rows(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = np.asarray(sample, dtype=np.float64)
    return rows[:, None] if rows.ndim == 1 else rows


def _statistics(x: NDArray[np.float64], y: NDArray[np.float64], signs: NDArray[np.float64]) -> NDArray[np.float64]:
    """−sᵀAs for every column s of `signs`."""
    centre = (x.mean(axis=0) + y.mean(axis=0)) / 2.0 if len(x) else 0.0
    x, y = x - centre, y - centre  # Distances from products lose digits far from the origin.
    total = np.zeros(signs.shape[1])
    step = max(1, _BLOCK_NUMBERS // max(1, len(x)))
    for start in range(0, len(x), step):
        at = slice(start, start + step)
        between = _distances(x[at], x) - _distances(x[at], y) - _distances(y[at], x) + _distances(y[at], y)
        # A vector's distance to itself is 0; from products it is the root of a rounding error.
        own = np.arange(len(between))
        between[own, start + own] = -2.0 * np.linalg.norm(x[at] - y[at], axis=1)
        total -= np.einsum("ib,ib->b", signs[at], between @ signs)
    return total


def _distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean distances of all rows of `a` to all rows of `b`."""
    if a.shape[1] == 1:
        return np.asarray(np.abs(a - b.T))
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)[None, :]
    return np.asarray(np.sqrt(np.maximum(squares - 2.0 * (a @ b.T), 0.0)))
