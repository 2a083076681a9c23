"""What power promises, held against what the gate then does: an unchanged model, and losses that make pairs differ.

Each row plans a gate as `llmgate power` does, takes the loss that the plan says is found four times out of five, and
lets the gate decide on data in which that loss is planted: right answers of the candidate turn wrong at random, beside
the flips that two equally good models have anyway.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.results import Requirement
from llmgate.gate.calibration.vectorised import Draws, Verdicts, decide_draws, decide_looks, look_sizes
from llmgate.stats.planning.detectable import DEFAULT_POWER, minimum_detectable_effect
from llmgate.stats.planning.looks import StagedRule
from llmgate.stats.planning.rules import TangoRule, TRule
from llmgate.stats.sequential.looks import equal_fractions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from llmgate.gate.calibration.resampled import SystemPair
    from llmgate.stats.planning.rules import ComparisonRule

__all__ = ["POWER_DESIGNS", "PowerDesign", "PowerRow", "power_of_pairs", "simulate_power"]

_NEAR: Final = 0.03
"""A promise may lie so far from what happens."""
_ERRORS_OF_ROOM: Final = 4.0
_CASES_AT_ONCE: Final = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDesign:
    """A gate that is planned and then simulated.

    Attributes:
        pairs: n, in all.
        discordance: Share of single answers that differ where nothing has changed.
        level: The champion's rate of right answers.
        repeats: K answers, whose mean is a case's score.
        looks: How often it looks; 1 for once.
        clusters: How many equal clusters the cases are in; None where each stands for itself.
        cluster_sd: Standard deviation, between clusters, of the mean difference of a cluster.
    """

    pairs: int
    discordance: float = 0.1
    level: float = 0.7
    repeats: int = 1
    looks: int = 1
    clusters: int | None = None
    cluster_sd: float = 0.05

    @property
    def name(self) -> str:
        """In words."""
        parts = ["right or wrong" if self.repeats == 1 else f"mean of {self.repeats} answers"]
        if self.looks > 1:
            parts.append(f"{self.looks} looks")
        if self.clusters is not None:
            parts.append(f"{self.clusters} clusters of {self.pairs // self.clusters}")
        return ", ".join(parts)


POWER_DESIGNS: Final = (
    *(PowerDesign(pairs=n) for n in (50, 100, 200, 688, 1000)),
    *(PowerDesign(pairs=n, discordance=psi) for n in (100, 688) for psi in (0.05, 0.2)),
    *(PowerDesign(pairs=n, discordance=0.2, repeats=3) for n in (200, 688, 1000)),
    *(PowerDesign(pairs=n, looks=5) for n in (200, 688, 1000)),
    *(PowerDesign(pairs=n, clusters=groups) for n, groups in ((400, 40), (1000, 100))),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerRow:
    """What was promised of one gate, and what happened.

    Attributes:
        source: `simulated`, or the name of the real data set.
        design: In words.
        pairs: Cases of each data set.
        discordance: Share of pairs that differ where nothing has changed; the mean over comparisons.
        margin: The gate's.
        loss: The loss that is found four times out of five, as planned; the mean over comparisons.
        promised_pass: P(PASS | unchanged).
        found_pass: How often an unchanged model passed.
        promised_fail: P(FAIL | the loss).
        found_fail: How often the loss got a FAIL.
        runs: Data sets behind each figure.
        at_least: Whether the promise is a lower limit, as with clusters: more power than promised is no mistake.
    """

    source: str
    design: str
    pairs: int
    discordance: float
    margin: float
    loss: float
    promised_pass: float
    found_pass: float
    promised_fail: float
    found_fail: float
    runs: int
    at_least: bool = False

    @property
    def name(self) -> str:
        """Names the row in messages."""
        return f"power, {self.source}, {self.design}, {self.pairs:,} pairs, {100 * self.discordance:.0f} % discordance"

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """Both promises lie within 3 points of what happens."""
        return tuple(
            Requirement(
                what=what,
                where=self.name,
                found=max(0.0, promised - found) if self.at_least else abs(promised - found),
                limit=_NEAR,
                room=_ERRORS_OF_ROOM * math.sqrt(0.25 / self.runs),
                runs=self.runs,
            )
            for what, promised, found in (
                ("power: PASS of an unchanged model lies off its promise", self.promised_pass, self.found_pass),
                ("power: FAIL of the loss that is found lies off its promise", self.promised_fail, self.found_fail),
            )
        )

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def simulate_power(
    designs: Iterable[PowerDesign],
    *,
    rng: np.random.Generator,
    repetitions: int,
    margin: float,
    alpha: float,
) -> Iterator[PowerRow]:
    """Every design, planned and simulated.

    Args:
        designs: What is planned.
        rng: Source of the draws.
        repetitions: Data sets per figure.
        margin: Of the gates.
        alpha: Their one-sided error rate.

    Raises:
        UndefinedError: If a design is impossible or finds no loss.
    """
    gate = _Gate(margin=margin, alpha=alpha, runs=repetitions)
    for design in designs:
        rule = _rule(design, alpha)
        loss = _found(rule, margin, design.level, design.name)
        unchanged, lost = (_simulated(design, truth, rng, gate) for truth in (0.0, loss))
        yield PowerRow(
            source="simulated",
            design=design.name,
            pairs=design.pairs,
            discordance=design.discordance,
            margin=margin,
            loss=loss,
            promised_pass=rule.chances(delta=0.0, margin=margin).passed,
            found_pass=float(unchanged.passed.mean()),
            promised_fail=rule.chances(delta=-loss, margin=margin).failed,
            found_fail=float(lost.failed.mean()),
            runs=repetitions,
            at_least=design.clusters is not None,
        )


def power_of_pairs(
    pairs: Sequence[SystemPair],
    *,
    source: str,
    size: int,
    rng: np.random.Generator,
    repetitions: int,
    margin: float,
    alpha: float,
) -> PowerRow | None:
    """The same on real results: cases drawn from pairs of systems, labels swapped, the loss planted.

    Args:
        pairs: Pairs of systems; those of right-or-wrong scores in which so much can be lost are used.
        source: Names the data set.
        size: Cases to draw.
        rng: Source of the draws.
        repetitions: Data sets per figure, spread over the pairs.
        margin: Of the gate.
        alpha: Its one-sided error rate.

    Returns:
        Means over the pairs; None where there is no such pair.
    """
    rows = []
    for pair in pairs:
        if not pair.binary:
            continue
        rule = TangoRule(pairs=size, discordance=pair.discordance, alpha=alpha, level=pair.level)
        loss = minimum_detectable_effect(rule, margin=margin)
        if loss is None or loss >= pair.level:
            continue
        promised = rule.chances(delta=0.0, margin=margin), rule.chances(delta=-loss, margin=margin)
        rows.append((pair, loss, promised))
    if not rows:
        return None
    gate = _Gate(margin=margin, alpha=alpha, runs=math.ceil(repetitions / len(rows)))
    found = [
        [_resampled(_drawn(pair, size, gate.runs, rng), lost / pair.level, rng, gate) for lost in (0.0, loss)]
        for pair, loss, _ in rows
    ]
    return PowerRow(
        source=source,
        design="right or wrong",
        pairs=size,
        discordance=float(np.mean([pair.discordance for pair, _, _ in rows])),
        margin=margin,
        loss=float(np.mean([loss for _, loss, _ in rows])),
        promised_pass=float(np.mean([unchanged.passed for _, _, (unchanged, _) in rows])),
        found_pass=float(np.mean([unchanged.passed.mean() for unchanged, _ in found])),
        promised_fail=float(np.mean([lost.failed for _, _, (_, lost) in rows])),
        found_fail=float(np.mean([lost.failed.mean() for _, lost in found])),
        runs=gate.runs * len(rows),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """Who decides, on how many data sets."""

    margin: float
    alpha: float
    runs: int


def _rule(design: PowerDesign, alpha: float) -> ComparisonRule:
    n, level = design.pairs, design.level
    if design.repeats == 1 and design.clusters is None:
        rule = TangoRule(pairs=n, discordance=design.discordance, alpha=alpha, level=level)
        return StagedRule(rule=rule, fractions=equal_fractions(design.looks)) if design.looks > 1 else rule
    variance, effect = design.discordance / design.repeats, 1.0
    if design.clusters is not None:
        effect = 1.0 + n / design.clusters * design.cluster_sd**2 / variance
    return TRule(
        variance=effect * variance,
        pairs=n,
        df=(n if design.clusters is None else design.clusters) - 1,
        alpha=alpha,
        level=level,
        design_effect=effect,
        clusters=design.clusters,
    )


def _found(rule: ComparisonRule, margin: float, level: float, name: str) -> float:
    loss = minimum_detectable_effect(rule, margin=margin, power=DEFAULT_POWER)
    if loss is None or loss >= level:
        raise UndefinedError(f"no loss is found by {name}")
    return loss


def _simulated(design: PowerDesign, loss: float, rng: np.random.Generator, gate: _Gate) -> Verdicts:
    at_once = max(1, _CASES_AT_ONCE // design.pairs)
    parts = []
    for start in range(0, gate.runs, at_once):
        candidate, champion = _answers(design, loss, rng, min(at_once, gate.runs - start))
        parts.append(_decided(design, candidate, champion, gate))
    return Verdicts(
        passed=np.concatenate([part.passed for part in parts]), failed=np.concatenate([part.failed for part in parts])
    )


def _answers(
    design: PowerDesign, loss: float, rng: np.random.Generator, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of both, shape (count, n)."""
    shape = (count, design.pairs)
    ahead = np.full(shape, design.discordance / 2.0)
    if design.clusters is not None:
        groups = np.arange(design.pairs) * design.clusters // design.pairs
        limit = design.discordance / 2.0
        # Two values keep the probabilities inside their range.
        shift = np.where(rng.random((count, design.clusters)) < 0.5, -1.0, 1.0) * min(design.cluster_sd, 2.0 * limit)
        ahead = ahead + shift[:, groups] / 2.0
    both = design.level - design.discordance / 2.0
    if design.repeats == 1:
        u = rng.random(shape)
        champion = (u < both) | (u >= 1.0 - (design.discordance - ahead))
        candidate = (u < both) | ((u >= 1.0 - design.discordance) & (u < 1.0 - (design.discordance - ahead)))
        return _lost(candidate.astype(np.float64), loss, design, rng), champion.astype(np.float64)
    # Cases that flip with probability ½ in every answer differ in half of all pairs of answers.
    flips = rng.random(shape) < 2.0 * design.discordance
    steady = rng.random(shape) < (design.level - design.discordance) / (1.0 - 2.0 * design.discordance)
    sides = [np.where(flips, rng.binomial(design.repeats, 0.5, shape) / design.repeats, steady) for _ in range(2)]
    return _lost(sides[0], loss, design, rng), sides[1]


