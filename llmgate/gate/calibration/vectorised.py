"""The gate's rule on thousands of data sets at once: the same verdicts by columns, early stops included."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.clusters_together import ClusterTable, cluster_table
from llmgate.gate.evidence.pairing import Errors, Pairs, shared
from llmgate.gate.metrics.intervals import FEW_CASES, TOLERATED_SKEW_ERROR, compare
from llmgate.record.scores import texts
from llmgate.stats.clusters.subsets import least_groups
from llmgate.stats.sequential.looks import equal_fractions, obrien_fleming
from llmgate.stats.unseen import unseen_share

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "LOOKS",
    "Draws",
    "EarlyStops",
    "Verdicts",
    "decide_clusters",
    "decide_counts",
    "decide_draws",
    "decide_looks",
    "look_sizes",
    "tango_scores",
]

LOOKS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdicts:
    """PASS and FAIL of many data sets.

    Attributes:
        passed: Shape (R,).
        failed: Shape (R,), never where passed.
    """

    passed: NDArray[np.bool_]
    failed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EarlyStops:
    """What came of many runs that may stop early.

    Attributes:
        verdicts: Of the look at which each run ended.
        used: Share of the cases that had been asked then, shape (R,).
    """

    verdicts: Verdicts
    used: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """Many data sets, one after the other.

    Attributes:
        candidate: Scores, shape (T,).
        champion: Scores on the same cases.
        draw: Which data set a case belongs to, shape (T,), ascending from 0 without gaps.
        clusters: Cluster codes, shape (T,), None where cases are independent.

    Raises:
        UndefinedError: If there are no data sets or they are not numbered like that.
    """

    candidate: NDArray[np.float64]
    champion: NDArray[np.float64]
    draw: NDArray[np.int64]
    clusters: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        steps = np.diff(self.draw)
        if not len(self.draw) or self.draw[0] != 0 or not bool(np.all((steps == 0) | (steps == 1))):
            raise UndefinedError("the data sets are not numbered from 0 without gaps")

    @property
    def count(self) -> int:
        """R."""
        return int(self.draw[-1]) + 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Cases of each data set, shape (R,)."""
        return np.bincount(self.draw)

    def pairs(self, start: int, stop: int) -> Pairs:
        """The cases from `start` to `stop` as the gate takes them."""
        n = stop - start
        return Pairs(
            item_ids=texts([str(i) for i in range(n)]),
            candidate=self.candidate[start:stop],
            champion=self.champion[start:stop],
            clusters=None if self.clusters is None else shared(self.clusters[start:stop]),
            slices={},
            expected=n,
            errors=Errors(),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Bounds:
    """One-sided bounds of many means, shape (R,) each, and where the gate itself has to be asked."""

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    ask: NDArray[np.bool_]


def tango_scores(
    better: NDArray[np.int64], worse: NDArray[np.int64], pairs: NDArray[np.int64], *, delta0: float
) -> NDArray[np.float64]:
    """`stats.proportion.tango_z` of many tables at once.

    Args:
        better: Pairs that only the candidate got right, shape (R,).
        worse: Pairs that only the champion got right.
        pairs: All pairs.
        delta0: Strictly between −1 and 1.

    Returns:
        Shape (R,).

    Raises:
        UndefinedError: If delta0 is outside its range.
    """
    if not -1.0 < delta0 < 1.0:
        raise UndefinedError(f"delta0 is {delta0}, but must lie between −1 and 1, both excluded")
    if delta0 < 0.0:
        return np.negative(tango_scores(worse, better, pairs, delta0=-delta0))
    b, c, n = (np.asarray(x, dtype=np.float64) for x in (better, worse, pairs))
    numerator = b - c - n * delta0
    if delta0 == 0.0:
        return np.asarray(numerator / np.sqrt(np.maximum(b + c, 1.0)))
    spread = delta0 * (1.0 - delta0)
    big_b = -b - c + (2.0 * n - b + c) * delta0
    root = np.sqrt(big_b * big_b + 8.0 * n * c * spread)
    # As in `tango_z`: the root of the quadratic that does not cancel.
    away = np.where(root + big_b > 0.0, root + big_b, 1.0)
    q = np.where(big_b > 0.0, 2.0 * c * spread / away, (root - big_b) / (4.0 * n))
    return np.asarray(numerator / np.sqrt(n * (2.0 * q + spread)))


def decide_counts(
    better: NDArray[np.int64], worse: NDArray[np.int64], pairs: NDArray[np.int64], *, margin: float, alpha: float
) -> Verdicts:
    """The verdicts on right-or-wrong scores of independent cases.

    PASS is z(−margin) > z_α, FAIL is not PASS and z(0) < −z_α, which is where Tango's bounds lie.

    Args:
        better: Pairs that only the candidate got right, shape (R,).
        worse: Pairs that only the champion got right.
        pairs: All pairs.
        margin: Non-inferiority margin.
        alpha: One-sided error rate.
    """
    z = float(special.ndtri(1.0 - alpha))
    passed = tango_scores(better, worse, pairs, delta0=-margin) > z
    failed = ~passed & (tango_scores(better, worse, pairs, delta0=0.0) < -z)
    return Verdicts(passed=passed, failed=failed)


def decide_draws(draws: Draws, *, margin: float, alpha: float) -> Verdicts:
    """The verdicts on scores of any kind; a data set for which no interval exists is neither PASS nor FAIL.

    Args:
        draws: The data sets.
        margin: Non-inferiority margin.
        alpha: One-sided error rate.
    """
    n, differences = draws.sizes, draws.candidate - draws.champion
    table = None if draws.clusters is None else cluster_table(draws.draw, draws.clusters, differences, count=len(n))
    alone = np.ones(draws.count, dtype=bool) if table is None else table.groups == n
    simple = alone & _binary(draws)
    better = np.bincount(draws.draw, weights=differences > 0, minlength=draws.count).astype(np.int64)
    worse = np.bincount(draws.draw, weights=differences < 0, minlength=draws.count).astype(np.int64)
    exact = decide_counts(better, worse, n, margin=margin, alpha=alpha)
    kinds = [Verdicts(passed=exact.passed & simple, failed=exact.failed & simple)]
    if (chosen := alone & ~simple).any():
        bounds = _independent(draws, differences, alpha)
        passes = chosen & (bounds.lower > -margin)
        fails = chosen & ~passes & (bounds.upper < 0.0)
        kinds.append(_asked_where(bounds.ask, Verdicts(passed=passes, failed=fails), draws, margin=margin, alpha=alpha))
    if table is not None and (chosen := ~alone).any():
        found, unsure = decide_clusters(table, margin=margin, alpha=alpha)
        found = Verdicts(passed=found.passed & chosen, failed=found.failed & chosen)
        kinds.append(_asked_where(unsure, found, draws, margin=margin, alpha=alpha))
    return Verdicts(
        passed=np.logical_or.reduce([kind.passed for kind in kinds]),
        failed=np.logical_or.reduce([kind.failed for kind in kinds]),
    )


def decide_clusters(
    table: ClusterTable, *, margin: float, alpha: float, only_pass: bool = False
) -> tuple[Verdicts, NDArray[np.bool_]]:
    """The verdicts on sums of clusters.

    Args:
        table: Differences by cluster, all in [−1, 1].
        margin: Non-inferiority margin.
        alpha: One-sided error rate.
        only_pass: Whether only PASS is asked for, which costs less.

    Returns:
        The verdicts; and where clusters are alike, so that the gate would look into them: its verdict is then none or
        the one that is given, which it is for differences that are all equal.
    """
    bounds = _clustered(table, alpha)
    enough = table.groups >= least_groups(alpha)
    passes = enough & (bounds.lower > -margin)
    passes &= bounds.ask | table.subsets_allow(passes & ~bounds.ask, limit=-margin, above=True, alpha=alpha)
    fails = np.zeros(len(passes), dtype=bool)
    if not only_pass:
        fails = enough & ~passes & (bounds.upper < 0.0)
        fails &= bounds.ask | table.subsets_allow(fails & ~bounds.ask, limit=0.0, above=False, alpha=alpha)
    return Verdicts(passed=passes, failed=fails), bounds.ask


def _asked_where(unsure: NDArray[np.bool_], found: Verdicts, draws: Draws, *, margin: float, alpha: float) -> Verdicts:
    """What was found, and what the gate itself says where bounds are only outer ones and would decide something."""
    for draw in np.flatnonzero(unsure & (found.passed | found.failed)).tolist():
        found.passed[draw], found.failed[draw] = _asked(draws, draw, margin, alpha)
    return found


def _asked(draws: Draws, draw: int, margin: float, alpha: float) -> tuple[bool, bool]:
    start, stop = np.searchsorted(draws.draw, [draw, draw + 1]).tolist()
    try:
        comparison = compare(draws.pairs(start, stop), margin=margin, alpha=alpha)
    except UndefinedError:
        return False, False
    return comparison.passed, comparison.worse and comparison.p <= alpha


def _binary(draws: Draws) -> NDArray[np.bool_]:
    graded = np.zeros(len(draws.draw), dtype=bool)
    for side in (draws.candidate, draws.champion):
        graded |= (side != 0.0) & (side != 1.0)
    return np.asarray(_sums(draws, graded.astype(np.float64)) == 0.0)


def _independent(draws: Draws, differences: NDArray[np.float64], alpha: float) -> _Bounds:
    """Paired t; where there are few cases or much skew only what stayed unseen, as a bound of the bootstrap's."""
    n = draws.sizes.astype(np.float64)
    mean = _sums(draws, differences) / n
    residuals = differences - mean[draws.draw]
    squares = residuals * residuals
    second, third = _sums(draws, squares), _sums(draws, squares * residuals)
    starts = np.searchsorted(draws.draw, np.arange(draws.count))
    equal = np.maximum.reduceat(differences, starts) == np.minimum.reduceat(differences, starts)
    safe = np.where(equal, 1.0, second)
    z = float(special.ndtri(1.0 - alpha))
    density = math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)
    skew = np.abs(third / n / (safe / n) ** 1.5) / np.sqrt(n) * (2.0 * z * z + 1.0) * density / 6.0
    ask = ~equal & ((n < FEW_CASES) | (skew > TOLERATED_SKEW_ERROR * alpha))
    df = np.maximum(n - 1.0, 1.0)
    reach = np.where(equal | ask, 0.0, special.stdtrit(df, 1.0 - alpha) * np.sqrt(second / (n * df)))
    return _widened(mean, reach, draws.sizes, ask, alpha)


