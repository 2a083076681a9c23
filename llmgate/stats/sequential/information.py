"""How much another attempt at the same cases tells beside the first: what asking again averages out, and what not.

Of attempt j and case i, c_ji is the candidate's score and b_i the champion's, the mean of its R runs so far. After k
attempts D_k = mean_j(c_ji) − b_i is averaged over cases. Between cases it varies by what asking again cannot remove
(cases on which one model is better) and by what it can (answers that differ from one time to the next).
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
    champion: NDArray[np.float64] | None = None,
    runs: Sequence[int] = (),
    clusters: NDArray[np.int64] | None = None,
) -> tuple[float, tuple[float, ...]]:
    """r, and t_1 = 1, t_2, …, t_k: the variance of a case's difference at the first attempt over that of D_j.

    With the same champion run at all attempts, or another one at each, r = cov(d_1, d_2) / mean variance of d_1 and d_2
    over cases (its mean over pairs of attempts), d_j being the difference of attempt j, and t_j = 1/(r + (1 − r)/j).
    Otherwise the variance of D_j falls by σ_c²(1 − 1/j) + σ_b²(1 − 1/R_j), with the mean variances σ_c² and σ_b² of
    the answers of one model to one case; r is then the one that gives the same t_k. It is clipped to [0, 0.96]; where
    nothing varies it is 0, for which bounds are highest. With clusters their sums stand for the cases.

    Averages of equally many answers to each case have Cov(D_j, D_k) = Var(D_k) for j < k, in all these cases, so that
    the statistics of attempts correlate by √(t_j/t_k).

    Args:
        candidate: Scores of k attempts at n cases, shape (k, n).
        champion: Scores of the champion's R runs, shape (R, n); None without one.
        runs: How many of the champion's runs each attempt was compared with, not falling, R at last; empty without
            one.
        clusters: Cluster codes, shape (n,); None where cases are independent.

    Raises:
        UndefinedError: If the shapes do not fit or a score is not finite.
    """
    k, n = candidate.shape
    r_max = 0 if champion is None else len(champion)
    if champion is not None and (champion.shape[1] != n or len(runs) != k or runs[-1] != r_max):
        raise UndefinedError(f"{k} attempts at {n} cases do not fit to a champion of {champion.shape}")
    if not (np.all(np.isfinite(candidate)) and (champion is None or np.all(np.isfinite(champion)))):
        raise UndefinedError("a score is not a finite number")
    if k < 2:
        return 0.0, (1.0,)
    if champion is not None and tuple(runs) == tuple(range(1, k + 1)):
        # Each attempt has a champion's run of its own: the differences say all, their covariances too.
        candidate, champion, runs = candidate - champion, None, ()
    ours = _summed(candidate, clusters)
    theirs = None if champion is None else _summed(champion, clusters)
    last = ours.mean(axis=0) - (0.0 if theirs is None else theirs.mean(axis=0))
    own, other = _within(ours), 0.0 if theirs is None else _within(theirs)
    counts = runs or (1,) * k
    spared = [own * (1.0 - 1.0 / j) + other * (1.0 - 1.0 / r) for j, r in enumerate(counts, start=1)]
    first = float(np.mean(last * last)) + spared[-1]
    if not first > 0.0:
        return 0.0, tuple(float(j) for j in range(1, k + 1))
    correlations = [_correlation(1.0 - less / first, j) for j, less in enumerate(spared[1:], start=2)]
    times = [1.0 / (r + (1.0 - r) / j) for j, r in enumerate(correlations, start=2)]
    return correlations[-1], (1.0, *times)


def _correlation(left: float, attempts: int) -> float:
    """The r of which r + (1 − r)/k, the share of the variance that is left, is what was seen."""
    return min(max((left - 1.0 / attempts) / (1.0 - 1.0 / attempts), 0.0), MOST_CORRELATION)


def _summed(scores: NDArray[np.float64], clusters: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Each row less its mean, summed by cluster."""
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
