"""What the calibration harness found, what it must find, and whether it did.

The requirements are those that a release of the gate publishes: an unchanged model is blocked, and a lost margin let
through, at most as often as alpha says; five lost points almost never pass; an unchanged model passes as often as the
gate promises; looking early saves what it should.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.attempt_rows import AttemptRow
from llmgate.gate.calibration.requirement import Requirement, simulation_room
from llmgate.gate.decision.wording import percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "FIVE_POINTS",
    "SIMULATED",
    "TWO_POINTS",
    "Calibration",
    "CalibrationRow",
    "Cell",
    "DecisionRule",
    "Requirement",
    "ServingCalibrationRow",
    "ServingRule",
    "Truth",
    "requirements",
    "serving_requirements",
]

SIMULATED = "simulated"
TWO_POINTS = 0.02
FIVE_POINTS = 0.05

_MISSED = 0.02
"""Five lost points may pass this often."""
_SLOWER_PASSES = 0.05
"""One that is 8 % slower may pass this often."""
_NEAR = 0.02
"""A PASS rate may lie so far from the promised one."""
_PAIRS_FOR_FIVE_POINTS = 300
"""Below, the spread of real results (30 % discordance and more) makes 2 % impossible at a size of 5 %."""
_LOOKS_AT = (1000, 0.1)
_LOOKS_USE = {"unchanged": 0.75, "five points": 0.50}


class DecisionRule(StrEnum):
    """Who decides: the gate, or a rule that others use, for comparison."""

    GATE = "llmgate"
    LOOKS = "llmgate, 5 looks"
    MEAN_LOWER = "block if the mean is lower"
    WALD = "Wald interval"


class Truth(StrEnum):
    """What is true of the candidate in a cell."""

    UNCHANGED = "unchanged"
    TWO_POINTS = "two points"
    MARGIN = "margin"
    FIVE_POINTS = "five points"
    REAL_MARGIN = "real loss, margin set to it"
    SLOWER = "8 % slower"
    FASTER = "5 % faster"


class ServingRule(StrEnum):
    """Who decides on serving: the gate, or a rule that others use, for comparison."""

    GATE = "llmgate"
    MANN_WHITNEY = "Mann-Whitney over all requests"
    FIVE_PERCENT = "block if the median run is 5 % slower"
    TWO_PERCENT = "block if the mean is 2 % slower"
    TWO_SIGMA = "block beyond 2 σ of the champion's runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How often a rule gave each verdict where the truth is known.

    Attributes:
        truth: What is true.
        loss: True loss of the candidate, a fraction; the mean over comparisons where they differ.
        runs: Data sets that were decided.
        passed: How many passed.
        failed: How many failed.
        promised: P(PASS) that the gate would print, or that was published; None where nothing was promised.
        used: Mean share of the cases that was looked at, None for rules that look once.
        worst: The comparison of two systems with the most wrong verdicts (FAIL of an unchanged candidate, PASS of a
            loss), and its share; None for simulated data, and where each has too few data sets to tell.

    Raises:
        UndefinedError: If nothing was decided or the counts do not fit.
    """

    truth: Truth
    loss: float
    runs: int
    passed: int
    failed: int
    promised: float | None = None
    used: float | None = None
    worst: tuple[str, float] | None = None

    def __post_init__(self) -> None:
        if self.runs < 1 or min(self.passed, self.failed) < 0 or self.passed + self.failed > self.runs:
            raise UndefinedError(f"{self.passed} passed and {self.failed} failed do not fit into {self.runs} runs")

    @property
    def pass_rate(self) -> float:
        """Share of PASS."""
        return self.passed / self.runs

    @property
    def fail_rate(self) -> float:
        """Share of FAIL."""
        return self.failed / self.runs


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRow:
    """One rule on one kind of data.

    Attributes:
        rule: Who decides.
        source: `SIMULATED`, or the name of the real data set.
        scores: What the scores are like, and what is drawn, in words.
        pairs: Cases of each data set; the mean where they differ.
        discordance: Share of cases with different scores; the mean over comparisons.
        comparisons: Pairs of systems; 0 for simulated data.
        clustered: Whether whole clusters were drawn.
        margin: The gate's margin, None where each comparison has its own.
        alpha: One-sided error rate.
        cells: By truth.
    """

    rule: DecisionRule
    source: str
    scores: str
    pairs: int
    discordance: float
    comparisons: int = 0
    clustered: bool = False
    margin: float | None
    alpha: float
    cells: tuple[Cell, ...]

    def cell(self, truth: Truth) -> Cell | None:
        """The cell of one truth, None if it was not tried."""
        return next((cell for cell in self.cells if cell.truth is truth), None)

    @property
    def name(self) -> str:
        """Names the row in messages."""
        own = "" if self.rule is DecisionRule.GATE else f"{self.rule}, "
        spread = f", {percent(round(self.discordance, 3))} discordance" if self.source == SIMULATED else ""
        return f"{own}{self.source}, {self.scores}, {self.pairs:,} pairs{spread}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCalibrationRow:
    """One rule on one kind of serving runs.

    Attributes:
        rule: Who decides.
        noise: What disturbs the runs, in words.
        order: In which order the two arms' runs are made, in words.
        cv: How much runs vary by chance alone, a fraction.
        pairs: Pairs of runs of each measurement.
        margin: The gate's margin, relative.
        alpha: One-sided error rate.
        asked: Whether a release must show it; what only shows why the gate does otherwise, or what others do, is not.
        sized: Whether so many pairs are those that power asks for, to find 8 % four times out of five.
        cells: By truth.
    """

    rule: ServingRule
    noise: str
    order: str
    cv: float
    pairs: int
    margin: float
    alpha: float
    asked: bool = True
    sized: bool = False
    cells: tuple[Cell, ...]

    def cell(self, truth: Truth) -> Cell | None:
        """The cell of one truth, None if it was not tried."""
        return next((cell for cell in self.cells if cell.truth is truth), None)

    @property
    def name(self) -> str:
        """Names the row in messages."""
        return f"serving, {self.noise}, {self.pairs} pairs, runs vary by {percent(self.cv)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """All that one run of the harness found.

    Attributes:
        seed: Of all draws; the same seed, options and data give the same figures.
        repetitions: Data sets per cell.
        quick: Whether fewer were drawn than a release publishes.
        margin: The gate's margin.
        alpha: Its one-sided error rate.
        rows: What was found.
        notes: What was left out, and why.
        serving: What was found of the serving rule.
        attempts: What came of trying again.
    """

    seed: int
    repetitions: int
    quick: bool
    margin: float
    alpha: float
    rows: tuple[CalibrationRow, ...]
    notes: tuple[str, ...] = ()
    serving: tuple[ServingCalibrationRow, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What is asked of these rows."""
        return (
            *requirements(self.rows),
            *serving_requirements(self.serving),
            *(requirement for row in self.attempts for requirement in row.requirements),
        )

    @property
    def unmet(self) -> tuple[Requirement, ...]:
        """What was asked and not found."""
        return tuple(requirement for requirement in self.requirements if not requirement.met)

    @property
    def met(self) -> bool:
        """Whether something was asked and all of it was found."""
        asked = self.requirements
        return bool(asked) and all(requirement.met for requirement in asked)


