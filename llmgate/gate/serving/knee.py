"""The largest load at which service levels hold: what to measure next, or the answer.

The run is the unit, as everywhere in serving. Each load is measured in several runs, and of every level a bound over
them decides: a load *holds* if for each level the one-sided upper bound of the figure (lower, where more is better) is
within it, *misses* if for one of them even the other bound is beyond it, and is *undecided* in between. A run in which
requests failed misses, whatever the figures of the others. A load of which too few runs are valid is undecided too, and
ends the search: where the client or the machine cannot follow, nothing is learnt by looking beside it.

The search doubles the load until one does not hold, and then halves what lies between the largest that holds and the
smallest above it that does not. It takes for granted that what holds at a load holds below it. Undecided loads count as
not holding, so that the answer is proven; they are named, because the truth may lie above them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Final

import numpy as np

from llmgate.errors import UsageError
from llmgate.record.serving.policy import ServingPolicy
from llmgate.stats.paired import t_interval

__all__ = ["Holding", "Knee", "LoadRuns", "Search", "holding", "knee_step", "most_loads"]

LEAST_RUNS: Final = 3
"""Runs of a load below which its bounds say nothing."""
STEP: Final = 0.05
"""Relative distance of two loads below which a rate is not divided further, and a concurrency only where whole numbers
lie between."""
DIGITS: Final = 3
"""Significant digits of a rate."""


class Holding(StrEnum):
    """Whether a load meets its service levels."""

    HOLDS = "holds"
    MISSES = "misses"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRuns:
    """What was measured of one load so far.

    Attributes:
        load: Requests in flight, or per second.
        figures: Of each valid run: its figures by name.
        invalid: Why runs were not valid, one sentence for each such run.
        failed: In how many of all runs requests failed.
    """

    load: float
    figures: tuple[Mapping[str, float], ...] = ()
    invalid: tuple[str, ...] = ()
    failed: int = 0

    @property
    def runs(self) -> int:
        """All of them."""
        return len(self.figures) + len(self.invalid) + self.failed

    def mean(self, name: str) -> float | None:
        """A figure, averaged over the valid runs; None if one lacks it."""
        values = [figures[name] for figures in self.figures if name in figures]
        return fmean(values) if values and len(values) == len(self.figures) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where is searched, and for what.

    Attributes:
        levels: The service levels: policies with a limit and no margin.
        least: The smallest load.
        most: The largest.
        whole: Whether loads are whole numbers.
        runs: Runs of a load.

    Raises:
        UsageError: If there is nothing to search.
    """

    levels: tuple[ServingPolicy, ...]
    least: float
    most: float
    whole: bool
    runs: int = LEAST_RUNS

    def __post_init__(self) -> None:
        if not self.levels or any(level.limit is None for level in self.levels):
            raise UsageError("no service level to hold", where="sweep", fix="Give one, such as p95_ttft_ms=500")
        if not (math.isfinite(self.most) and 0 < self.least <= self.most):
            raise UsageError(
                f"loads from {self.least:g} to {self.most:g}", where="sweep", fix="Give the smaller one first, above 0"
            )
        if self.whole and not (float(self.least).is_integer() and float(self.most).is_integer()):
            raise UsageError("requests in flight are whole numbers", where="sweep", fix="Round the bounds")
        if self.runs < LEAST_RUNS:
            raise UsageError(
                f"{self.runs} runs of a load give no bounds", where="sweep", fix=f"Ask for {LEAST_RUNS} or more"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """The answer of a search.

    Attributes:
        load: The largest load that holds; None if not even the smallest does.
        above: The smallest load above it that was measured and does not hold; None if the largest that was asked for
            holds.
        misses: The smallest of those measured that misses; None if none does, and nothing bounds the truth from above.
        undecided: Loads of which the runs do not say, ascending.
        reason: Why the search ended where it did, in one sentence.
    """

    load: float | None
    above: float | None
    misses: float | None
    undecided: tuple[float, ...]
    reason: str


def holding(runs: LoadRuns, search: Search) -> Holding:
    """Whether a load meets its levels, as far as its runs say."""
    if runs.failed:
        return Holding.MISSES
    found = [_level_held(runs, level) for level in search.levels]
    if len(runs.figures) < search.runs:
        return Holding.UNDECIDED
    if Holding.MISSES in found:
        return Holding.MISSES
    return Holding.UNDECIDED if Holding.UNDECIDED in found else Holding.HOLDS


def knee_step(search: Search, measured: Sequence[LoadRuns]) -> float | Knee:
    """What to measure next, or the answer.

    Args:
        search: Where and for what.
        measured: All runs so far, in any order, one entry per load.

    Returns:
        A load, of which one more run is to be made; or the knee.
    """
    for each in measured:
        if not _complete(each, search):
            return each.load
    verdicts = {each.load: holding(each, search) for each in measured}
    low = max((load for load, verdict in verdicts.items() if verdict is Holding.HOLDS), default=None)
    for each in measured:
        if not each.failed and len(each.figures) < search.runs:
            return _answer(search, verdicts, low, each.load, why=each.invalid[0])
    failing = [load for load, verdict in verdicts.items() if verdict is not Holding.HOLDS]
    high = min((load for load in failing if low is None or load > low), default=None)
    if high is None:
        if low is None:
            return search.least
        return min(2 * low, search.most) if low < search.most else _answer(search, verdicts, low, high)
    if low is None:
        return _answer(search, verdicts, low, high)
    between = _between(low, high, whole=search.whole)
    return _answer(search, verdicts, low, high) if between is None else between


def most_loads(search: Search, measured: Sequence[LoadRuns]) -> int:
    """The most loads that the search may still begin, for an estimate of the time that is left."""
    verdicts = {each.load: holding(each, search) for each in measured if _complete(each, search)}
    low = max((load for load, verdict in verdicts.items() if verdict is Holding.HOLDS), default=None)
    above = [load for load, verdict in verdicts.items() if verdict is not Holding.HOLDS and (low or 0) < load]
    if above and low is None:
        return 0
    high, count = min(above, default=None), 0
    if high is None:
        reach = low if low is not None else search.least / 2
        while reach < search.most:
            reach = min(2 * reach, search.most)
            count += 1
        high = search.most
        low = low if low is not None else search.least
        # After doubling, a bracket is as wide as its lower end at most.
        low = max(low, high / 2)
    while low is not None and (between := _between(low, high, whole=search.whole)) is not None:
        low = between
        count += 1
    return count


def _complete(runs: LoadRuns, search: Search) -> bool:
    """Whether no further run of a load is to be made: it has enough, misses anyway, or its runs are not valid."""
    return bool(runs.failed) or len(runs.figures) >= search.runs or len(runs.invalid) >= search.runs


def _level_held(runs: LoadRuns, level: ServingPolicy) -> Holding:
    limit, figures = level.limit, runs.figures
    values = [run[level.metric] for run in figures if level.metric in run]
    if limit is None or len(values) < len(figures) or len(values) < LEAST_RUNS:
        return Holding.UNDECIDED
    if min(values) <= 0:
        # Nothing per second is no throughput at all, and has no logarithm.
        return Holding.MISSES if level.max is None else Holding.UNDECIDED
    sign = -1.0 if level.max is not None else 1.0
    margins = np.asarray([sign * math.log(value / limit) for value in values])
    if np.ptp(margins) == 0.0:
        # Runs that agree to the last digit are a fake's; a real server's never do.
        return Holding.HOLDS if margins[0] >= 0 else Holding.MISSES
    bounds = t_interval(margins, alpha=level.alpha)
    if bounds.lower >= 0:
        return Holding.HOLDS
    return Holding.MISSES if bounds.upper < 0 else Holding.UNDECIDED


def _between(low: float, high: float, *, whole: bool) -> float | None:
    """A load in the middle, None if the two are near enough."""
    if whole:
        middle = float(math.floor((low + high) / 2))
        return middle if high - low > max(1.0, STEP * low) and low < middle < high else None
    if high <= (1 + STEP) * low:
        return None
    middle = float(f"{math.sqrt(low * high):.{DIGITS}g}")
    return middle if low < middle < high else None


def _answer(
    search: Search, verdicts: Mapping[float, Holding], low: float | None, high: float | None, *, why: str = ""
) -> Knee:
    undecided = tuple(sorted(load for load, verdict in verdicts.items() if verdict is Holding.UNDECIDED))
    misses = min((load for load, verdict in verdicts.items() if verdict is Holding.MISSES), default=None)
    if high is None:
        reason = f"the largest load that was asked for, {search.most:g}, holds"
    elif why:
        reason = f"{f'{low:g} holds; ' if low is not None else ''}{high:g} could not be measured: {why}"
    elif low is None:
        state = "is undecided" if high in undecided else "misses"
        reason = f"the smallest load that was asked for, {high:g}, {state}"
    elif high in undecided:
        reason = f"{low:g} holds; {high:g} is undecided, and more runs might tell"
    else:
        reason = f"{low:g} holds and {high:g} misses"
    return Knee(load=low, above=high, misses=misses, undecided=undecided, reason=reason)