def _clustered(table: ClusterTable, alpha: float) -> _Bounds:
    """What the two t bounds and what stayed unseen leave; subsets of clusters are asked besides."""
    # No spread between clusters and equal values are cases of their own: the gate has them.
    alike = table.alike
    lower, upper = table.student_bounds(alpha)
    mean, sizes = table.means, table.over(table.sizes).astype(np.int64)
    found = _widened(mean, np.zeros(len(mean)), sizes, alike, alpha)
    return _Bounds(
        lower=np.where(alike, found.lower, np.minimum(lower, found.lower)),
        upper=np.where(alike, found.upper, np.maximum(upper, found.upper)),
        ask=alike,
    )


def _widened(
    mean: NDArray[np.float64],
    reach: NDArray[np.float64],
    sizes: NDArray[np.int64],
    ask: NDArray[np.bool_],
    alpha: float,
) -> _Bounds:
    different, which = np.unique(sizes, return_inverse=True)
    u = _shares(different.tolist(), alpha)[which]
    lower = np.minimum(mean - reach, (1.0 - u) * mean - u)
    upper = np.maximum(mean + reach, (1.0 - u) * mean + u)
    return _Bounds(lower=lower, upper=upper, ask=ask)


def _shares(sizes: Iterable[int], alpha: float) -> NDArray[np.float64]:
    return np.array([unseen_share(n, alpha=alpha) for n in sizes], dtype=np.float64)