def requirements(rows: Iterable[CalibrationRow]) -> tuple[Requirement, ...]:
    """What is asked of the gate's own rows; rules of others are only shown.

    Args:
        rows: What was found.
    """
    own = (row for row in rows if row.rule in {DecisionRule.GATE, DecisionRule.LOOKS})
    return tuple(requirement for row in own for requirement in _of_row(row))


def _of_row(row: CalibrationRow) -> Iterator[Requirement]:
    unchanged, margin, five = (row.cell(t) for t in (Truth.UNCHANGED, Truth.MARGIN, Truth.FIVE_POINTS))
    if unchanged is not None:
        yield _rate("an unchanged model fails", row, unchanged, unchanged.fail_rate, row.alpha)
    if margin is not None:
        yield _rate("a lost margin passes", row, margin, margin.pass_rate, row.alpha)
    if five is not None and (row.source == SIMULATED or row.pairs >= _PAIRS_FOR_FIVE_POINTS):
        yield _rate("five lost points pass", row, five, five.pass_rate, _MISSED)
    # With few clusters the promise is only an upper bound: it does not know of the bootstrap.
    if unchanged is not None and unchanged.promised is not None and not row.clustered:
        yield Requirement(
            what="PASS of an unchanged model lies off its promise",
            where=row.name,
            found=abs(unchanged.pass_rate - unchanged.promised),
            limit=_NEAR,
            room=simulation_room(unchanged.promised, unchanged.runs),
            runs=unchanged.runs,
        )
    if row.rule is DecisionRule.LOOKS and (row.pairs, row.discordance) == _LOOKS_AT:
        yield from _saved((unchanged, five), row)


def _saved(cells: Sequence[Cell | None], row: CalibrationRow) -> Iterator[Requirement]:
    for cell in cells:
        if cell is not None and cell.used is not None:
            yield Requirement(
                what=f"cases used by early stopping ({cell.truth})",
                where=row.name,
                found=cell.used,
                limit=_LOOKS_USE[cell.truth],
                room=0.0,
                runs=cell.runs,
            )


def serving_requirements(rows: Iterable[ServingCalibrationRow]) -> tuple[Requirement, ...]:
    """What is asked of the serving rule.

    Args:
        rows: What was found.
    """
    return tuple(requirement for row in rows if row.asked for requirement in _of_serving(row))


def _of_serving(row: ServingCalibrationRow) -> Iterator[Requirement]:
    wrong = (
        (Truth.UNCHANGED, "serving: an unchanged model fails", row.alpha),
        (Truth.MARGIN, "serving: a lost margin passes", row.alpha),
        (Truth.SLOWER, "serving: 8 % slower passes", _SLOWER_PASSES),
    )
    for truth, what, limit in wrong:
        cell = row.cell(truth)
        if cell is not None:
            yield _rate(what, row, cell, cell.fail_rate if truth is Truth.UNCHANGED else cell.pass_rate, limit)
    promises = (
        (Truth.UNCHANGED, "serving: PASS of an unchanged model lies off its promise"),
        (Truth.SLOWER, "serving: FAIL of one that is 8 % slower lies off its promise"),
    )
    for truth, what in promises:
        cell = row.cell(truth)
        if cell is not None and cell.promised is not None:
            rate = cell.pass_rate if truth is Truth.UNCHANGED else cell.fail_rate
            # Of the promise 50 %, where it is largest: of one near 100 % a deviation means as much.
            room = simulation_room(0.5, cell.runs)
            found = abs(rate - cell.promised)
            yield Requirement(what=what, where=row.name, found=found, limit=_NEAR, room=room, runs=cell.runs)


def _rate(what: str, row: CalibrationRow | ServingCalibrationRow, cell: Cell, rate: float, limit: float) -> Requirement:
    return Requirement(
        what=what, where=row.name, found=rate, limit=limit, room=simulation_room(limit, cell.runs), runs=cell.runs
    )
