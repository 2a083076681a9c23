"""Judges measure with error; human labels on part of the cases take the error out again.

Where labels are a random part of the same cases, prediction-powered inference corrects means and paired differences.
`ppi_mean` is the textbook's; `ppi_bounded`, which the gate asks, holds with few labels too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.stats.clusters.rule import METHOD, cluster_test
from llmgate.stats.interval import Interval, check_alpha
from llmgate.stats.labelled.residual import Residuals, score_bounds
from llmgate.stats.student import student
from llmgate.stats.unseen import widen_for_unseen

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

__all__ = ["guarded_weight", "ppi_bounded", "ppi_mean", "ppi_weight"]


def ppi_weight(judge_labelled: NDArray[np.float64], human: NDArray[np.float64], unlabelled: int) -> float:
    """How much of the judge enters a corrected mean: 0 leaves it out, 1 takes it in full.

    λ* = Cov(Y, f) / ((1 + n/N)·Var f), clipped to [0, 1]; both moments over the n labelled cases. A variance over all
    n + N cases was tried: at n = 50 with a judge that agrees on 97 % it put 4.5 % of the error on one side of a
    two-sided 95 % interval and 2 % on the other, since then the correction no longer is a regression.

    Args:
        judge_labelled: Shape (n,), f: the judge's scores (or paired differences) where people gave theirs.
        human: Shape (n,), Y: people's, in the same order.
        unlabelled: N, the cases that only the judge scored.

    Returns:
        0 for a judge without variance, and where N is below 2: then there is nothing to gain from it.

    Raises:
        UndefinedError: For fewer than two labels, unequal lengths, or numbers that are not finite.

    Reference: Angelopoulos, Duchi & Zrnic (2023), PPI++, arXiv 2311.01453, section 6 and example 6.1.
    """
    _check_labels(judge_labelled, human)
    centred = judge_labelled - judge_labelled.mean()
    spread = float(centred @ centred)
    if unlabelled < 2 or np.all(judge_labelled == judge_labelled[0]):
        return 0.0
    slope = float(centred @ (human - human.mean())) / spread
    return min(1.0, max(0.0, slope / (1.0 + len(human) / unlabelled)))


def guarded_weight(
    judge_labelled: NDArray[np.float64],
    human: NDArray[np.float64],
    unlabelled: int,
    *,
    floor: float,
    ceiling: float,
) -> float:
    """`ppi_weight` as if two more cases had been labelled, on which judge and people say the opposite of each other.

    A few labels on which a judge happens to be right prove little of it, and the weight must not rest on them: a judge
    that turns 2.5 % of the differences around is right on 50 labels in 28 % of draws. What a label that nobody saw
    may do to the estimate is proportional to 1 + λ, so a weight that few labels do not bear makes bounds wider, not
    narrower: at n = 30 the two cases take them from ±14.4 to ±12.7 points (labels alone: ±14.3), at 50 from ±9.9 to
    ±9.3 (±10.8), and from 150 on they change nothing (45 pairs of real systems, `benchmarks/openqa.py`).

    Args:
        judge_labelled: As in `ppi_weight`.
        human: As in `ppi_weight`.
        unlabelled: As in `ppi_weight`.
        floor: Lowest possible score.
        ceiling: Highest possible score.

    Raises:
        UndefinedError: As `ppi_weight`.
    """
    _check_labels(judge_labelled, human)
    if unlabelled < 2 or np.all(judge_labelled == judge_labelled[0]):
        return 0.0
    ends = np.array([floor, ceiling])
    judge, people = np.concatenate((judge_labelled, ends[::-1])), np.concatenate((human, ends))
    centred = judge - judge.mean()
    slope = float(centred @ (people - people.mean())) / float(centred @ centred)
    return min(1.0, max(0.0, slope / (1.0 + len(human) / unlabelled)))


def ppi_mean(
    judge_labelled: NDArray[np.float64],
    human: NDArray[np.float64],
    judge_unlabelled: NDArray[np.float64],
    *,
    alpha: float,
    clusters_labelled: Sequence[Hashable] | None = None,
    clusters_unlabelled: Sequence[Hashable] | None = None,
    weight: float | None = None,
) -> Interval:
    """The mean that people would give to all cases, from a judge on all of them and people on some (PPI++).

    θ = λ·mean_N(f) + mean_n(Y − λf), Var = λ²·Var f/N + Var(Y − λf)/n, λ from `ppi_weight`, t quantiles with n − 1
    degrees of freedom. Whatever the judge's bias, θ is centred on people's mean, provided that the labelled cases are
    a random part; a useless judge gets λ = 0 and leaves the t interval of the labels.

    With clusters and r = Y − λf: Var = G/(G − 1)·Σ_g S_g²,
    S_g = λ/N·Σ_{i∈g}(f_i − mean_N f) + 1/n·Σ_{i∈g}(r_i − mean_n r), summed over the labelled and the
    unlabelled cases of g together; G counts the clusters with labels.

    Scores and paired differences (Y = difference of people's scores, f = difference of the judge's) work alike.

    Args:
        judge_labelled: Shape (n,), n ≥ 2: f on the labelled cases.
        human: Shape (n,): Y, in the same order.
        judge_unlabelled: Shape (N,): f on the other cases. Fewer than two are left out: what remains is classical.
        alpha: One-sided error rate.
        clusters_labelled: The cluster key of each labelled case; together with `clusters_unlabelled` or not at all.
        clusters_unlabelled: The cluster key of each other case.
        weight: λ, None for that of `ppi_weight`.

    Raises:
        UndefinedError: For fewer than two labels or clusters with labels, unequal lengths, numbers that are not
            finite, cluster keys on one side only, or labels that show no spread (see `ppi_bounded`).

    Reference: Angelopoulos, Duchi & Zrnic (2023), PPI++, arXiv 2311.01453. Measured two-sided coverage at 95 % with
    n = 50 … 150, N = 200 and judges from poor to near perfect: 94.7 to 95.4 %; normal quantiles gave 94.2 to 95.2 %.
    """
    check_alpha(alpha)
    _check_labels(judge_labelled, human)
    if not np.all(np.isfinite(judge_unlabelled)):
        raise UndefinedError("a judge's score is not a finite number")
    if (clusters_labelled is None) != (clusters_unlabelled is None):
        raise UndefinedError("cluster keys are given for one part of the cases only")
    if weight is None:
        weight = ppi_weight(judge_labelled, human, len(judge_unlabelled))
    residuals = human - weight * judge_labelled
    if np.ptp(residuals) <= 1e-12 * max(1.0, float(np.abs(human).max())):
        raise UndefinedError(
            f"{len(human)} labels show no spread, so how certain they are is unknown",
            fix="Label more cases, or bound the scores by ppi_bounded",
        )
    # Only where the judge has a say do its other scores enter, and so their spread.
    others = judge_unlabelled if weight else judge_unlabelled[:0]
    estimate = math.fsum(residuals) / len(residuals) + (weight * math.fsum(others) / len(others) if weight else 0.0)
    if clusters_labelled is None or clusters_unlabelled is None:
        variance = float(residuals.var(ddof=1)) / len(residuals)
        variance += weight * weight * float(others.var(ddof=1)) / len(others) if weight else 0.0
        df, method = len(residuals) - 1, "PPI++"
    else:
        keys = (*clusters_labelled, *(clusters_unlabelled if weight else ()))
        parts = _influence(residuals, 1.0), _influence(others, weight)
        variance, df = _clustered(np.concatenate(parts), keys, clusters_labelled)
        method = "PPI++, cluster-robust"
    return student(estimate, math.sqrt(variance), df, alpha, method)


def ppi_bounded(
    judge_labelled: NDArray[np.float64],
    human: NDArray[np.float64],
    judge_unlabelled: NDArray[np.float64],
    *,
    alpha: float,
    floor: float,
    ceiling: float,
    clusters_labelled: Sequence[Hashable] | None = None,
    clusters_unlabelled: Sequence[Hashable] | None = None,
) -> Interval:
    """The same mean of bounded scores, with bounds that hold from 30 labels on.

    Without clusters they are score bounds (see `labelled.residual`) of the n values Y_i − λf_i, which lie within
    [floor − λ·ceiling, ceiling − λ·floor], shifted by λ·mean_N(f), with λ from `guarded_weight`. With λ = 0 they are
    Tango's bounds of differences that are right or wrong on both sides: a judge of no use costs nothing.

    With clusters they are those of the clusters' rule (`stats.clusters.rule`) on Y_i − λf_i, as much wider as the
    cluster-robust error of θ is larger than theirs, and never narrower than what the labels cannot exclude. So are they
    where all labels say the same (`stats.unseen`).

    Args:
        judge_labelled: As in `ppi_mean`, all in [floor, ceiling].
        human: As in `ppi_mean`, all in [floor, ceiling].
        judge_unlabelled: As in `ppi_mean`, all in [floor, ceiling].
        alpha: One-sided error rate.
        floor: Lowest possible score: −1 for differences, 0 for rates.
        ceiling: Highest possible score, not negative.
        clusters_labelled: As in `ppi_mean`.
        clusters_unlabelled: As in `ppi_mean`.

    Raises:
        UndefinedError: As `ppi_mean`, but for labels without spread; also if a score lies outside its range.
    """
    check_alpha(alpha)
    _check_labels(judge_labelled, human)
    for scores in (judge_labelled, human, judge_unlabelled):
        if not (np.all(scores >= floor) and np.all(scores <= ceiling)):
            raise UndefinedError(f"a score lies outside [{floor}, {ceiling}]")
    if np.ptp(human) == 0.0:
        return widen_for_unseen(human, None, alpha=alpha, floor=floor, ceiling=ceiling)
    weight = guarded_weight(judge_labelled, human, len(judge_unlabelled), floor=floor, ceiling=ceiling)
    others = judge_unlabelled if weight else judge_unlabelled[:0]
    shift = weight * math.fsum(others) / len(others) if weight else 0.0
    values = human - weight * judge_labelled
    lowest, highest = floor - weight * ceiling, ceiling - weight * floor
    if clusters_labelled is None and clusters_unlabelled is None:
        residuals = Residuals(
            values=values,
            lowest=lowest,
            highest=highest,
            shift=shift,
            variance=weight * weight * float(others.var(ddof=1)) / len(others) if weight else 0.0,
        )
        return score_bounds(residuals, alpha=alpha, method="PPI++, score bounds")
    if clusters_labelled is None or clusters_unlabelled is None:
        raise UndefinedError("cluster keys are given for one part of the cases only")
    interval = _by_clusters(
        values, clusters_labelled, others, clusters_unlabelled if weight else (), weight=weight, alpha=alpha
    )
    # Rounding of the shift must not push a score at the end of its range outside.
    pseudo = np.clip(shift + values, shift + lowest, shift + highest)
    return widen_for_unseen(pseudo, interval, alpha=alpha, floor=shift + lowest, ceiling=shift + highest)


def _by_clusters(
    values: NDArray[np.float64],
    clusters: Sequence[Hashable],
    others: NDArray[np.float64],
    clusters_others: Sequence[Hashable],
    *,
    weight: float,
    alpha: float,
) -> Interval:
    """Bounds of mean(values) + weight·mean(others), by the clusters' rule."""
    if len(clusters) != len(values) or len(clusters_others) != len(others):
        raise UndefinedError(
            f"{len(values)} + {len(others)} scores but {len(clusters)} + {len(clusters_others)} cluster keys"
        )
    parts = np.concatenate((_influence(values, 1.0), _influence(others, weight)))
    variance, df = _clustered(parts, (*clusters, *clusters_others), clusters)
    numbers: dict[Hashable, int] = {}
    codes = np.array([numbers.setdefault(key, len(numbers)) for key in clusters], dtype=np.int64)
    test = cluster_test(values, codes, alpha=alpha)
    shift = weight * math.fsum(others) / len(others) if weight else 0.0
    error = math.sqrt(variance)
    # What the other cases add, and what both parts of a cluster have in common, is in the error of the whole.
    stretch = max(1.0, error / test.standard_error)
    mean = test.mean
    return Interval(
        estimate=mean + shift,
        lower=max(-1e9, mean + (test.lower - mean) * stretch + shift),
        upper=min(1e9, mean + (test.upper - mean) * stretch + shift),
        alpha=alpha,
        method=f"PPI++, {METHOD}",
        p_negative=test.p_at_least(mean - (shift + mean) / stretch),
        standard_error=test.standard_error * stretch,
        df=df,
    )


