"""Clusters of which the truth is known: unequal ones, failures that take whole clusters, and real losses at the margin.

Swapping labels makes every null symmetric, so that it can show neither what skewed clusters do nor what a true loss of
the margin does. Here clusters have means of their own around the truth, or a few of them lose much and the others
nothing; and of real systems the worse one is the candidate, with the margin set to what it truly loses.

Only sums of clusters are drawn. Where all clusters are alike the gate would look into them; here its verdict is taken
to be the one that it gives where all differences are equal, which can only be a wrong one too many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.clustered_rows import ClusteredRow, Kind
from llmgate.gate.calibration.clusters_together import ClusterTable
from llmgate.gate.calibration.resampled import REAL_LOSSES
from llmgate.gate.calibration.vectorised import LOOKS, Verdicts, decide_clusters
from llmgate.stats.clusters.facts import facts_of
from llmgate.stats.sequential.looks import equal_fractions, obrien_fleming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmgate.gate.calibration.resampled import SystemPair

__all__ = [
    "CLUSTERED_DESIGNS",
    "CLUSTERED_MARGIN",
    "ClusteredDesign",
    "real_clusters",
    "simulate_clusters",
]

CLUSTERED_MARGIN: Final = 0.05
_ORDERS: Final = 20
"""Orders of the clusters that looks are taken in: a suite has one, and there are many suites."""
_RUNS_FOR_WORST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteredDesign:
    """Right-or-wrong results in clusters.

    Attributes:
        name: In words.
        sizes: Cases of each cluster.
        sd: Standard deviation of the clusters' true mean differences around the truth; 0 with rare failures.
        discordance: Share of pairs that differ, where a cluster's own difference asks for no more.
        looks: How often it looks.
        frequency: How often a cluster loses `lost`, 0 for none; the others lose nothing.

    Raises:
        UndefinedError: If a cluster would have to lose more than it has.
    """

    name: str
    sizes: tuple[int, ...]
    sd: float = 0.1
    discordance: float = 0.2
    looks: int = 1
    frequency: float = 0.0

    def __post_init__(self) -> None:
        if self.lost > 1.0:
            raise UndefinedError(f"a share of {self.frequency} of the clusters cannot lose the margin")

    @property
    def kind(self) -> Kind:
        """What is asked of it."""
        return "rare failures" if self.frequency else "symmetric"

    @property
    def lost(self) -> float:
        """What a cluster that fails loses, so that the margin is lost on average."""
        return CLUSTERED_MARGIN / self.frequency if self.frequency else 0.0

    @property
    def absent(self) -> float:
        """Probability that no cluster fails."""
        return float((1.0 - self.frequency) ** len(self.sizes)) if self.frequency else 0.0


_ONE_OF_41: Final = (*(10,) * 40, 400)
CLUSTERED_DESIGNS: Final = (
    ClusteredDesign(name="40 of 10", sizes=(10,) * 40),
    ClusteredDesign(name="41, one holds half", sizes=_ONE_OF_41),
    ClusteredDesign(name="41, one holds half, 5 looks", sizes=_ONE_OF_41, looks=LOOKS),
    ClusteredDesign(name="3 of 60 and 100 of 1", sizes=(*(60,) * 3, *(1,) * 100)),
    ClusteredDesign(name="31, geometric", sizes=tuple(max(1, round(100 * 0.858**i)) for i in range(31))),
    ClusteredDesign(name="21, one holds half", sizes=(*(10,) * 20, 200)),
    ClusteredDesign(name="2 of 150 and 30 of 5, sd 20", sizes=(150, 150, *(5,) * 30), sd=0.2),
    ClusteredDesign(name="8 of 40, sd 20", sizes=(40,) * 8, sd=0.2),
    *(
        ClusteredDesign(
            name=f"{groups} of {size}, {100 * share:.0f} % fail",
            sizes=(size,) * groups,
            sd=0.0,
            discordance=0.05,
            frequency=share,
        )
        for groups, size, share in ((30, 10, 0.1), (40, 10, 0.07), (60, 5, 0.06), (20, 25, 0.12), (12, 25, 0.2))
    ),
)


def simulate_clusters(
    design: ClusteredDesign, *, rng: np.random.Generator, repetitions: int, alpha: float
) -> ClusteredRow:
    """How often the gate errs on one design.

    Args:
        design: What is drawn.
        rng: Source of the draws.
        repetitions: Data sets per truth.
        alpha: One-sided error rate.
    """
    facts = facts_of(np.repeat(np.arange(len(design.sizes)), design.sizes), alpha=alpha)
    lost = _decide(design, _drawn(design, -CLUSTERED_MARGIN, rng, repetitions), rng, alpha)
    unchanged = None
    if not design.frequency:
        unchanged = _decide(design, _drawn(design, 0.0, rng, repetitions), rng, alpha)
    return ClusteredRow(
        kind=design.kind,
        design=design.name,
        cases=sum(design.sizes),
        facts=facts,
        margin=CLUSTERED_MARGIN,
        alpha=alpha,
        runs=repetitions,
        passed=int(lost.passed.sum()),
        failed_unchanged=None if unchanged is None else int(unchanged.failed.sum()),
        passed_unchanged=None if unchanged is None else int(unchanged.passed.sum()),
        absent=design.absent,
    )


def real_clusters(
    pairs: Sequence[SystemPair], *, source: str, rng: np.random.Generator, alpha: float, runs: int = _RUNS_FOR_WORST
) -> ClusteredRow | None:
    """How often a real loss of exactly the margin passes, where whole clusters are drawn with replacement.

    Args:
        pairs: Pairs of systems with clusters; those whose loss lies within `REAL_LOSSES` are used.
        source: Names the data.
        rng: Source of the draws.
        alpha: One-sided error rate.
        runs: Data sets per pair of systems.

    Returns:
        None if there is no such pair.
    """
    lost = [pair for pair in pairs if REAL_LOSSES[0] <= abs(pair.delta) <= REAL_LOSSES[1]]
    if not lost:
        return None
    passed = np.array([_passed(pair, runs, rng, alpha) for pair in lost])
    worst = int(np.argmax(passed))
    sizes = np.mean([len(pair.first) for pair in lost])
    typical = min(lost, key=lambda pair: abs(len(pair.first) - sizes))
    return ClusteredRow(
        kind="real",
        design=f"{source}, real losses",
        cases=round(float(sizes)),
        facts=facts_of(typical.codes, alpha=alpha),
        margin=None,
        alpha=alpha,
        runs=runs * len(lost),
        passed=int(passed.sum()),
        comparisons=len(lost),
        far_over=int(np.count_nonzero(passed > 2.0 * alpha * runs)),
        worst=(lost[worst].name, float(passed[worst]) / runs),
    )


def _passed(pair: SystemPair, runs: int, rng: np.random.Generator, alpha: float) -> int:
    differences = (pair.second - pair.first) if pair.delta < 0.0 else (pair.first - pair.second)
    codes = pair.codes
    sizes = np.bincount(codes).astype(np.float64)
    sums = np.bincount(codes, weights=differences).astype(np.float64)
    chosen = rng.integers(len(sizes), size=(runs, len(sizes)))
    table = ClusterTable.of_rows(sums[chosen], sizes[chosen])
    found, _ = decide_clusters(table, margin=abs(pair.delta), alpha=alpha, only_pass=True)
    return int(np.count_nonzero(found.passed))


def _drawn(design: ClusteredDesign, mean: float, rng: np.random.Generator, repetitions: int) -> NDArray[np.float64]:
    """Sums of differences by cluster, shape (R, G)."""
    shape = (repetitions, len(design.sizes))
    if design.frequency:
        own = np.where(rng.random(shape) < design.frequency, -design.lost, 0.0)
    else:
        own = np.clip(mean + design.sd * rng.standard_normal(shape), -1.0, 1.0)
    differ = np.maximum(design.discordance, np.abs(own))
    sizes = np.broadcast_to(np.array(design.sizes), shape)
    better = rng.binomial(sizes, (differ + own) / 2.0)
    # Of the others, so that better and worse are multinomial.
    rest = 1.0 - (differ + own) / 2.0
    worse = rng.binomial(sizes - better, np.minimum(1.0, (differ - own) / 2.0 / np.where(rest > 0.0, rest, 1.0)))
    return np.asarray(better - worse, dtype=np.float64)


def _decide(design: ClusteredDesign, sums: NDArray[np.float64], rng: np.random.Generator, alpha: float) -> Verdicts:
    sizes = np.array(design.sizes, dtype=np.float64)
    if design.looks == 1:
        return decide_clusters(ClusterTable.of_rows(sums, sizes), margin=CLUSTERED_MARGIN, alpha=alpha)[0]
    parts = [
        _decide_looks(part[:, order], sizes[order], looks=design.looks, alpha=alpha)
        for part in np.array_split(sums, _ORDERS)
        for order in (rng.permutation(len(sizes)),)
    ]
    return Verdicts(
        passed=np.concatenate([part.passed for part in parts]), failed=np.concatenate([part.failed for part in parts])
    )


def _decide_looks(sums: NDArray[np.float64], sizes: NDArray[np.float64], *, looks: int, alpha: float) -> Verdicts:
    """The verdicts where whole clusters are asked one after the other; see `gate.sequential.stopping_rule`."""
    ends, n = np.cumsum(sizes), float(sizes.sum())
    # As `record.order.plan_looks` rounds fractions up to whole clusters.
    wanted = [np.searchsorted(ends, np.ceil(fraction * n - 1e-9)) + 1 for fraction in equal_fractions(looks)]
    counts = sorted({int(count) for count in wanted})
    bounds = obrien_fleming([float(ends[count - 1]) / n for count in counts], alpha=alpha)
    passed, failed = (np.zeros(len(sums), dtype=bool) for _ in range(2))
    for count, tail in zip(counts, bounds.tails, strict=True):
        table = ClusterTable.of_rows(sums[:, :count], sizes[:count])
        found, _ = decide_clusters(table, margin=CLUSTERED_MARGIN, alpha=tail)
        going = ~(passed | failed)
        final = count == counts[-1]
        passed |= going & found.passed
        failed |= going & found.failed & (final | (table.means < -CLUSTERED_MARGIN))
    return Verdicts(passed=passed, failed=failed)
