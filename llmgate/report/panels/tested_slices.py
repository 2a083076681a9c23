"""Slices in which a loss was looked for: each can fail the candidate, none can pass it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.report.pieces import State
from llmgate.report.rows import Panel, PanelRow, columns
from llmgate.report.visible import one_line
from llmgate.report.words import p_value, percent, plural, points, signed_points

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision, SliceDecision

__all__ = ["tested_slices_panel"]


def tested_slices_panel(decision: Decision, *, most: int) -> Panel:
    """One row for each slice with enough cases, those that failed first, then by p-value.

    Args:
        decision: With at least one slice.
        most: Slices to show at most.
    """
    slices = sorted(decision.slices, key=lambda tested: (not tested.failed, tested.p_worse, tested.name))
    failed = sum(tested.failed for tested in slices)
    return Panel(
        id="tested-slices",
        title="Slices, tested",
        tag="a slice can fail the candidate, never pass it",
        lead=(
            f"{plural(len(slices), 'slice')} with enough cases, each compared with the champion on its own cases;"
            f" {plural(failed, 'slice')} proven worse. P-values are adjusted for all of them (Holm): an unchanged model"
            f" fails by a slice in at most {points(decision.slice_alpha)} % of runs."
        ),
        columns=(
            *columns("Slice"),
            *columns("Cases", "Champion", "Candidate", "Difference", "Bounds", "p (adjusted)", number=True),
            *columns("Finding"),
        ),
        rows=tuple(_row(tested) for tested in slices[:most]),
        left_out=max(0, len(slices) - most),
        serious=any(tested.failed and not tested.waived for tested in slices),
    )


def _row(tested: SliceDecision) -> PanelRow:
    state, finding = None, "no loss proven"
    if tested.failed:
        state, finding = (State.INCONCLUSIVE, "worse, waived") if tested.waived else (State.FAIL, "worse")
    return PanelRow(
        cells=(
            one_line(tested.name, 240),
            f"{tested.cases:,}",
            percent(tested.champion),
            percent(tested.candidate),
            signed_points(tested.delta),
            f"{signed_points(tested.lower)} to {signed_points(tested.upper)}",
            p_value(tested.p_worse),
            finding,
        ),
        state=state,
    )
