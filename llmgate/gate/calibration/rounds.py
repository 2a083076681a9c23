"""Rounds of candidates against one champion: how often a bad one passes, decided together, alone, or by a final.

The champion and all candidates share the cases, and the champion's answers. Some cases are answered by chance (so that
two equally good models differ in them), the others always the same; a bad candidate loses right answers on top.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.results import Requirement
from llmgate.gate.calibration.vectorised import tango_scores
from llmgate.stats.sequential.dunnett import step_alpha

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["ROUND_DESIGNS", "RoundDesign", "RoundRow", "RoundRule", "simulate_rounds"]

_LIMIT: Final = 0.055
"""How often a bad candidate of a round may pass: 5 %, and a tenth for bounds that are approximate."""
_ERRORS_OF_ROOM: Final = 4.0
_CASES_AT_ONCE: Final = 500_000
_STEPS: Final = 50
"""Correlations are rounded down to so many parts of 1, so that few bounds are solved for."""


class RoundRule(StrEnum):
    """How a round is decided."""

    TOGETHER = "together, stepped down"
    FINAL = "one final of the best on new cases"
    ALONE = "each alone"
    SAME_CASES = "a final of the best on the same cases"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundDesign:
    """A round that is simulated.

    Attributes:
        candidates: K.
        bad: How many of them lose the margin; the others are unchanged.
        pairs: n.
        discordance: Share of cases on which two equally good models differ.
        level: The champion's rate of right answers.
    """

    candidates: int
    bad: int
    pairs: int = 688
    discordance: float = 0.1
    level: float = 0.7

    def __post_init__(self) -> None:
        if not 1 <= self.bad <= self.candidates:
            raise UndefinedError(f"{self.bad} of {self.candidates} candidates cannot be bad")

    @property
    def name(self) -> str:
        """In words."""
        which = "all" if self.bad == self.candidates else str(self.bad)
        return f"{self.candidates} candidates, {which} of them worse by the margin"


ROUND_DESIGNS: Final = (
    *(RoundDesign(candidates=k, bad=k) for k in (2, 5, 20)),
    RoundDesign(candidates=5, bad=3),
    *(RoundDesign(candidates=k, bad=k, discordance=0.225) for k in (5, 20)),
    RoundDesign(candidates=5, bad=5, pairs=200),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRow:
    """One rule on one round.

    Attributes:
        rule: How it is decided.
        design: In words.
        pairs: Cases.
        discordance: Share on which two equally good models differ.
        margin: The gate's.
        bad_passes: How often a candidate passes that loses the margin, at least one of them.
        good_passes: How often an unchanged candidate passes, at least one of them; None where there are none.
        correlation: Mean of what was estimated.
        runs: Rounds.
        asked: Whether something is asked of it: rules that llmgate refuses are only shown.
    """

    rule: RoundRule
    design: str
    pairs: int
    discordance: float
    margin: float
    bad_passes: float
    good_passes: float | None
    correlation: float
    runs: int
    asked: bool

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """A bad candidate passes in at most 5.5 % of rounds."""
        if not self.asked:
            return ()
        return (
            Requirement(
                what="rounds: a candidate that lost the margin passes",
                where=f"{self.rule}, {self.design}, {self.pairs:,} pairs, {100 * self.discordance:.3g} % discordance",
                found=self.bad_passes,
                limit=_LIMIT,
                room=_ERRORS_OF_ROOM * math.sqrt(_LIMIT * (1.0 - _LIMIT) / self.runs),
                runs=self.runs,
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"rule": str(self.rule)}


def simulate_rounds(
    designs: Iterable[RoundDesign], *, rng: np.random.Generator, repetitions: int, margin: float, alpha: float
) -> Iterator[RoundRow]:
    """Every design under every rule.

    Args:
        designs: What is simulated.
        rng: Source of the draws.
        repetitions: Rounds per design.
        margin: Of the gate.
        alpha: Its one-sided error rate, over a round.
    """
    for design in designs:
        rounds = _drawn(design, rng, repetitions, margin)
        p = special.ndtr(-rounds.z)
        together = _stepped(p, rounds.correlation, alpha)
        best = np.argmax(rounds.estimates, axis=1)
        chosen = np.arange(design.candidates)[None, :] == best[:, None]
        finals = (rounds.fresh, RoundRule.FINAL), (rounds.again, RoundRule.SAME_CASES)
        passes = [
            (RoundRule.TOGETHER, together),
            (RoundRule.ALONE, p <= alpha),
            *((rule, chosen & (special.ndtr(-z) <= alpha)[:, None]) for z, rule in finals),
        ]
        for rule, passed in passes:
            good = passed[:, design.bad :]
            yield RoundRow(
                rule=rule,
                design=design.name,
                pairs=design.pairs,
                discordance=design.discordance,
                margin=margin,
                bad_passes=float(passed[:, : design.bad].any(axis=1).mean()),
                good_passes=float(good.any(axis=1).mean()) if good.size else None,
                correlation=float(rounds.correlation.mean()),
                runs=repetitions,
                asked=rule in {RoundRule.TOGETHER, RoundRule.FINAL},
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rounds:
    """Statistics of many rounds: R rounds of K candidates.

    Attributes:
        z: Against −margin, shape (R, K).
        estimates: Differences, shape (R, K).
        correlation: Mean of all pairs of candidates, as estimated from the cases, shape (R,).
        fresh: z of the best on new cases, shape (R,).
        again: z of the best, asked again on the same cases, shape (R,).
    """

    z: NDArray[np.float64]
    estimates: NDArray[np.float64]
    correlation: NDArray[np.float64]
    fresh: NDArray[np.float64]
    again: NDArray[np.float64]


def _drawn(design: RoundDesign, rng: np.random.Generator, runs: int, margin: float) -> _Rounds:
    at_once = max(1, _CASES_AT_ONCE // design.pairs)
    parts = [_some(design, rng, min(at_once, runs - start), margin) for start in range(0, runs, at_once)]
    fields = ("z", "estimates", "correlation", "fresh", "again")
    return _Rounds(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Model:
    """On which cases a model always answers otherwise than the champion's kind does: shape (rounds, cases) each."""

    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]


