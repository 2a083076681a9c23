"""The verdicts on many candidates at each of their attempts, by columns: by the gate's rule, and without a ledger."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from llmgate.gate.calibration.attempt_models import AttemptModels
from llmgate.gate.calibration.vectorised import Verdicts, decide_counts, decide_looks, look_sizes
from llmgate.gate.evidence.pairing import Errors, Pairs
from llmgate.gate.metrics.attempt_point import too_coarse
from llmgate.gate.metrics.intervals import FEW_CASES, TOLERATED_SKEW_ERROR, compare
from llmgate.record.scores import texts
from llmgate.stats.sequential.information import MOST_CORRELATION
from llmgate.stats.sequential.shares import attempt_shares
from llmgate.stats.sequential.spending import spending_bounds

if TYPE_CHECKING:
    from llmgate.gate.calibration.attempt_models import AttemptDesign
    from llmgate.gate.metrics.metric import HypothesisTest

__all__ = ["AttemptRule", "AttemptVerdicts", "try_again"]

STEP: Final = 0.04
"""Of r: between such values bounds are interpolated, which moves them by less than 0.001."""
NEAR: Final = 0.35
"""In standard errors. Where the paired t is further from its bound, the bootstrap is not asked: it would agree.
What skewness γ moves is about γ(2z² + 1)/(6√n), 0.2 for γ = 2, z = 2.8 and n = 688."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRule:
    """By what attempts are judged.

    Attributes:
        margin: Of the gate.
        alpha: One-sided error rate over all of them.
        reserve: Share of it that is kept for attempts after the first.
        attempts: How many are made.
    """

    margin: float
    alpha: float
    reserve: float
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttemptVerdicts:
    """What came of many candidates.

    Attributes:
        passed: By rule (the gate's, then each attempt on its own), attempt and candidate, shape (2, K, R).
        failed: The same; where several metrics gate, as p-values adjusted by Holm would have the smallest of them.
        correlation: r at the second attempt, shape (R,).
    """

    passed: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    correlation: NDArray[np.float64]


def try_again(
    models: AttemptModels, design: AttemptDesign, rng: np.random.Generator, rule: AttemptRule
) -> AttemptVerdicts:
    """Ask each candidate so many times, and judge one metric at every attempt.

    Args:
        models: The candidates.
        design: How many metrics gate, what happens to the champion, whether the first attempt may stop early.
        rng: Source of the answers.
        rule: By what attempts are judged.
    """
    size = len(models.candidate)
    shape = (2, rule.attempts, size)
    passed, failed = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    shares = attempt_shares(rule.attempts, reserve=rule.reserve)
    whole = np.full(size, rule.alpha)
    champion = models.asked(models.champion, rng)
    ours, theirs = np.zeros_like(champion), np.zeros_like(champion)
    asked, stopped = np.zeros_like(champion), np.zeros(size, dtype=bool)
    sums = _Moments()
    correlation = np.zeros(size)
    for k, share in enumerate(shares, start=1):
        candidate = models.asked(models.candidate, rng)
        if design.champion_again and k > 1:
            champion = models.asked(models.champion, rng)
        judge = _Judge(models=models, margin=rule.margin, passing=whole, failing=whole / design.metrics)
        verdicts = judge.judged(candidate, champion)
        passed[1, k - 1], failed[1, k - 1] = verdicts.passed, verdicts.failed
        seen = np.ones_like(champion)
        if k == 1 and design.looks:
            verdicts, seen = _looked(candidate, champion, rule.margin, share * rule.alpha)
            stopped = np.min(seen, axis=1) < 1.0
        ours, theirs, asked = ours + candidate * seen, theirs + champion, asked + seen
        sums.add(_summed(candidate - champion, models.clusters))
        if k > 1 or not design.looks:
            passing, failing = (
                _levels(sums, k, alpha, rule.reserve, stopped=stopped, looked=design.looks)
                for alpha in (rule.alpha, rule.alpha / design.metrics)
            )
            judge = _Judge(models=models, margin=rule.margin, passing=passing, failing=failing)
            settled = passed[0].any(axis=0) if design.metrics == 1 else np.zeros(size, dtype=bool)
            verdicts = judge.judged(ours / asked, theirs / k, settled=settled)
        correlation = sums.correlation() if k == 2 else correlation
        passed[0, k - 1], failed[0, k - 1] = verdicts.passed, verdicts.failed
    return AttemptVerdicts(passed=passed, failed=failed, correlation=correlation)


