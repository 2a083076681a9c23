"""How parts of the cases fared: described, never gated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmgate.report.panels.cards import evaluated, passed
from llmgate.report.rows import SliceRow
from llmgate.report.visible import one_line
from llmgate.report.words import percent, signed_points

if TYPE_CHECKING:
    from llmgate.record.schema import PlannedCase, Record

__all__ = ["slice_rows"]


@dataclass(slots=True)
class _Tally:
    cases: int = 0
    errors: int = 0
    champion: list[bool] = field(default_factory=list)
    candidate: list[bool] = field(default_factory=list)


def slice_rows(candidate: Record, champion: Record | None, *, most: int) -> tuple[tuple[SliceRow, ...], int]:
    """Share of passed cases per suite, slice field and value, over the cases that both sides evaluated.

    A case passed if every weighted assert of every repeat passed (`CaseResult.passed`), whatever the metrics are.

    Args:
        candidate: Its plan says which cases belong to which slice.
        champion: None leaves its column empty.
        most: Rows to show at most.

    Returns:
        The rows, sorted by suite, field and value, and how many rows are left out.
    """
    tallies: dict[tuple[str, str, str], _Tally] = {}
    for case in candidate.cases:
        if case.slices:
            fate = _fate(case, candidate, champion)
            for name, value in case.slices.items():
                _add(tallies.setdefault((case.suite, name, value), _Tally()), fate)
    rows = tuple(_row(key, tallies[key], champion is not None) for key in sorted(tallies))
    return rows[:most], max(0, len(rows) - most)


def _fate(case: PlannedCase, candidate: Record, champion: Record | None) -> tuple[bool, bool] | None:
    """Whether the candidate and the champion passed a case, None unless all sides evaluated it."""
    if not evaluated(candidate, case) or (champion is not None and not evaluated(champion, case)):
        return None
    return passed(candidate, case), champion is not None and passed(champion, case)


def _add(tally: _Tally, fate: tuple[bool, bool] | None) -> None:
    tally.cases += 1
    if fate is None:
        tally.errors += 1
        return
    tally.candidate.append(fate[0])
    tally.champion.append(fate[1])


def _row(key: tuple[str, str, str], tally: _Tally, compared: bool) -> SliceRow:
    after = _share(tally.candidate)
    before = _share(tally.champion) if compared else None
    return SliceRow(
        suite=one_line(key[0], 120),
        field=one_line(key[1], 80),
        value=one_line(key[2], 120),
        cases=tally.cases,
        champion=percent(before),
        candidate=percent(after),
        difference=signed_points(after - before if after is not None and before is not None else None),
        errors=tally.errors,
    )


def _share(outcomes: list[bool]) -> float | None:
    return sum(outcomes) / len(outcomes) if outcomes else None
