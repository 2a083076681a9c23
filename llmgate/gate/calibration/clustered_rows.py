"""What was found on clusters, and what is asked of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.results import Requirement
from llmgate.stats.clusters.facts import ClusterFacts

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["ClusteredRow", "Kind"]

Kind = Literal["symmetric", "rare failures", "real"]
"""Clusters around the truth; clusters of which few lose much; those of real systems."""

_FAILS: Final = 0.055
_PASSES: Final[dict[Kind, float]] = {"symmetric": 0.06, "rare failures": 0.12, "real": 0.052}
"""A lost margin may pass this often: what is absent from the data no rule can see."""
_FAR_OVER: Final = 0.04
"""Share of real comparisons whose lost margin may pass twice as often as alpha."""
_ERRORS_OF_ROOM: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteredRow:
    """One design of clusters, or the clusters of real systems.

    Attributes:
        kind: What is drawn.
        design: In words.
        cases: Of each data set.
        facts: Of its clusters; of the typical comparison where they differ.
        margin: The gate's, None where each comparison has its own.
        alpha: One-sided error rate.
        runs: Data sets per truth.
        passed: How many passed whose truth is a loss of the margin.
        failed_unchanged: How many failed of those that are not worse, None where none were drawn.
        passed_unchanged: How many of them passed.
        absent: Probability that nothing that loses is among the clusters.
        comparisons: Pairs of systems; 0 for simulated data.
        far_over: Comparisons whose lost margin passes more than twice as often as alpha.
        worst: The comparison with the most, and its share.

    Raises:
        UndefinedError: If the counts do not fit.
    """

    kind: Kind
    design: str
    cases: int
    facts: ClusterFacts
    margin: float | None
    alpha: float
    runs: int
    passed: int
    failed_unchanged: int | None = None
    passed_unchanged: int | None = None
    absent: float = 0.0
    comparisons: int = 0
    far_over: int = 0
    worst: tuple[str, float] | None = None

    def __post_init__(self) -> None:
        counts = (self.passed, self.failed_unchanged or 0, self.passed_unchanged or 0)
        if self.runs < 1 or min(counts) < 0 or max(counts) > self.runs or not 0 <= self.far_over <= self.comparisons:
            raise UndefinedError(f"{counts} verdicts do not fit into {self.runs} runs")

    @property
    def name(self) -> str:
        """Names the row in messages."""
        failures = ", rare failures" if self.kind == "rare failures" else ""
        return f"clusters, {self.design}{failures}, {self.cases:,} cases"

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What is asked of it."""
        return tuple(self._asked())

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"kind": type(self).__name__, "drawn": self.kind, "pass_rate": self.passed / self.runs}

    def _asked(self) -> Iterator[Requirement]:
        yield self._rate(f"clusters ({self.kind}): a lost margin passes", self.passed, _PASSES[self.kind])
        if self.failed_unchanged is not None:
            yield self._rate("clusters: an unchanged model fails", self.failed_unchanged, _FAILS)
        if self.comparisons:
            yield Requirement(
                what="clusters: real comparisons in which a lost margin passes twice as often as alpha",
                where=self.name,
                found=self.far_over / self.comparisons,
                limit=_FAR_OVER,
                # So many comparisons are only a sample of those that could have been made.
                room=math.sqrt(_FAR_OVER * (1.0 - _FAR_OVER) / self.comparisons),
                runs=self.comparisons,
            )

    def _rate(self, what: str, number: int, limit: float) -> Requirement:
        room = _ERRORS_OF_ROOM * math.sqrt(limit * (1.0 - limit) / self.runs)
        return Requirement(what=what, where=self.name, found=number / self.runs, limit=limit, room=room, runs=self.runs)
