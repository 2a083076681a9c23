"""Slices that were tested, waivers, looks and judges' anchors, as panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.judges.anchors import DRIFT_ALPHA
from llmgate.gate.metrics.label_corrected import JUDGE_ALONE
from llmgate.report.panels.looks import look_panel
from llmgate.report.panels.outputs import outputs_panel
from llmgate.report.panels.repeats import repeat_panels
from llmgate.report.pieces import State
from llmgate.report.rows import Column, Panel, PanelRow
from llmgate.report.visible import one_line
from llmgate.report.words import percent, plural, points, probability, signed_points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.gate.decision.judge_types import JudgeDrift, PreferenceDecision
    from llmgate.gate.decision.types import Decision, SliceDecision, WaiverUse

__all__ = ["finding_panels"]

WAIVER_STATES = {"applied": State.INCONCLUSIVE, "expired": State.FAIL, "no date": State.FAIL, "unused": None}


def finding_panels(decision: Decision, *, most: int) -> Iterator[Panel]:
    """The panels of a decision that has any.

    Args:
        decision: The decision.
        most: Slices to show at most, those with the smallest p-values first.
    """
    if decision.preferences:
        yield _preferences(decision.preferences)
    if decision.drifts:
        yield _drifts(decision.drifts)
    if decision.waivers:
        yield _waivers(decision.waivers)
    if decision.looks:
        yield look_panel(decision.looks)
    if decision.slices:
        yield _slices(decision, most)
    yield from repeat_panels(decision.repeats, most=most)
    if decision.outputs:
        yield outputs_panel(decision)


def _preferences(found: tuple[PreferenceDecision, ...]) -> Panel:
    return Panel(
        id="preferences",
        title="Preferences",
        tag=JUDGE_ALONE,
        lead=(
            "How often a judge preferred the candidate's answer to another one, asked in both orders. A tie counts"
            " half, and so do orders that contradict each other; 50 % means no preference."
        ),
        columns=(
            Column(title="Metric"),
            Column(title="Wins", number=True),
            Column(title="Ties", number=True),
            Column(title="Losses", number=True),
            Column(title="No verdict", number=True),
            Column(title="Win rate", number=True),
            Column(title="Bounds", number=True),
            Column(title="Method"),
        ),
        rows=tuple(_preference_row(one) for one in found),
    )


def _preference_row(one: PreferenceDecision) -> PanelRow:
    bounds = "–"
    if one.lower is not None and one.upper is not None:
        bounds = f"{percent(one.lower)} to {percent(one.upper)} ({points(1 - one.alpha)} % each side)"
    return PanelRow(
        cells=(
            one_line(f"{one.suite}::{one.metric}", 240),
            f"{one.wins:,}",
            f"{one.ties:,}",
            f"{one.losses:,}",
            f"{one.lost:,}",
            percent(one.rate) if one.rate is not None else "–",
            bounds,
            one_line(one.method, 200),
        ),
        state=State.NOT_EVALUATED if one.lost else None,
    )


def _drifts(drifts: tuple[JudgeDrift, ...]) -> Panel:
    return Panel(
        id="anchors",
        title="Judges, held against their anchors",
        tag="answers with a stored verdict, judged again in each run",
        lead=(
            "A judge that changed since the anchors were frozen cannot gate. P-values are two-sided (McNemar, mid-p); a"
            f" judge that did not change is called drifted in about {percent(DRIFT_ALPHA, 0)} of runs."
        ),
        columns=(
            Column(title="Run"),
            Column(title="Anchors", number=True),
            Column(title="Turned to pass", number=True),
            Column(title="Turned to fail", number=True),
            Column(title="No verdict", number=True),
            Column(title="p", number=True),
            Column(title="Finding"),
        ),
        rows=tuple(
            PanelRow(
                cells=(
                    one.side,
                    f"{one.anchors:,}",
                    f"{one.to_pass:,}",
                    f"{one.to_fail:,}",
                    f"{one.lost:,}",
                    probability(one.p).removeprefix("p = ").removeprefix("p "),
                    one_line(f"drifted: {one.drifted}" if one.drifted else "no drift shown", 300),
                ),
                state=State.FAIL if one.drifted else None,
            )
            for one in drifts
        ),
        serious=any(one.drifted for one in drifts),
    )


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
