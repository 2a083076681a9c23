"""An unchanged model after a promotion, by baseline: asked beside it, stored, chosen, or the best of five.

Runs are drawn case by case, as a model that answers at temperature gives them: a part of the cases is answered rightly
half of the time, a part 85 % of it, the others always or never. All runs are of the same model, so that every
difference is luck.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from llmgate.gate.calibration.results import Requirement
from llmgate.gate.calibration.vectorised import decide_counts
from llmgate.gate.decision.wording import percent
from llmgate.stats.planning.power import tango_chances
from llmgate.stats.planning.selected import after_selection, against_the_best, given_one_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmgate.gate.calibration.vectorised import Verdicts

__all__ = ["BASELINE_DESIGNS", "BaselineDesign", "BaselineKind", "BaselineRow", "simulate_baselines"]

_NEAR: Final = 0.03
"""A printed chance of a chosen run may lie so far from the measured one."""
_NEAR_UNLUCKY: Final = 0.05
"""The 90th percentile over stored runs is itself drawn, and counts come in steps."""
_ERRORS_OF_ROOM: Final = 4.0
_RUNS: Final = 5
_SWINGS: Final = (0.5, 0.85)
"""How often cases that change are answered rightly; each kind brings half of the discordance."""
_AT_ONCE: Final = 4_000_000
"""Cells that are drawn at once: 32 MB."""
_LEAST_LOTS: Final = 400
_ONE_RUN_SHARE: Final = 0.05
"""Of the repetitions: stored runs of which each meets as many candidates."""


class BaselineKind(StrEnum):
    """What an unchanged model is compared with."""

    FRESH = "asked beside it"
    STORED = "stored, made to be compared with"
    SELECTED = "stored, the run that passed"
    BEST = "the best of five runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineDesign:
    """A size of suite, and how much two runs of one model differ on it.

    Attributes:
        pairs: n.
        discordance: Share of cases in which two runs of the same model differ.
    """

    pairs: int
    discordance: float

    @property
    def changing(self) -> tuple[NDArray[np.float64], float]:
        """How often each case that changes is answered rightly, and the discordance that they really bring."""
        numbers = [round(self.pairs * self.discordance / 2 / (2 * p * (1 - p))) for p in _SWINGS]
        rates = np.repeat(np.array(_SWINGS), numbers)
        return rates, float(np.sum(2.0 * rates * (1.0 - rates))) / self.pairs


BASELINE_DESIGNS: Final = (
    BaselineDesign(pairs=688, discordance=0.075),
    BaselineDesign(pairs=688, discordance=0.225),
    BaselineDesign(pairs=300, discordance=0.1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRow:
    """How often an unchanged model met each verdict against one kind of baseline.

    Attributes:
        kind: What it was compared with.
        pairs: Cases.
        discordance: Share of cases in which two runs of the model differ.
        margin: Of the gate.
        alpha: Its one-sided error rate.
        runs: Comparisons.
        passed: How many passed.
        failed: How many failed.
        known_pass: P(PASS) by the formula that the gate prints where it knows of the choice.
        known_fail: P(FAIL) likewise.
        unlucky: Of stored runs: FAIL against one run, its 90th percentile over runs; None for others.
        known_unlucky: What the gate prints of it.
        lots: Stored runs behind `unlucky`.
    """

    kind: BaselineKind
    pairs: int
    discordance: float
    margin: float
    alpha: float
    runs: int
    passed: int
    failed: int
    known_pass: float
    known_fail: float
    unlucky: float | None = None
    known_unlucky: float | None = None
    lots: int = 0

    @property
    def pass_rate(self) -> float:
        """Share of PASS."""
        return self.passed / self.runs

    @property
    def fail_rate(self) -> float:
        """Share of FAIL."""
        return self.failed / self.runs

    @property
    def name(self) -> str:
        """Names the row in messages."""
        return f"baseline {self.kind}, {self.pairs:,} pairs, {percent(round(self.discordance, 3))} discordance"

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """A run that nobody chose errs as promised, and what is known of others is what happens."""
        asked = []
        if self.kind is BaselineKind.FRESH:
            what = "an unchanged model fails after a promotion, its champion asked beside it"
            asked.append(self._asked(what, self.fail_rate, self.alpha, self.alpha, self.runs))
        if self.kind is BaselineKind.STORED:
            what = "an unchanged model fails against stored runs, on average"
            asked.append(self._asked(what, self.fail_rate, self.alpha, self.alpha, self.runs))
        for verdict, rate, known in (
            ("PASS", self.pass_rate, self.known_pass),
            ("FAIL", self.fail_rate, self.known_fail),
        ):
            what = f"{verdict} of an unchanged model lies off what is known of its baseline"
            asked.append(self._asked(what, abs(rate - known), _NEAR, known, self.runs))
        if self.unlucky is not None and self.known_unlucky is not None:
            what = "FAIL against one stored run in ten lies off what is printed"
            off = abs(self.unlucky - self.known_unlucky)
            asked.append(self._asked(what, off, _NEAR_UNLUCKY, self.known_unlucky, self.lots))
        return tuple(asked)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        values = asdict(self)
        del values["kind"]
        return values | {"baseline": str(self.kind), "pass_rate": self.pass_rate, "fail_rate": self.fail_rate}

    def _asked(self, what: str, found: float, limit: float, chance: float, runs: int) -> Requirement:
        room = _ERRORS_OF_ROOM * math.sqrt(chance * (1.0 - chance) / runs)
        return Requirement(what=what, where=self.name, found=found, limit=limit, room=room, runs=runs)


def simulate_baselines(
    design: BaselineDesign, *, rng: np.random.Generator, repetitions: int, margin: float, alpha: float
) -> tuple[BaselineRow, ...]:
    """An unchanged model against each kind of baseline, by the gate's own verdicts.

    Args:
        design: What is drawn.
        rng: Source of the draws.
        repetitions: Promotions and, against each, one candidate.
        margin: Of the gate.
        alpha: One-sided error rate.
    """
    rates, discordance = design.changing
    found: dict[BaselineKind, list[NDArray[np.bool_]]] = {kind: [] for kind in BaselineKind}
    chunk = max(1, _AT_ONCE // (len(rates) * (_RUNS + 2)))

    def verdicts(candidate: NDArray[np.bool_], champion: NDArray[np.bool_]) -> Verdicts:
        better = np.sum(candidate & ~champion, axis=-1)
        worse = np.sum(champion & ~candidate, axis=-1)
        return decide_counts(better, worse, np.full(len(better), design.pairs), margin=margin, alpha=alpha)

    for begun in range(0, repetitions, chunk):
        number = min(chunk, repetitions - begun)
        # Predecessor and candidate, and runs of the champion; the first one is that of its promotion.
        predecessor, candidate, *runs = rng.random((_RUNS + 2, number, len(rates))) < rates
        earned = verdicts(runs[0], predecessor).passed
        sums = np.sum(runs, axis=2)
        best = np.array(runs)[np.argmax(sums, axis=0), np.arange(number)]
        stored, fresh = verdicts(candidate, runs[0]), verdicts(candidate, runs[1])
        for kind, got, kept in (
            # After a promotion, too: what is fresh does not know of it.
            (BaselineKind.FRESH, fresh, earned),
            (BaselineKind.STORED, stored, np.ones(number, bool)),
            (BaselineKind.SELECTED, stored, earned),
            (BaselineKind.BEST, verdicts(candidate, best), np.ones(number, bool)),
        ):
            found[kind].append(np.column_stack([got.passed, got.failed])[kept])
    lots = min(repetitions, max(_LEAST_LOTS, round(repetitions * _ONE_RUN_SHARE)))
    each = [
        float(np.mean(verdicts(rng.random((lots, len(rates))) < rates, rng.random((1, len(rates))) < rates).failed))
        for _ in range(lots)
    ]
    return tuple(
        _row(kind, np.concatenate(found[kind]), design, discordance, each, margin=margin, alpha=alpha)
        for kind in BaselineKind
        if sum(map(len, found[kind]))
    )


def _row(
    kind: BaselineKind,
    got: NDArray[np.bool_],
    design: BaselineDesign,
    discordance: float,
    each: list[float],
    *,
    margin: float,
    alpha: float,
) -> BaselineRow:
    chances = tango_chances(delta=0.0, discordance=discordance, pairs=design.pairs, margin=margin, alpha=alpha)
    known, stored = chances, kind is BaselineKind.STORED
    if kind is BaselineKind.SELECTED:
        known = after_selection(chances)
    elif kind is BaselineKind.BEST:
        known = against_the_best(chances, runs=_RUNS)
    return BaselineRow(
        kind=kind,
        pairs=design.pairs,
        discordance=discordance,
        margin=margin,
        alpha=alpha,
        runs=len(got),
        passed=int(got[:, 0].sum()),
        failed=int(got[:, 1].sum()),
        known_pass=known.passed,
        known_fail=known.failed,
        unlucky=float(np.quantile(each, 0.9)) if stored else None,
        known_unlucky=given_one_run(chances.failed) if stored else None,
        lots=len(each) if stored else 0,
    )
