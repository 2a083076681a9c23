"""Which interval fits these scores, and what it proves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.metrics.metric import HypothesisTest
from llmgate.stats.clusters.rule import check_groups, cluster_interval
from llmgate.stats.paired import bca, skew_error, t_interval
from llmgate.stats.proportion import PairedCounts, clopper_pearson, p_below, tango
from llmgate.stats.repeats import benchmark_interval
from llmgate.stats.unseen import widen_for_unseen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.stats.interval import Interval

__all__ = [
    "FEW_CASES",
    "TOLERATED_SKEW_ERROR",
    "against_margin",
    "against_minimum",
    "compare",
    "compare_with_minimum",
]

FEW_CASES = 50
TOLERATED_SKEW_ERROR = 0.2
"""Share of alpha by which skewness may move the error of a t interval before the bootstrap takes over."""
_BOOTSTRAP_DRAWS = 20_000_000
"""Bounds the time for large suites: 10,000 cases get 2,000 resamples."""


def compare(pairs: Pairs, *, margin: float, alpha: float) -> HypothesisTest:
    """Candidate against champion on the same cases.

    Right-or-wrong scores without clusters take Tango's interval; that includes repeats that always agreed. Other
    scores without clusters take the paired t, or the BCa bootstrap below 50 cases and where skewness would move the
    error of t by more than a fifth of alpha. Clusters have a rule of their own, see `stats.clusters.rule`. All but
    Tango's are widened by what stayed unseen (see `stats.unseen`).

    Where the verdict speaks of these cases alone, it is t on the variance of their answers (`benchmark_interval`).

    Raises:
        UndefinedError: If there are no pairs, or too few clusters to decide at alpha.
    """
    if pairs.champion is None:
        raise UndefinedError("there is no champion to compare with")
    differences = pairs.candidate - pairs.champion
    if pairs.sampling is not None:
        return against_margin(benchmark_interval(differences, pairs.sampling, alpha=alpha), margin)
    if pairs.simple:
        counts = PairedCounts(
            better=int(np.sum(differences > 0)), worse=int(np.sum(differences < 0)), pairs=len(differences)
        )
        interval = tango(counts, alpha=alpha)
    else:
        interval = _graded(differences, pairs, alpha=alpha, floor=-1.0, ceiling=1.0)
    return against_margin(interval, margin)


def compare_with_minimum(pairs: Pairs, *, minimum: float, alpha: float) -> HypothesisTest:
    """The candidate's own rate against a minimum.

    Right-or-wrong scores without clusters take Clopper–Pearson, whose error never exceeds alpha; others the same
    methods as `compare`, on score − minimum.

    Raises:
        UndefinedError: If there are no cases, or too few clusters to decide at alpha.
    """
    if pairs.sampling is not None:
        own = pairs.sampling.copy()
        # The minimum is a constant.
        own[:, 2], own[:, 3] = 0.0, own[:, 1]
        excess = benchmark_interval(
            pairs.candidate - minimum, own, alpha=alpha, floor=-minimum, ceiling=1.0 - minimum or 1e-9
        )
        lifted = (excess.estimate + minimum, excess.lower + minimum, excess.upper + minimum)
        rate = replace(excess, estimate=lifted[0], lower=lifted[1], upper=lifted[2])
        return against_minimum(excess, rate)
    if pairs.simple:
        right, cases = int(np.sum(pairs.candidate)), len(pairs.candidate)
        interval = clopper_pearson(right, cases, alpha=alpha)
        p = p_below(right, cases, rate=minimum)
        return HypothesisTest(interval=interval, passed=interval.lower >= minimum, worse=interval.upper < minimum, p=p)
    excess = _graded(pairs.candidate - minimum, pairs, alpha=alpha, floor=-minimum, ceiling=1.0 - minimum)
    interval = replace(
        excess,
        estimate=excess.estimate + minimum,
        lower=excess.lower + minimum,
        upper=excess.upper + minimum,
        method=excess.method.replace("paired t", "t"),
    )
    return against_minimum(excess, interval)


def _graded(values: NDArray[np.float64], pairs: Pairs, *, alpha: float, floor: float, ceiling: float) -> Interval:
    if pairs.clusters is not None and np.all(pairs.clusters == pairs.clusters[0]):
        raise UndefinedError(f"all {len(values)} cases belong to one cluster, so their spread is unknown")
    if pairs.clusters is not None:
        check_groups(len(np.unique(pairs.clusters)), alpha=alpha)
    interval = None
    if len(values) and not np.all(values == values[0]):
        if pairs.clusters is not None:
            interval = _clustered(values, pairs.clusters, alpha, floor, ceiling)
        else:
            interval = _independent(values, alpha, np.random.default_rng(pairs.seed))
    return widen_for_unseen(values, interval, alpha=alpha, floor=floor, ceiling=ceiling)


def _independent(values: NDArray[np.float64], alpha: float, rng: np.random.Generator) -> Interval:
    if len(values) >= FEW_CASES and skew_error(values, alpha=alpha) <= TOLERATED_SKEW_ERROR * alpha:
        return t_interval(values, alpha=alpha)
    try:
        return bca(values, alpha=alpha, rng=rng, resamples=_resamples(len(values)))
    except UndefinedError:
        return t_interval(values, alpha=alpha)


def _clustered(
    values: NDArray[np.float64], clusters: NDArray[np.int64], alpha: float, floor: float, ceiling: float
) -> Interval:
    try:
        return cluster_interval(values, clusters, alpha=alpha, floor=floor, ceiling=ceiling)
    except UndefinedError:
        # Clusters that balance out exactly have no spread between them; what is inside them still varies.
        return t_interval(values, alpha=alpha)


def _resamples(units: int) -> int:
    return max(1_999, min(9_999, _BOOTSTRAP_DRAWS // units))


def against_margin(interval: Interval, margin: float) -> HypothesisTest:
    """What the interval of a difference proves: not worse than the margin, or worse."""
    passed = interval.lower > -margin
    return HypothesisTest(interval=interval, passed=passed, worse=not passed and interval.upper < 0.0, p=_p(interval))


def against_minimum(excess: Interval, rate: Interval) -> HypothesisTest:
    """What the interval of a rate proves, from that of rate − minimum."""
    return HypothesisTest(interval=rate, passed=excess.lower >= 0.0, worse=excess.upper < 0.0, p=_p(excess))


def _p(interval: Interval) -> float:
    if interval.p_negative is None:
        raise UndefinedError(f"{interval.method} has no p-value")
    return interval.p_negative