def _sums(draws: Draws, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(draws.draw, weights=values, minlength=draws.count).astype(np.float64)


def look_sizes(pairs: int, looks: int = LOOKS) -> tuple[int, ...]:
    """How many pairs each look sees.

    Raises:
        UndefinedError: If there are fewer pairs than looks.
    """
    if pairs < looks:
        raise UndefinedError(f"{pairs} pairs are too few for {looks} looks")
    return tuple(round(fraction * pairs) for fraction in equal_fractions(looks))


def decide_looks(
    better: NDArray[np.int64], worse: NDArray[np.int64], sizes: tuple[int, ...], *, margin: float, alpha: float
) -> EarlyStops:
    """The verdicts, and what they cost.

    Args:
        better: Pairs that only the candidate got right, of those that each look sees, shape (R, K).
        worse: Pairs that only the champion got right.
        sizes: Pairs that each look sees, ascending.
        margin: Non-inferiority margin.
        alpha: One-sided error rate over all looks.
    """
    planned = sizes[-1]
    bounds = obrien_fleming([size / planned for size in sizes], alpha=alpha)
    passed, failed = np.zeros(len(better), dtype=bool), np.zeros(len(better), dtype=bool)
    used = np.ones(len(better))
    for k, (size, tail) in enumerate(zip(sizes, bounds.tails, strict=True)):
        b, c = better[:, k], worse[:, k]
        at_look = decide_counts(b, c, np.full(len(b), size), margin=margin, alpha=tail)
        fails = at_look.failed if size == planned else at_look.failed & ((b - c) / size < -margin)
        going = ~(passed | failed)
        stops = going & (at_look.passed | fails)
        passed |= stops & at_look.passed
        failed |= stops & fails
        used[stops] = size / planned
    return EarlyStops(verdicts=Verdicts(passed=passed, failed=failed), used=used)