def _lost(
    scores: NDArray[np.float64], loss: float, design: PowerDesign, rng: np.random.Generator
) -> NDArray[np.float64]:
    return np.where(rng.random(scores.shape) < loss / design.level, 0.0, scores) if loss else scores


def _decided(
    design: PowerDesign,
    candidate: NDArray[np.float64],
    champion: NDArray[np.float64],
    gate: _Gate,
) -> Verdicts:
    count, n = candidate.shape
    if design.looks > 1:
        sizes = look_sizes(n, design.looks)
        seen = [size - 1 for size in sizes]
        better, worse = (
            np.cumsum(side, axis=1, dtype=np.int64)[:, seen] for side in (candidate > champion, champion > candidate)
        )
        return decide_looks(better, worse, sizes, margin=gate.margin, alpha=gate.alpha).verdicts
    clusters = None
    if design.clusters is not None:
        clusters = np.tile(np.arange(n) * design.clusters // n, count)
    draws = Draws(
        candidate=candidate.ravel(), champion=champion.ravel(), draw=np.repeat(np.arange(count), n), clusters=clusters
    )
    return decide_draws(draws, margin=gate.margin, alpha=gate.alpha)


def _drawn(pair: SystemPair, size: int, runs: int, rng: np.random.Generator) -> Draws:
    """Cases with replacement, labels swapped at random."""
    item = rng.integers(len(pair.first), size=runs * size)
    swap = rng.random(len(item)) < 0.5
    first, second = pair.first[item], pair.second[item]
    return Draws(
        candidate=np.where(swap, first, second),
        champion=np.where(swap, second, first),
        draw=np.repeat(np.arange(runs), size),
    )


def _resampled(draws: Draws, share: float, rng: np.random.Generator, gate: _Gate) -> Verdicts:
    """With so large a share of the candidate's right answers turned wrong."""
    kept = rng.random(len(draws.draw)) >= share
    return decide_draws(replace(draws, candidate=draws.candidate * kept), margin=gate.margin, alpha=gate.alpha)