class _Cases:
    """The cases of some rounds, and what models answer to them.

    Half of the discordance of two models is chance: cases whose answers are a coin's. The other half is the models':
    each answers some cases otherwise, half of them for the better, whenever it is asked.
    """

    def __init__(self, design: RoundDesign, rng: np.random.Generator, count: int) -> None:
        self._rng, self._design = rng, design
        self._shape = (count, design.pairs)
        self._by_chance = self._drawn(design.discordance)
        self._known = self._drawn((design.level - design.discordance / 2.0) / (1.0 - design.discordance))
        nothing = np.zeros(self._shape, dtype=np.bool_)
        self.champion = self.answers(_Model(right=nothing, wrong=nothing))

    def model(self, loss: float) -> _Model:
        """A candidate that has lost so much."""
        level, other = self._design.level, self._design.discordance / 4.0
        right = self._drawn(other / (1.0 - level))
        # What it answers wrongly whenever it is asked, out of all that it would have answered rightly.
        return _Model(right=right, wrong=self._drawn(other / level + loss / level))

    def answers(self, model: _Model) -> NDArray[np.bool_]:
        """Right or wrong, shape (rounds, cases)."""
        base = np.where(self._by_chance, self._drawn(0.5), self._known)
        return np.where(base, ~model.wrong, model.right)

    def compared(self, model: _Model, margin: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Z against −margin of answers that are asked for now, and the differences."""
        d = self.answers(model).astype(np.float32) - self.champion.astype(np.float32)
        b, c = (d > 0).sum(axis=1), (d < 0).sum(axis=1)
        return tango_scores(b, c, np.full(len(b), d.shape[1]), delta0=-margin), d

    def _drawn(self, share: float) -> NDArray[np.bool_]:
        return np.asarray(self._rng.random(self._shape, dtype=np.float32) < share)


def _some(design: RoundDesign, rng: np.random.Generator, count: int, margin: float) -> _Rounds:
    cases, new = _Cases(design, rng, count), _Cases(design, rng, count)
    losses = [margin if k < design.bad else 0.0 for k in range(design.candidates)]
    statistics, estimates, again = [], [], []
    together = np.zeros(cases.champion.shape, dtype=np.float32)
    for loss in losses:
        model = cases.model(loss)
        z, d = cases.compared(model, margin)
        mean, sd = d.mean(axis=1, keepdims=True), d.std(axis=1, keepdims=True)
        together += (d - mean) / np.maximum(sd, 1e-6)
        statistics.append(z)
        estimates.append(mean[:, 0])
        again.append(cases.compared(model, margin)[0])
    k = design.candidates
    # Σ over all pairs of their correlations, from the squared length of the sum of all.
    correlation = ((together * together).mean(axis=1) - k) / max(1, k * (k - 1))
    best = np.argmax(np.stack(estimates, axis=1), axis=1)
    lost = np.array(losses)[best] > 0.0
    bad, good = (new.compared(new.model(loss), margin)[0] for loss in (margin, 0.0))
    return _Rounds(
        z=np.stack(statistics, axis=1),
        estimates=np.stack(estimates, axis=1).astype(np.float64),
        correlation=np.clip(correlation, 0.0, 1.0).astype(np.float64),
        fresh=np.where(lost, bad, good),
        again=np.stack(again, axis=1)[np.arange(count), best],
    )


def _stepped(p: NDArray[np.float64], correlation: NDArray[np.float64], alpha: float) -> NDArray[np.bool_]:
    """`step_down` of many rounds; ordered, the first that does not reach its bound ends it."""
    runs, k = p.shape
    order = np.argsort(p, axis=1)
    rounded = np.floor(correlation * _STEPS).astype(np.int64)
    levels = np.empty((runs, k))
    for step in np.unique(rounded).tolist():
        rho = step / _STEPS
        levels[rounded == step] = [step_alpha(k - j, correlation=rho, alpha=alpha) for j in range(k)]
    reached = np.logical_and.accumulate(np.take_along_axis(p, order, axis=1) <= levels, axis=1)
    passed = np.empty_like(reached)
    np.put_along_axis(passed, order, reached, axis=1)
    return passed
