"""Simulated serving runs of two arms: what disturbs them in time, and in which order they are made.

A run's figure is the exponential of what is drawn here, and noise belongs to the time at which a run is made, not to
the arm: an arm's own speed is added by who asks. Only server starts belong to an arm's runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from llmgate.errors import UndefinedError

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["BURST_SEEN", "MeasuredRuns", "RunNoise", "RunOrder", "draw_runs"]

BURST_SEEN: Final = 0.05
"""A neighbour that slows a run by more than this is seen; of a smaller one the record shows nothing."""
_BURST_BEGINS: Final = 0.1
_BURST_GOES_ON: Final = 2.0 / 3.0
"""Bursts are three runs long on average, and hit about a quarter of all runs."""
_BURST_SLOWS: Final = (0.02, 0.5)


class RunOrder(StrEnum):
    """In which order the runs of two arms are made."""

    DRAWN = "drawn for each pair"
    BLOCKS = "A B B A or B A A B, drawn for each block"
    MIRRORED = "A B B A …"
    ALTERNATING = "A B A B …"
    PHASES = "A A … B B …"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNoise:
    """What disturbs runs, beside chance.

    Attributes:
        name: In words.
        lag: Correlation of one run's noise with that of the run before: AR(1).
        tails: Of the independent part: normal, Student's t with 3 degrees of freedom scaled to the same standard
            deviation, or normal with one run in twenty twice as slow.
        drift: How much slower the last run is than the first, a fraction: evenly over the session, made-again runs
            included.
        period: Of a neighbour that comes and goes evenly, in runs; 0 for none.
        swing: Half of what it changes, as a logarithm.
        bursts: Whether neighbours come in bursts that slow some runs by 2 to 50 %.
        discards: Whether pairs with a run in which such a neighbour was seen are made again, up to as many times as
            there are pairs.
        start_share: Share of a run's variance that its server's start decides.
        fresh_starts: Whether each run has a start of its own; if not, a server is kept while its arm stays the same.
    """

    name: str
    lag: float = 0.0
    tails: Literal["normal", "t3", "slow"] = "normal"
    drift: float = 0.0
    period: int = 0
    swing: float = 0.05
    bursts: bool = False
    discards: bool = False
    start_share: float = 0.0
    fresh_starts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredRuns:
    """Many measurements of two arms that are equally fast.

    Attributes:
        candidate: Logarithm of each pair's candidate figure, more being better; shape (R, pairs).
        champion: The same of the champion's.
        complete: Whether there are as many pairs as were wanted; shape (R,). What is not complete never passes.
    """

    candidate: NDArray[np.float64]
    champion: NDArray[np.float64]
    complete: NDArray[np.bool_]


def draw_runs(
    noise: RunNoise, order: RunOrder, *, rng: Generator, repetitions: int, pairs: int, cv: float
) -> MeasuredRuns:
    """Draw measurements.

    Args:
        noise: What disturbs them.
        order: Of the runs.
        rng: Source of the draws.
        repetitions: R.
        pairs: Pairs of runs of each measurement.
        cv: How much runs vary by chance, a fraction.

    Raises:
        UndefinedError: If runs that are made in phases are to be made again.
    """
    attempts = 2 * pairs if noise.discards else pairs
    if noise.discards and order is RunOrder.PHASES:
        raise UndefinedError("a phase has no pairs that could be made again")
    candidate_first = _first_arms(order, rng, repetitions, attempts)
    level, contended = _in_time(noise, rng, (repetitions, 2 * attempts), math.sqrt(math.log1p(cv * cv)))
    if noise.start_share:
        arms = _arms(order, candidate_first)
        effects = math.sqrt(math.log1p(cv * cv)) * _start_effects(arms, rng, fresh=noise.fresh_starts)
        level = math.sqrt(1.0 - noise.start_share) * level + math.sqrt(noise.start_share) * effects
    if order is RunOrder.PHASES:
        first, second = level[:, :pairs], level[:, pairs:]
    else:
        first, second = level[:, 0::2], level[:, 1::2]
    complete = np.ones(repetitions, dtype=np.bool_)
    if noise.discards:
        good = ~(contended[:, 0::2] | contended[:, 1::2])
        complete = good.sum(axis=1) >= pairs
        kept = np.argsort(~good, axis=1, kind="stable")[:, :pairs]
        first, second = (np.take_along_axis(array, kept, axis=1) for array in (first, second))
        candidate_first = np.take_along_axis(candidate_first, kept, axis=1)
    return MeasuredRuns(
        candidate=np.where(candidate_first, first, second),
        champion=np.where(candidate_first, second, first),
        complete=complete,
    )


def _first_arms(order: RunOrder, rng: Generator, repetitions: int, pairs: int) -> NDArray[np.bool_]:
    """Whether the candidate's run is the first of each pair; which arm is first of all is drawn in every order."""
    if order is RunOrder.DRAWN:
        return rng.random((repetitions, pairs)) < 0.5
    blocks = -(-pairs // 2) if order is RunOrder.BLOCKS else 1
    drawn = np.repeat(rng.random((repetitions, blocks)) < 0.5, 2 if order is RunOrder.BLOCKS else pairs, axis=1)
    mirrored = order in {RunOrder.BLOCKS, RunOrder.MIRRORED}
    first: NDArray[np.bool_] = drawn[:, :pairs] ^ (mirrored & (np.arange(pairs) % 2 == 1))
    return first


def _in_time(
    noise: RunNoise, rng: Generator, shape: tuple[int, int], sd: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The logarithm of each run's figure, and whether a neighbour was seen; in the order in which runs are made."""
    repetitions, slots = shape
    own = rng.standard_t(3, shape) / math.sqrt(3.0) if noise.tails == "t3" else rng.standard_normal(shape)
    if noise.lag:
        fresh = math.sqrt(1.0 - noise.lag * noise.lag)
        for slot in range(1, slots):
            own[:, slot] = noise.lag * own[:, slot - 1] + fresh * own[:, slot]
    level = sd * own
    if noise.tails == "slow":
        level -= math.log(2.0) * (rng.random(shape) < 1.0 / 20.0)
    if noise.drift:
        level += math.log1p(-noise.drift) * np.arange(slots) / (slots - 1)
    if noise.period:
        phase = 2.0 * math.pi * rng.random((repetitions, 1))
        level += noise.swing * np.cos(2.0 * math.pi * np.arange(slots) / noise.period + phase)
    seen = np.zeros(shape, dtype=np.bool_)
    if noise.bursts:
        slowed = _bursts(rng, shape)
        level += np.log1p(-slowed)
        seen = slowed > BURST_SEEN
    return level, seen


def _bursts(rng: Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """How much neighbours slow each run, a fraction; a burst slows all its runs alike."""
    repetitions, slots = shape
    share = _BURST_BEGINS / (_BURST_BEGINS + 1.0 - _BURST_GOES_ON)
    slowed = np.zeros(shape)
    busy = rng.random(repetitions) < share
    strength = rng.uniform(*_BURST_SLOWS, repetitions)
    for slot in range(slots):
        slowed[:, slot] = np.where(busy, strength, 0.0)
        still = busy & (rng.random(repetitions) < _BURST_GOES_ON)
        begins = ~busy & (rng.random(repetitions) < _BURST_BEGINS)
        strength = np.where(begins, rng.uniform(*_BURST_SLOWS, repetitions), strength)
        busy = still | begins
    return slowed


def _arms(order: RunOrder, candidate_first: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each run is the candidate's, in the order in which runs are made; shape (R, 2 · pairs)."""
    repetitions, pairs = candidate_first.shape
    if order is RunOrder.PHASES:
        return np.repeat(np.stack([candidate_first[:, 0], ~candidate_first[:, 0]], axis=1), pairs, axis=1)
    return np.stack([candidate_first, ~candidate_first], axis=2).reshape(repetitions, 2 * pairs)


def _start_effects(arms: NDArray[np.bool_], rng: Generator, *, fresh: bool) -> NDArray[np.float64]:
    """What each run has from its server's start, standard deviation 1; the same for all runs of one start."""
    begins = np.ones(arms.shape, dtype=np.bool_)
    if not fresh:
        begins[:, 1:] = arms[:, 1:] != arms[:, :-1]
    start = np.cumsum(begins, axis=1) - 1
    return np.take_along_axis(rng.standard_normal(arms.shape), start, axis=1)
