"""Simulated serving comparisons, where the truth is known because it was drawn: the gate's rule, and others'."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.gate.calibration.results import Cell, ServingCalibrationRow, ServingRule, Truth
from llmgate.gate.calibration.serving_noise import MeasuredRuns, RunNoise, RunOrder, draw_runs
from llmgate.gate.calibration.serving_rule import (
    accepted_loss,
    decide_pairs,
    five_percent,
    mann_whitney,
    two_percent,
    two_sigma,
)
from llmgate.gate.calibration.vectorised import Verdicts
from llmgate.stats.planning.detectable import smallest_number
from llmgate.stats.planning.rules import TRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.random import Generator

    from llmgate.stats.planning.power import Chances

__all__ = [
    "INDEPENDENT",
    "SERVING_ALPHA",
    "SERVING_MARGIN",
    "ServingCase",
    "pairs_asked",
    "serving_cases",
    "simulate_serving",
]

SERVING_MARGIN: Final = 0.05
SERVING_ALPHA: Final = 0.05
SLOWER: Final = 0.08
FASTER: Final = 0.05
PAIRS: Final = (6, 8, 12, 20)
CVS: Final = (0.02, 0.05, 0.1)
FEWEST_PAIRS: Final = 6
POWER: Final = 0.8
POOLED: Final = 10
"""Measurements whose requests are ranked: one in so many, since that takes hundreds of times as long."""

LOSSES: Final[Mapping[Truth, float]] = MappingProxyType(
    {Truth.FASTER: -FASTER, Truth.UNCHANGED: 0.0, Truth.MARGIN: SERVING_MARGIN, Truth.SLOWER: SLOWER}
)
"""Relative; below 0 is a gain."""

INDEPENDENT: Final = RunNoise(name="independent")
NOISES: Final = (
    INDEPENDENT,
    RunNoise(name="drift of −10 % over the session", drift=0.1),
    RunNoise(name="drift of −30 % over the session", drift=0.3),
    RunNoise(name="autocorrelated, lag-1 0.2", lag=0.2),
    RunNoise(name="autocorrelated, lag-1 0.5", lag=0.5),
    RunNoise(name="autocorrelated, lag-1 0.8", lag=0.8),
    RunNoise(name="heavy tails, t with 3 df", tails="t3"),
    RunNoise(name="one run in 20 twice as slow", tails="slow"),
    RunNoise(name="a neighbour every 4 runs, ±5 %", period=4),
    RunNoise(name="bursts of a neighbour, kept", bursts=True),
    RunNoise(name="bursts of a neighbour, made again", bursts=True, discards=True),
)
ORDERED: Final = (INDEPENDENT, NOISES[2], NOISES[3], NOISES[4], NOISES[8])
FRESH_STARTS: Final = RunNoise(name="starts are half of the noise, each run has its own", start_share=0.5)
KEPT_STARTS: Final = RunNoise(
    name="starts are half of the noise, a server is kept while its arm stays", start_share=0.5, fresh_starts=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCase:
    """One kind of measurement that is tried.

    Attributes:
        noise: What disturbs the runs.
        order: Of the runs.
        cv: How much runs vary by chance.
        pairs: Pairs of runs.
        asked: See `ServingCalibrationRow`.
        sized: See `ServingCalibrationRow`.
        others: Whether the rules of others decide as well.
    """

    noise: RunNoise
    order: RunOrder = RunOrder.DRAWN
    cv: float = 0.05
    pairs: int = 8
    asked: bool = True
    sized: bool = False
    others: bool = False


def serving_cases(*, quick: bool = False) -> Iterator[ServingCase]:
    """All that a release tries.

    Args:
        quick: Of the gate's own rule fewer sizes and spreads.
    """
    for noise in NOISES:
        for cv in CVS[1:2] if quick else CVS:
            for pairs in PAIRS[:2] if quick else PAIRS:
                yield ServingCase(noise=noise, cv=cv, pairs=pairs)
    for cv in CVS:
        pairs = pairs_asked(cv, margin=SERVING_MARGIN, alpha=SERVING_ALPHA)
        yield ServingCase(noise=INDEPENDENT, cv=cv, pairs=pairs, sized=True, others=True)
    for order in RunOrder:
        for noise in ORDERED:
            if order is not RunOrder.DRAWN:
                yield ServingCase(noise=noise, order=order, asked=False)
    yield ServingCase(noise=FRESH_STARTS)
    for order in (RunOrder.DRAWN, RunOrder.MIRRORED, RunOrder.PHASES):
        yield ServingCase(noise=KEPT_STARTS, order=order, asked=False)


def pairs_asked(cv: float, *, margin: float, alpha: float) -> int:
    """Pairs with which 8 % less throughput is found four times out of five: what `llmgate power` asks for.

    Args:
        cv: How much runs vary.
        margin: Of the gate.
        alpha: One-sided error rate.

    Raises:
        UndefinedError: If no number of pairs finds it.
    """
    number = smallest_number(
        lambda pairs: _promise(cv, pairs, math.log1p(-SLOWER), margin=margin, alpha=alpha).failed,
        power=POWER,
        start=FEWEST_PAIRS,
    )
    return number if number is not None else FEWEST_PAIRS


def simulate_serving(
    case: ServingCase,
    *,
    rng: Generator,
    repetitions: int,
    margin: float = SERVING_MARGIN,
    alpha: float = SERVING_ALPHA,
) -> tuple[ServingCalibrationRow, ...]:
    """Decide many measurements of which it is known how much slower the candidate is.

    Args:
        case: What is drawn.
        rng: Source of the draws.
        repetitions: Measurements per truth.
        margin: Of the gate.
        alpha: One-sided error rate.

    Returns:
        The gate's row, and those of others where the case has them.
    """

    def gate(runs: MeasuredRuns) -> Verdicts:
        told = decide_pairs(runs.candidate - runs.champion, margin=margin, latency=False, alpha=alpha)
        return Verdicts(passed=told.passed & runs.complete, failed=told.failed & runs.complete)

    def pooled(runs: MeasuredRuns) -> Verdicts:
        some = slice(None, max(1, repetitions // POOLED))
        fewer = MeasuredRuns(candidate=runs.candidate[some], champion=runs.champion[some], complete=runs.complete[some])
        return mann_whitney(fewer, alpha=alpha, rng=rng)

    rules: dict[ServingRule, Callable[[MeasuredRuns], Verdicts]] = {ServingRule.GATE: gate}
    if case.others:
        rules |= {
            ServingRule.MANN_WHITNEY: pooled,
            ServingRule.FIVE_PERCENT: five_percent,
            ServingRule.TWO_PERCENT: two_percent,
            ServingRule.TWO_SIGMA: two_sigma,
        }
    promise = partial(_promised, case, margin=margin, alpha=alpha)
    cells: dict[ServingRule, list[Cell]] = {rule: [] for rule in rules}
    for truth, loss in LOSSES.items():
        equal = draw_runs(case.noise, case.order, rng=rng, repetitions=repetitions, pairs=case.pairs, cv=case.cv)
        runs = MeasuredRuns(
            candidate=equal.candidate + math.log1p(-loss), champion=equal.champion, complete=equal.complete
        )
        for rule, decide in rules.items():
            told = decide(runs)
            promised = promise(truth) if rule is ServingRule.GATE else None
            cells[rule].append(
                Cell(
                    truth=truth,
                    loss=loss,
                    runs=len(told.passed),
                    passed=int(told.passed.sum()),
                    failed=int(told.failed.sum()),
                    promised=promised,
                )
            )
    return tuple(
        ServingCalibrationRow(
            rule=rule,
            noise=case.noise.name,
            order=str(case.order),
            cv=case.cv,
            pairs=case.pairs,
            margin=margin,
            alpha=alpha,
            asked=case.asked and rule is ServingRule.GATE,
            sized=case.sized,
            cells=tuple(cells[rule]),
        )
        for rule in rules
    )


def _promised(case: ServingCase, truth: Truth, *, margin: float, alpha: float) -> float | None:
    """What `llmgate power` says of it; only independent noise is what it assumes."""
    if case.noise != INDEPENDENT or truth not in {Truth.UNCHANGED, Truth.SLOWER}:
        return None
    chances = _promise(case.cv, case.pairs, math.log1p(-LOSSES[truth]), margin=margin, alpha=alpha)
    return chances.passed if truth is Truth.UNCHANGED else chances.failed


def _promise(cv: float, pairs: int, delta: float, *, margin: float, alpha: float) -> Chances:
    rule = TRule(variance=2.0 * math.log1p(cv * cv), pairs=pairs, df=pairs - 1, alpha=alpha, bounded=False)
    return rule.chances(delta=delta, margin=-accepted_loss(margin, latency=False))
