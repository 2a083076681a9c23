"""How much another attempt at the same cases tells beside the first: what asking again averages out, and what not.

At attempt j a case's score is the mean over the candidate's Q_j runs so far, and the champion's the mean over its R_j
runs; D_j is their difference. Between cases it varies by what asking again cannot remove (cases on which one model is
better) and by what it can (answers that differ from one time to the next):

Var(D_j) = ω² + σ_c²/Q_j + σ_b²/R_j,

σ_c² and σ_b² the mean variance of one model's answers to a case. Averages of equally many answers to each case have
Cov(D_i, D_j) = Var(D_j) for i < j, so that the statistics of attempts correlate by √(t_i/t_j), t_j = Var(D_1)/Var(D_j).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.errors import UndefinedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["MOST_CORRELATION", "information_of"]

MOST_CORRELATION: Final = 0.96
"""The higher r is taken, the lower the bounds of further attempts; an estimate near 1 is not believed."""


def information_of(
    candidate: NDArray[np.float64],
    counts: Sequence[int],
    champion: NDArray[np.float64] | None = None,
    champion_counts: Sequence[int] = (),
    clusters: NDArray[np.int64] | None = None,
) -> tuple[float, tuple[float, ...]]:
    """r, and t_1 = 1, t_2, …, t_k.

    Where every attempt has a run of its own of the candidate, and the champion the same run or one of its own too, r
    is cov(d_1, d_2) / mean variance of d_1 and d_2 over cases (its mean over pairs of attempts), d_j being the
    difference of attempt j, and t_j = 1/(r + (1 − r)/j). Otherwise r is the one that gives the same t_k. It is clipped
    to [0, 0.96]; where nothing varies it is 0, for which bounds are highest. With clusters their sums stand for the
    cases.

    Args:
        candidate: Scores of the candidate's Q runs at n cases, shape (Q, n).
        counts: Q_1, Q_2, …: how many of them count at each attempt; not falling, Q at last.
        champion: Scores of the champion's R runs, shape (R, n); None without one.
        champion_counts: R_1, R_2, …; empty without one.
        clusters: Cluster codes, shape (n,); None where cases are independent.

    Raises:
        UndefinedError: If the shapes do not fit or a score is not finite.
    """
    _check(candidate, counts, champion, champion_counts)
    k = len(counts)
    if k < 2:
        return 0.0, (1.0,)
    if champion is not None and tuple(champion_counts) == tuple(counts) == tuple(range(1, k + 1)):
        # Each attempt has runs of its own: the differences say all, their covariances too.
        candidate, champion = candidate - champion, None
    ours = _summed(candidate, clusters)
    theirs = None if champion is None else _summed(champion, clusters)
    last = ours.mean(axis=0) - (0.0 if theirs is None else theirs.mean(axis=0))
    own, other = _within(ours), 0.0 if theirs is None else _within(theirs)
    spread = [own / q + other / r for q, r in zip(counts, champion_counts or (1,) * k, strict=True)]
    first = float(np.mean(last * last)) + spread[0] - spread[-1]
    if not first > 0.0:
        return 0.0, tuple(float(j) for j in range(1, k + 1))
    left = [1.0 - (spread[0] - rest) / first for rest in spread[1:]]
    correlations = [_correlation(share, j) for j, share in enumerate(left, start=2)]
    times = [1.0 / (r + (1.0 - r) / j) for j, r in enumerate(correlations, start=2)]
    return correlations[-1], (1.0, *times)


def _check(
    candidate: NDArray[np.float64],
    counts: Sequence[int],
    champion: NDArray[np.float64] | None,
    champion_counts: Sequence[int],
) -> None:
    sides = [(candidate, counts)] + ([] if champion is None else [(champion, champion_counts)])
    for scores, numbers in sides:
        fits = len(numbers) == len(counts) and bool(numbers) and numbers[0] >= 1 and numbers[-1] == len(scores)
        if not fits or sorted(numbers) != list(numbers) or scores.shape[1] != candidate.shape[1]:
            raise UndefinedError(f"scores of the shape {scores.shape} do not fit to attempts with {list(numbers)} runs")
        if not np.all(np.isfinite(scores)):
            raise UndefinedError("a score is not a finite number")


def _correlation(left: float, attempts: int) -> float:
    """The r of which r + (1 − r)/k, the share of the variance that is left, is what was seen."""
    return min(max((left - 1.0 / attempts) / (1.0 - 1.0 / attempts), 0.0), MOST_CORRELATION)


def _summed(scores: NDArray[np.float64], clusters: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Each row less its mean, summed by cluster."""
    if not scores.shape[1]:
        return np.zeros((len(scores), 1))
    centred = np.asarray(scores - scores.mean(axis=1, keepdims=True), dtype=np.float64)
    if clusters is None:
        return centred
    codes = np.unique(clusters, return_inverse=True)[1]
    sums = np.empty((len(scores), int(codes.max(initial=-1)) + 1))
    for row, values in zip(sums, centred, strict=True):
        row[:] = np.bincount(codes, weights=values, minlength=len(row))
    return sums


def _within(scores: NDArray[np.float64]) -> float:
    """Mean variance of a column; 0 for a single row."""
    return 0.0 if len(scores) < 2 else float(np.mean(np.var(scores, axis=0, ddof=1)))
