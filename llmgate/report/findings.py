"""Slices that were tested, waivers and looks that were taken, as panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.report.looks import look_panel
from llmgate.report.rows import Column, Panel, PanelRow, State
from llmgate.report.visible import one_line
from llmgate.report.words import percent, plural, points, probability, signed_points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.gate.decision import Decision, SliceDecision, WaiverUse

__all__ = ["finding_panels"]

WAIVER_STATES = {"applied": State.INCONCLUSIVE, "expired": State.FAIL, "no date": State.FAIL, "unused": None}


def finding_panels(decision: Decision, *, most: int) -> Iterator[Panel]:
    """The panels of a decision that has any.

    Args:
        decision: The decision.
        most: Slices to show at most, those with the smallest p-values first.
    """
    if decision.waivers:
        yield _waivers(decision.waivers)
    if decision.looks:
        yield look_panel(decision.looks)
    if decision.slices:
        yield _slices(decision, most)


def _waivers(uses: tuple[WaiverUse, ...]) -> Panel:
    return Panel(
        id="waivers",
        title="Waivers",
        tag="findings that somebody accepted until a date",
        lead="A waiver that holds takes its finding out of the verdict; what could not be evaluated cannot be waived.",
        columns=tuple(Column(title=title) for title in ("Finding", "Until", "By", "Reason", "Status")),
        rows=tuple(
            PanelRow(
                cells=(
                    one_line(use.target, 200),
                    one_line(use.until, 40),
                    one_line(use.by, 120),
                    one_line(use.reason, 400),
                    use.status,
                ),
                state=WAIVER_STATES[use.status],
            )
            for use in uses
        ),
        serious=any(use.status in {"applied", "expired"} for use in uses),
    )


def _slices(decision: Decision, most: int) -> Panel:
    slices = sorted(decision.slices, key=lambda one: (not one.failed, one.p_worse, one.name))
    failed = sum(one.failed for one in slices)
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
            Column(title="Slice"),
            Column(title="Cases", number=True),
            Column(title="Champion", number=True),
            Column(title="Candidate", number=True),
            Column(title="Difference", number=True),
            Column(title="Bounds", number=True),
            Column(title="p (adjusted)", number=True),
            Column(title="Finding"),
        ),
        rows=tuple(_row(one) for one in slices[:most]),
        left_out=max(0, len(slices) - most),
        serious=any(one.failed and not one.waived for one in slices),
    )


def _row(one: SliceDecision) -> PanelRow:
    finding = "no loss proven"
    if one.failed:
        finding = "worse, waived" if one.waived else "worse"
    return PanelRow(
        cells=(
            one_line(one.name, 240),
            f"{one.cases:,}",
            percent(one.champion),
            percent(one.candidate),
            signed_points(one.delta),
            f"{signed_points(one.lower)} to {signed_points(one.upper)}",
            probability(one.p_worse).removeprefix("p = ").removeprefix("p "),
            finding,
        ),
        state=None if not one.failed else State.INCONCLUSIVE if one.waived else State.FAIL,
    )
