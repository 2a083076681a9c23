"""Comparisons that people's labels correct: how often a bound errs, with few labels and judges of all kinds.

People's and the judge's differences are −1, 0 or 1 on each case, so that a data set is a table of nine counts, and
whether a bound lies on the wrong side of the truth is whether the score statistic at the truth exceeds its quantile:
thousands of data sets take a second. `tests/gate/calibration/test_labelled.py` holds it to `ppi_bounded`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.results import Requirement
from llmgate.stats import special
from llmgate.stats.labelled.residual import score_statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LABELLED_CASES", "LABELLED_DESIGNS", "LABELLED_SIZES", "LabelledDesign", "LabelledRow", "simulate_labels"]

LABELLED_SIZES: Final = (50, 100, 300)
LABELLED_CASES: Final = 1000
_LIMIT: Final = 0.06
"""A one-sided 95 % bound may err this often: coverage of 94 %. There is no least error: a judge that is nearly always
right leaves bounds wider than they would have to be, since few labels cannot show it."""
_ERRORS_OF_ROOM: Final = 4.0
_PEOPLE: Final = np.repeat([-1.0, 0.0, 1.0], 3)
_JUDGE: Final = np.tile([-1.0, 0.0, 1.0], 3)
_OWN: Final = np.array([0.05, 0.9, 0.05])
"""What a judge says that does not follow people."""
_TURNED: Final = 2
"""The cell in which people find a loss and the judge a gain."""
_OPPOSED: Final = (2, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledDesign:
    """People's differences, and a judge.

    Attributes:
        name: In words.
        gains: Share of cases on which people find the candidate better.
        losses: The same for worse.
        agree: How often the judge says what people say; else it says nothing of it.
        turned: Share of cases that people find worse and the judge better, besides.
    """

    name: str
    gains: float
    losses: float
    agree: float
    turned: float = 0.0

    @property
    def cells(self) -> NDArray[np.float64]:
        """Shape (9,): chances of people's and the judge's difference."""
        people = np.array([self.losses, 1.0 - self.gains - self.losses, self.gains])
        joint = self.agree * np.diag(people) + (1.0 - self.agree) * np.outer(people, _OWN)
        cells: NDArray[np.float64] = joint.reshape(-1) * (1.0 - self.turned)
        cells[_TURNED] += self.turned
        return cells


LABELLED_DESIGNS: Final = (
    LabelledDesign(name="10 % lost, 5 % gained, a good judge", gains=0.05, losses=0.1, agree=0.8),
    LabelledDesign(name="15 % each, a poor judge", gains=0.15, losses=0.15, agree=0.5),
    LabelledDesign(name="5 % lost, none gained", gains=0.0, losses=0.05, agree=0.8),
    LabelledDesign(name="3 % gained, none lost", gains=0.03, losses=0.0, agree=0.8),
    LabelledDesign(name="2.5 % turned around", gains=0.06, losses=0.06, agree=1.0, turned=0.025),
    LabelledDesign(name="5 % turned around", gains=0.06, losses=0.06, agree=1.0, turned=0.05),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRow:
    """How often the bounds of one design err.

    Attributes:
        design: In words.
        labels: Labelled cases.
        cases: All of them.
        alpha: One-sided error rate.
        runs: Data sets.
        above: How many lower bounds lie above the truth.
        below: How many upper bounds lie below it.

    Raises:
        UndefinedError: If the counts do not fit.
    """

    design: str
    labels: int
    cases: int
    alpha: float
    runs: int
    above: int
    below: int

    def __post_init__(self) -> None:
        if self.runs < 1 or not (0 <= self.above <= self.runs and 0 <= self.below <= self.runs):
            raise UndefinedError(f"{self.above} and {self.below} errors do not fit into {self.runs} runs")

    @property
    def name(self) -> str:
        """Names the row in messages."""
        return f"{self.labels} labels among {self.cases:,} cases, {self.design}"

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What is asked of it."""
        room = _ERRORS_OF_ROOM * math.sqrt(_LIMIT * (1.0 - _LIMIT) / self.runs)
        return tuple(
            Requirement(
                what=f"labels: {bound} bounds err", where=self.name, found=wrong / self.runs, limit=_LIMIT, room=room,
                runs=self.runs,
            )
            for bound, wrong in (("lower", self.above), ("upper", self.below))
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def simulate_labels(
    design: LabelledDesign, *, labels: int, rng: np.random.Generator, repetitions: int, alpha: float
) -> LabelledRow:
    """How often the bounds of a corrected comparison err.

    Args:
        design: What is drawn.
        labels: Labelled cases, of `LABELLED_CASES`.
        rng: Source of the draws.
        repetitions: Data sets.
        alpha: One-sided error rate.
    """
    cells = design.cells
    by_judge = cells.reshape(3, 3).sum(axis=0)
    labelled = rng.multinomial(labels, cells / cells.sum(), size=repetitions).astype(np.float64)
    others = rng.multinomial(LABELLED_CASES - labels, by_judge / by_judge.sum(), size=repetitions).astype(np.float64)
    truth = float(cells @ _PEOPLE)
    return LabelledRow(
        design=design.name,
        labels=labels,
        cases=LABELLED_CASES,
        alpha=alpha,
        runs=repetitions,
        above=int(wrong_bounds(labelled, others, truth, alpha=alpha).sum()),
        below=int(wrong_bounds(labelled[:, ::-1], others[:, ::-1], -truth, alpha=alpha).sum()),
    )


def wrong_bounds(
    labelled: NDArray[np.float64], others: NDArray[np.float64], truth: float, *, alpha: float
) -> NDArray[np.bool_]:
    """Whether lower bounds lie above the truth.

    Args:
        labelled: Shape (runs, 9): counts of people's and the judge's difference.
        others: Shape (runs, 3): of the judge's, where people said nothing.
        truth: Of people's mean difference.
        alpha: One-sided error rate.
    """
    counts = labelled.copy()
    counts[:, _OPPOSED] += 1.0
    total, rest = counts.sum(axis=1), others.sum(axis=1)
    judge, people = (counts @ _JUDGE) / total, (counts @ _PEOPLE) / total
    variance = (counts @ _JUDGE**2) / total - judge**2
    slope = ((counts @ (_JUDGE * _PEOPLE)) / total - judge * people) / variance
    weight = np.clip(slope / (1.0 + labelled.sum(axis=1) / rest), 0.0, 1.0)
    # A judge that says one thing only, and labels that do, carry no weight and are bounded by what stayed unseen.
    weight[(labelled.reshape(-1, 3, 3).sum(axis=1) > 0.0).sum(axis=1) < 2] = 0.0
    alike = (labelled.reshape(-1, 3, 3).sum(axis=2) > 0.0).sum(axis=1) < 2
    mean = (others @ _JUDGE[:3]) / rest
    spread = ((others @ _JUDGE[:3] ** 2) / rest - mean**2) * rest / (rest - 1.0)
    z = score_statistics(
        labelled,
        _PEOPLE - weight[:, None] * _JUDGE,
        np.maximum(truth - weight * mean, -1.0 - weight + 1e-12),
        lowest=-1.0 - weight,
        variance=weight**2 * spread / rest,
    )
    n = labelled.sum(axis=1)
    unseen = -np.expm1(np.log(alpha) / n)
    only = (labelled @ _PEOPLE) / n
    found: NDArray[np.bool_] = np.where(
        alike, (1.0 - unseen) * only - unseen > truth, z > float(special.ndtri(1.0 - alpha))
    )
    return found