def _check_labels(judge: NDArray[np.float64], human: NDArray[np.float64]) -> None:
    if len(judge) != len(human):
        raise UndefinedError(f"{len(human)} labels but {len(judge)} judge's scores on the labelled cases")
    if len(human) < 2:
        raise UndefinedError(f"{len(human)} labels have no spread that could be estimated", fix="Label more cases")
    if not (np.all(np.isfinite(judge)) and np.all(np.isfinite(human))):
        raise UndefinedError("a label or a judge's score is not a finite number")


def _influence(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    return weight * (values - values.mean()) / len(values) if len(values) else values


def _clustered(
    influence: NDArray[np.float64], keys: Sequence[Hashable], labelled: Sequence[Hashable]
) -> tuple[float, int]:
    if len(keys) != len(influence):
        raise UndefinedError(f"{len(influence)} scores but {len(keys)} cluster keys")
    groups = len(set(labelled))
    if groups < 2:
        raise UndefinedError(f"{groups} cluster with labels has no spread that could be estimated")
    numbers: dict[Hashable, int] = {}
    index = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    sums = np.bincount(index, weights=influence)
    variance = groups / (groups - 1) * float(sums @ sums)
    # Clusters that balance out leave residues of rounding, which are not spread.
    if variance <= 1e-24 * float(influence @ influence):
        raise UndefinedError(f"all {groups} clusters have the same mean, so their spread is unknown")
    return variance, groups - 1
