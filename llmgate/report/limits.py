"""How much a report shows."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ReportLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLimits:
    """How much a report shows; what is left out is counted.

    Attributes:
        text: Characters of one answer or prompt.
        worse: Flips to the worse.
        better: Flips to the better.
        missed: Cases below par.
        errors: Different causes of errors.
        names: Case ids named per cause.
        repeats: Answers per case.
        checks: Checks per answer.
        slices: Rows of the slice table.
        shares: Metrics named over the cards, with their numbers of cases.
    """

    text: int = 3000
    worse: int = 150
    better: int = 50
    missed: int = 100
    errors: int = 40
    names: int = 12
    repeats: int = 3
    checks: int = 20
    slices: int = 80
    shares: int = 12