class _Moments:
    """Sums over attempts of what each case (cluster) adds to the difference, less its mean."""

    def __init__(self) -> None:
        self.attempts = 0
        self.first: NDArray[np.float64] | float = 0.0
        self.second: NDArray[np.float64] | float = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Another attempt, shape (R, G)."""
        self.attempts += 1
        self.first, self.second = self.first + values, self.second + values * values

    def correlation(self) -> NDArray[np.float64]:
        """R of every candidate, as `stats.sequential.information` estimates it, shape (R,)."""
        k = self.attempts
        within = np.mean(self.second - self.first * self.first / k, axis=1) / (k - 1)
        total = np.mean((self.first / k) ** 2, axis=1) + within * (1.0 - 1.0 / k)
        safe = np.where(total > 0.0, total, 1.0)
        return np.asarray(np.where(total > 0.0, np.clip(1.0 - within / safe, 0.0, MOST_CORRELATION), 0.0))


def _levels(
    sums: _Moments, k: int, alpha: float, reserve: float, *, stopped: NDArray[np.bool_], looked: bool
) -> NDArray[np.float64]:
    """The α at which attempt k of every candidate is judged on its own."""
    share = attempt_shares(k, reserve=reserve)[-1]
    if k == 1:
        return np.full(len(stopped), share * alpha)
    r = sums.correlation()
    low = np.floor(r / STEP).astype(int)
    known = {step: _bound(step, k, alpha, reserve, looked) for step in {*low.tolist(), *(low + 1).tolist()}}
    table = np.array([known.get(step, np.nan) for step in range(max(known) + 1)])
    part = r / STEP - low
    z = (1.0 - part) * table[low] + part * table[low + 1]
    return np.where(stopped, share * alpha, special.ndtr(-z))


@lru_cache(maxsize=4096)
def _bound(step: int, k: int, alpha: float, reserve: float, looked: bool) -> float:
    r = min(step * STEP, MOST_CORRELATION)
    information = [1.0 / (r + (1.0 - r) / j) for j in range(1, k + 1)]
    spent = [share * alpha for share in attempt_shares(k, reserve=reserve)]
    return spending_bounds(information, spent, looked=looked)[-1]


def _looked(
    candidate: NDArray[np.float64], champion: NDArray[np.float64], margin: float, alpha: float
) -> tuple[Verdicts, NDArray[np.float64]]:
    """A first attempt that may stop early, and which cases it asked, shape (R, n)."""
    n = candidate.shape[1]
    sizes = look_sizes(n)
    difference = candidate - champion
    ends = np.array(sizes) - 1
    better, worse = (np.cumsum(side, axis=1, dtype=np.int64)[:, ends] for side in (difference > 0, difference < 0))
    stops = decide_looks(better, worse, sizes, margin=margin, alpha=alpha)
    used = np.round(stops.used * n).astype(int)
    return stops.verdicts, (np.arange(n)[None, :] < used[:, None]).astype(np.float64)


def _summed(differences: NDArray[np.float64], clusters: NDArray[np.int64] | None) -> NDArray[np.float64]:
    centred = np.asarray(differences - differences.mean(axis=1, keepdims=True))
    if clusters is None:
        return centred
    return np.asarray(np.add.reduceat(centred, np.flatnonzero(np.diff(clusters, prepend=-1)), axis=1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Bounds:
    """One-sided bounds of the mean of each row, shape (R,).

    Attributes:
        lower: Below.
        upper: Above.
        ask: Where the gate takes another interval.
        narrower: By how much that one may be narrower.
        wider: By how much it may be wider.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    ask: NDArray[np.bool_]
    narrower: NDArray[np.float64]
    wider: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64], clusters: NDArray[np.int64] | None, alpha: NDArray[np.float64]) -> _Bounds:
        """Student's t, robust to clusters, widened for what stayed unseen."""
        n = values.shape[1]
        mean, residuals = values.mean(axis=1), _summed(values, clusters)
        units = residuals.shape[1]
        squares = np.sum(residuals * residuals, axis=1)
        error = np.sqrt(squares * units / (units - 1.0)) / n
        reach = special.stdtrit(units - 1.0, 1.0 - alpha) * error
        u = -np.expm1(np.log(alpha) / n)
        if clusters is None:
            third = np.sum(residuals**3, axis=1) / n
            gamma = np.abs(third) / np.where(squares > 0.0, squares / n, 1.0) ** 1.5
            z = special.ndtri(1.0 - alpha)
            moved = gamma / math.sqrt(n) * (2.0 * z * z + 1.0) * np.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi) / 6.0
            ask = (squares > 0.0) & ((n < FEW_CASES) | (moved > TOLERATED_SKEW_ERROR * alpha))
            narrower = wider = NEAR * error
        else:
            # The rule of clusters takes this one for its narrowest.
            ask, narrower, wider = np.ones(len(mean), dtype=bool), np.zeros(len(mean)), np.full(len(mean), np.inf)
        return cls(
            lower=np.minimum(mean - reach, (1.0 - u) * mean - u),
            upper=np.maximum(mean + reach, (1.0 - u) * mean + u),
            ask=ask,
            narrower=narrower,
            wider=wider,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judge:
    """The gate's rule, on many candidates at an α of their own.

    Attributes:
        models: Say what belongs together.
        margin: Of the gate.
        passing: The α of each lower bound, shape (R,).
        failing: The α of each upper bound, shape (R,).
    """

    models: AttemptModels
    margin: float
    passing: NDArray[np.float64]
    failing: NDArray[np.float64]

    def judged(
        self, candidate: NDArray[np.float64], champion: NDArray[np.float64], *, settled: NDArray[np.bool_] | None = None
    ) -> Verdicts:
        """Judge each row.

        Args:
            candidate: Mean scores, shape (R, n).
            champion: The same.
            settled: Rows that have passed before, shape (R,): whether they pass again nobody asks.
        """
        difference = candidate - champion
        if self.models.clusters is None and _binary(candidate) and _binary(champion):
            return self._exact(difference)
        clusters = self.models.clusters
        lower, upper = (_Bounds.of(difference, clusters, alpha) for alpha in (self.passing, self.failing))
        passed, failed = lower.lower > -self.margin, upper.upper < 0.0
        # Where resampling, or the rule of clusters, is wider than what is known here, the gate itself is asked.
        spare = lower.lower + self.margin
        asking = lower.ask & (spare > -lower.narrower) & (spare <= lower.wider)
        if settled is not None:
            asking &= ~settled
        for row in np.flatnonzero(asking).tolist():
            passed[row] = self._asked(candidate[row], champion[row], float(self.passing[row])).passed
        failing = upper.ask & ~passed & (upper.upper < upper.narrower) & (upper.upper >= -upper.wider)
        for row in np.flatnonzero(failing).tolist():
            failed[row] = self._asked(candidate[row], champion[row], float(self.failing[row])).worse
        return Verdicts(passed=passed, failed=failed & ~passed)

    def _exact(self, difference: NDArray[np.float64]) -> Verdicts:
        """Tango's rule; one α for all rows."""
        better, worse = (np.sum(side, axis=1) for side in (difference > 0, difference < 0))
        n = np.full(len(difference), difference.shape[1])
        lower, upper = (
            decide_counts(better, worse, n, margin=self.margin, alpha=float(alpha[0]))
            for alpha in (self.passing, self.failing)
        )
        return Verdicts(passed=lower.passed, failed=upper.failed & ~lower.passed)

    def _asked(self, candidate: NDArray[np.float64], champion: NDArray[np.float64], alpha: float) -> HypothesisTest:
        pairs = Pairs(
            item_ids=texts([str(i) for i in range(len(candidate))]),
            candidate=candidate,
            champion=champion,
            clusters=self.models.clusters,
            slices={},
            expected=len(candidate),
            errors=Errors(),
        )
        hypothesis = compare(pairs, margin=self.margin, alpha=alpha)
        coarse = too_coarse(hypothesis.interval)
        return replace(hypothesis, passed=hypothesis.passed and not coarse, worse=hypothesis.worse and not coarse)


def _binary(scores: NDArray[np.float64]) -> bool:
    return bool(np.all((scores == 0.0) | (scores == 1.0)))
