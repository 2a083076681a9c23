"""Runs of two arms become figures by pair, with what keeps a run or a pair from counting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.gate.serving.contention import contended
from llmgate.gate.serving.summary import ServiceLevels, ServingSummary, summarise
from llmgate.record.arms import ArmRun, ServingArms
from llmgate.record.serving.plan import LEVEL_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


__all__ = ["ArmFigures", "RunFigures", "figure_in", "levels_of", "read_arms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """One run that counts, in figures.

    Attributes:
        run: What happened.
        summary: Its figures.
        busy: Why it should have been made again; "" if nothing else used the machine.
    """

    run: ArmRun
    summary: ServingSummary
    busy: str

    @property
    def doubt(self) -> str:
        """Why it must not be believed; "" if it may."""
        return self.busy or (self.summary.invalid[0] if self.summary.invalid else "")

    @property
    def named(self) -> str:
        """For messages."""
        return f"the {self.run.arm}'s in pair {self.run.pair + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFigures:
    """All runs that count.

    Attributes:
        arms: The raw timings.
        pairs: (candidate, champion) of each wanted pair, None where there is no run that counts.
        levels: Service levels of goodput, None without any.
        unusable: What is wrong with what the plan says of them; "" if nothing is.
    """

    arms: ServingArms
    pairs: tuple[tuple[RunFigures | None, RunFigures | None], ...]
    levels: ServiceLevels | None
    unusable: str = ""

    def runs(self, *, champion: bool) -> Iterator[RunFigures]:
        """The runs that count, the candidate's before the champion's of each pair.

        Args:
            champion: Whether the champion's are asked for.
        """
        for candidate, other in self.pairs:
            if candidate is not None:
                yield candidate
            if other is not None and champion:
                yield other

    def believed(self, *, champion: bool) -> list[tuple[RunFigures, RunFigures | None]]:
        """The pairs whose runs may be believed.

        Args:
            champion: Whether a pair needs both; the candidate's run is enough if not.
        """
        return [
            (candidate, other if champion else None)
            for candidate, other in self.pairs
            if candidate is not None
            and not candidate.doubt
            and (not champion or (other is not None and not other.doubt))
        ]


def read_arms(arms: ServingArms, levels: ServiceLevels | None = None) -> ArmFigures:
    """Summarise each run once.

    Args:
        arms: The raw timings.
        levels: Service levels of goodput; None for those of the plan.
    """
    unusable = ""
    if levels is None:
        try:
            levels = levels_of(arms.plan.levels)
        except UsageError as error:
            unusable = error.what
    return ArmFigures(
        arms=arms,
        pairs=tuple((_read(candidate, levels), _read(champion, levels)) for candidate, champion in arms.pairs()),
        levels=levels,
        unusable=unusable,
    )


def levels_of(levels: Mapping[str, float]) -> ServiceLevels | None:
    """Service levels as a plan keeps them, None for none.

    Raises:
        UsageError: If one is unknown, or not a positive number.
    """
    if unknown := levels.keys() - set(LEVEL_NAMES):
        raise UsageError(f"unknown service level {min(unknown)!r}", where="goodput")
    return ServiceLevels(**levels) if levels else None


def figure_in(figures: RunFigures, metric: str) -> float | None:
    """A figure of a run, None where it has none of which a ratio could be taken."""
    value = figures.summary.metrics.get(metric)
    return value if value is not None and math.isfinite(value) and value > 0.0 else None


def _read(run: ArmRun | None, levels: ServiceLevels | None) -> RunFigures | None:
    if run is None:
        return None
    return RunFigures(run=run, summary=summarise(run.trace, levels=levels), busy=contended(run.trace) or "")
