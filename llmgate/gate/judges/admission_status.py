"""Whether the judges of a metric were admitted: values only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Problem

if TYPE_CHECKING:
    from llmgate.record.judges.admission import AdmissionRecord  # noqa: TC004 - nothing reads this annotation

__all__ = ["AdmissionStatus"]

FIX = (
    "Admit it with `llmgate judge admit` and name the record in `judge: {admission: …}` or --judge-admission,"
    " set `role: watch`, or write `unadmitted: labels` to have people label a part of the answers"
    " (`llmgate labels sample`), or `unadmitted: allow`"
)
_LISTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionStatus:
    """Whether the judges of a metric were admitted.

    Attributes:
        suite: Suite name.
        metric: Metric name.
        missing: Why not, a reason for each assert that lacks an admission; empty if they were.
        records: The records that admit them.
    """

    suite: str
    metric: str
    missing: tuple[str, ...] = ()
    records: tuple[AdmissionRecord, ...] = ()

    @property
    def admitted(self) -> bool:
        """Whether every judged assert of the metric has its admission."""
        return not self.missing

    @property
    def bias(self) -> float:
        """What a difference between two systems may be off by; where several asserts feed the metric, together."""
        found = (record.results.bias.difference if record.results.bias else None for record in self.records)
        return min(1.0, math.fsum(1.0 if bias is None else bias for bias in found))

    @property
    def rate_bias(self) -> float:
        """The same of a single system's score."""
        found = (record.results.bias.rate if record.results.bias else None for record in self.records)
        return min(1.0, math.fsum(1.0 if bias is None else bias for bias in found))

    @property
    def why(self) -> str:
        """The first reasons."""
        more = len(self.missing) - _LISTED
        return "; ".join(self.missing[:_LISTED]) + (f"; and {more:,} more" if more > 0 else "")

    @property
    def problem(self) -> Problem:
        """Why the metric cannot gate; of one whose judges were not admitted."""
        return Problem(
            where=f"{self.suite}::gate::{self.metric}",
            what=f"the judge behind {self.metric!r} was never admitted, so it cannot gate ({self.why})",
            fix=FIX,
        )
