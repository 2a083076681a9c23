"""Real results whose truth is known all the same: cases are drawn, labels swapped, losses planted.

Swapping the two systems' labels at random, item by item (whole clusters together), makes an exact null: the spread, the
ties and the partial credits are those of real models, and neither side is better. Turning each right answer of the
candidate wrong with probability loss / mean score then loses exactly that much on average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.results import FIVE_POINTS, CalibrationRow, Cell, DecisionRule, Truth
from llmgate.gate.calibration.simulated import truths
from llmgate.gate.calibration.vectorised import Draws, Verdicts, decide_draws
from llmgate.stats.planning.power import t_pass_chance, tango_chances

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["REAL_LOSSES", "Sampling", "SystemPair", "real_losses", "resample"]

REAL_LOSSES = (0.02, 0.10)
"""Losses between which a pair of systems serves as a real regression."""

_CASES_AT_ONCE = 1_000_000
_RUNS_FOR_WORST = 1_000
"""Data sets of one comparison below which its rate is mostly noise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SystemPair:
    """Two systems on the items that both have.

    Attributes:
        name: Names the two.
        first: Scores of the one, shape (N,), in [0, 1].
        second: Scores of the other.
        clusters: A code per item, None where they are independent.

    Raises:
        UndefinedError: If there are no items, or all belong to one cluster.
    """

    name: str
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    clusters: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if not len(self.first):
            raise UndefinedError(f"{self.name} share no item")
        if self.clusters is not None and len(np.unique(self.clusters)) < 2:
            raise UndefinedError(f"all items of {self.name} belong to one cluster")

    @property
    def delta(self) -> float:
        """Mean of the second − mean of the first."""
        return float(np.mean(self.second - self.first))

    @property
    def level(self) -> float:
        """Mean of both, which is what a candidate has to lose once labels are swapped."""
        return float(np.mean(self.first + self.second)) / 2.0

    @property
    def discordance(self) -> float:
        """Share of items with different scores."""
        return float(np.mean(self.first != self.second))

    @property
    def codes(self) -> NDArray[np.int64]:
        """Clusters numbered from 0, shape (N,); without clusters every item is one."""
        clusters = np.arange(len(self.first)) if self.clusters is None else self.clusters
        return np.asarray(np.unique(clusters, return_inverse=True)[1])

    @property
    def binary(self) -> bool:
        """Whether all scores are 0 or 1."""
        return all(bool(np.all((side == 0.0) | (side == 1.0))) for side in (self.first, self.second))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What is drawn from the pairs of one data set.

    Attributes:
        source: Name of the data set.
        scores: What the scores are like and what is drawn, in words.
        size: Items to draw; None for as many whole clusters as there are.
        repetitions: Data sets per truth, spread over the pairs.
    """

    source: str
    scores: str
    size: int | None
    repetitions: int

    def runs(self, pairs: Sequence[SystemPair]) -> int:
        """Data sets per pair of systems."""
        return math.ceil(self.repetitions / len(pairs))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Picked:
    """Which items make up many data sets: shape (T,) each."""

    item: NDArray[np.int64]
    draw: NDArray[np.int64]
    unit: NDArray[np.int64]
    """What is swapped together: an item or a whole cluster, numbered over all data sets."""
    cluster: NDArray[np.int64] | None


class _Tally:
    """Counts one cell over all pairs of systems."""

    def __init__(self) -> None:
        self.runs = self.passed = self.failed = 0
        self.worst: tuple[str, float] | None = None

    def add(self, pair: SystemPair, verdicts: Sequence[Verdicts], *, wrong_is_pass: bool) -> None:
        passed, failed = (sum(int(getattr(v, side).sum()) for v in verdicts) for side in ("passed", "failed"))
        runs = sum(len(v.passed) for v in verdicts)
        self.runs, self.passed, self.failed = self.runs + runs, self.passed + passed, self.failed + failed
        rate = (passed if wrong_is_pass else failed) / runs
        if runs >= _RUNS_FOR_WORST and (self.worst is None or rate > self.worst[1]):
            self.worst = (pair.name, rate)

    def cell(self, truth: Truth, loss: float, promised: float | None = None) -> Cell:
        return Cell(
            truth=truth,
            loss=loss,
            runs=self.runs,
            passed=self.passed,
            failed=self.failed,
            promised=promised,
            worst=self.worst,
        )


def resample(
    pairs: Sequence[SystemPair], sampling: Sampling, *, rng: np.random.Generator, margin: float, alpha: float
) -> tuple[CalibrationRow, ...]:
    """The gate's rule, and "block if the mean is lower", on swapped labels and planted losses.

    Args:
        pairs: Pairs of systems; each has a mean score from which five points and the margin can be lost.
        sampling: What is drawn.
        rng: Source of the draws.
        margin: The gate's margin.
        alpha: Its one-sided error rate.

    Raises:
        UndefinedError: If there are no pairs or a loss cannot be planted.
    """
    _check(pairs, max(margin, FIVE_POINTS))
    losses = truths(margin)
    gate, mean_lower = ({truth: _Tally() for truth in losses} for _ in range(2))
    cases = 0
    for pair in pairs:
        for truth, loss in losses.items():
            gate_verdicts, mean_verdicts = [], []
            for picked in _picks(pair, sampling, sampling.runs(pairs), rng):
                draws = _swapped(pair, picked, loss, rng)
                cases += len(draws.draw)
                gate_verdicts.append(decide_draws(draws, margin=margin, alpha=alpha))
                mean_verdicts.append(_lower(draws))
            wrong_is_pass = truth is not Truth.UNCHANGED
            gate[truth].add(pair, gate_verdicts, wrong_is_pass=wrong_is_pass)
            mean_lower[truth].add(pair, mean_verdicts, wrong_is_pass=wrong_is_pass)
    cases = round(cases / sum(tally.runs for tally in gate.values()))
    promised = {Truth.UNCHANGED: _promise(pairs, sampling, margin, alpha)}
    cells = {
        DecisionRule.GATE: tuple(gate[truth].cell(truth, loss, promised.get(truth)) for truth, loss in losses.items()),
        DecisionRule.MEAN_LOWER: tuple(mean_lower[truth].cell(truth, loss) for truth, loss in losses.items()),
    }
    return tuple(
        _row(pairs, sampling, rule=rule, cases=cases, margin=margin, alpha=alpha, cells=of_rule)
        for rule, of_rule in cells.items()
    )


def real_losses(
    pairs: Sequence[SystemPair], sampling: Sampling, *, rng: np.random.Generator, alpha: float
) -> CalibrationRow | None:
    """The gate on real regressions: the worse system is the candidate, and what it loses is the margin.

    The whole set is the population, so the true loss is known to be the margin, and PASS is wrong.

    Args:
        pairs: Pairs of systems; those whose loss lies within `REAL_LOSSES` are used.
        sampling: What is drawn.
        rng: Source of the draws.
        alpha: One-sided error rate.

    Returns:
        None if there is no such pair.
    """
    lost = [pair for pair in pairs if REAL_LOSSES[0] <= abs(pair.delta) <= REAL_LOSSES[1]]
    if not lost:
        return None
    tally, cases = _Tally(), 0
    for pair in lost:
        worse, better = (pair.second, pair.first) if pair.delta < 0 else (pair.first, pair.second)
        verdicts = []
        for picked in _picks(pair, sampling, sampling.runs(lost), rng):
            cases += len(picked.draw)
            draws = Draws(
                candidate=worse[picked.item], champion=better[picked.item], draw=picked.draw, clusters=picked.cluster
            )
            verdicts.append(decide_draws(draws, margin=abs(pair.delta), alpha=alpha))
        tally.add(pair, verdicts, wrong_is_pass=True)
    loss = float(np.mean([abs(pair.delta) for pair in lost]))
    cells = (tally.cell(Truth.REAL_MARGIN, loss),)
    return _row(
        lost, sampling, rule=DecisionRule.GATE, cases=round(cases / tally.runs), margin=None, alpha=alpha, cells=cells
    )


def _check(pairs: Sequence[SystemPair], loss: float) -> None:
    if not pairs:
        raise UndefinedError("there is no pair of systems")
    poor = next((pair for pair in pairs if pair.level < loss), None)
    if poor is not None:
        raise UndefinedError(f"{poor.name} score {poor.level:.3f} on average, from which {loss:g} cannot be lost")


def _picks(pair: SystemPair, sampling: Sampling, runs: int, rng: np.random.Generator) -> Iterator[_Picked]:
    size = len(pair.first) if sampling.size is None else sampling.size
    at_once = max(1, _CASES_AT_ONCE // size)
    for start in range(0, runs, at_once):
        count = min(at_once, runs - start)
        yield _pick_items(pair, count, size, rng) if sampling.size is not None else _pick_clusters(pair, count, rng)


def _pick_items(pair: SystemPair, count: int, size: int, rng: np.random.Generator) -> _Picked:
    cases = count * size
    return _Picked(
        item=rng.integers(len(pair.first), size=cases),
        draw=np.repeat(np.arange(count), size),
        unit=np.arange(cases),
        cluster=None,
    )


def _pick_clusters(pair: SystemPair, count: int, rng: np.random.Generator) -> _Picked:
    """As many clusters as there are, with replacement; a cluster drawn twice is two clusters."""
    codes = pair.codes
    order, sizes = np.argsort(codes, kind="stable"), np.bincount(codes)
    groups, starts = len(sizes), np.cumsum(sizes) - sizes
    chosen = rng.integers(groups, size=count * groups)
    lengths = sizes[chosen]
    unit = np.repeat(np.arange(len(chosen)), lengths)
    within = np.arange(len(unit)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return _Picked(item=order[starts[chosen][unit] + within], draw=unit // groups, unit=unit, cluster=unit % groups)


def _swapped(pair: SystemPair, picked: _Picked, loss: float, rng: np.random.Generator) -> Draws:
    swap = (rng.random(int(picked.unit[-1]) + 1) < 0.5)[picked.unit]
    first, second = pair.first[picked.item], pair.second[picked.item]
    candidate = np.where(swap, first, second)
    if loss:
        candidate = np.where(rng.random(len(candidate)) < loss / pair.level, 0.0, candidate)
    return Draws(candidate=candidate, champion=np.where(swap, second, first), draw=picked.draw, clusters=picked.cluster)


def _lower(draws: Draws) -> Verdicts:
    lower = np.bincount(draws.draw, weights=draws.candidate - draws.champion) < 0.0
    return Verdicts(passed=~lower, failed=lower)


def _promise(pairs: Sequence[SystemPair], sampling: Sampling, margin: float, alpha: float) -> float:
    """P(PASS) of an unchanged candidate as the gate prints it, given the spread of these pairs; their mean."""
    return float(np.mean([_chance(pair, sampling.size, margin, alpha) for pair in pairs]))


def _chance(pair: SystemPair, size: int | None, margin: float, alpha: float) -> float:
    differences = pair.second - pair.first
    if size is None:
        sums, n = np.bincount(pair.codes, weights=differences), len(differences)
        se, df = math.sqrt(float(np.sum(sums * sums))) / n, len(sums) - 1
    elif pair.binary:
        return tango_chances(delta=0.0, discordance=pair.discordance, pairs=size, margin=margin, alpha=alpha).passed
    else:
        n, df = size, size - 1
        se = math.sqrt(float(np.mean(differences * differences)) / size)
    return t_pass_chance(delta=0.0, standard_error=se, df=df, pairs=n, margin=margin, alpha=alpha)


def _row(
    pairs: Sequence[SystemPair],
    sampling: Sampling,
    *,
    rule: DecisionRule,
    cases: int,
    margin: float | None,
    alpha: float,
    cells: tuple[Cell, ...],
) -> CalibrationRow:
    return CalibrationRow(
        rule=rule,
        source=sampling.source,
        scores=sampling.scores,
        pairs=cases,
        discordance=float(np.mean([pair.discordance for pair in pairs])),
        comparisons=len(pairs),
        clustered=sampling.size is None,
        margin=margin,
        alpha=alpha,
        cells=cells,
    )
