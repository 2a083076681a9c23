"""Suites that could stop early: when they looked, with which bounds, and what was saved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.report.pieces import State
from llmgate.report.rows import Column, Panel, PanelRow
from llmgate.report.visible import one_line
from llmgate.report.words import count, percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.decision.look_types import LookDecision
    from llmgate.gate.decision.types import Decision
    from llmgate.record.schema import Record

__all__ = ["asked_of", "look_panel", "saved_by", "stop_notices"]


def asked_of(record: Record, decision: Decision) -> Record:
    """The record without the cases that a confirmed stop left unasked: they are no errors."""
    stopped = {one.suite for one in decision.looks if one.stopped and one.reason}
    if not stopped:
        return record
    asked = {(key.suite, key.case) for key in record.results}
    cases = [case for case in record.cases if case.suite not in stopped or (case.suite, case.case) in asked]
    return replace(record, cases=tuple(cases))


def saved_by(decision: Decision) -> str:
    """How many cases were not asked, to be said after others; empty if all were."""
    left = sum(one.cases[-1] - one.cases[one.look - 1] for one in decision.looks if one.stopped and one.reason)
    return f", {plural(left, 'case')} not asked" if left else ""


def stop_notices(candidate: Record, champion: Record | None, decision: Decision) -> Iterator[tuple[str, bool]]:
    """What a reader has to know about stops, and whether it is serious."""
    for one in decision.looks:
        if one.stopped:
            yield one_line(one.sentence, 600), not one.reason
    unseen = {stop.suite for record in (champion,) if record and record.seal for stop in record.seal.stops}
    own = {stop.suite for stop in candidate.seal.stops} if candidate.seal else set()
    for suite in sorted(unseen - own):
        yield f"The champion's run of {one_line(suite, 120)} stopped early; run it with --no-stopping.", True


def look_panel(looks: Sequence[LookDecision]) -> Panel:
    """One row for each look of each gating metric."""
    stopped = [one for one in looks if one.stopped and one.reason]
    saved = sum(one.saved for one in stopped)
    unexplained = any(one.stopped and not one.reason for one in looks)
    seeds = ", ".join(f"{one_line(one.suite, 120)}: seed {one.seed}" for one in looks)
    return Panel(
        id="looks",
        title="Looks",
        tag=f"{plural(saved, 'generation')} saved" if saved else "planned before the run",
        lead=(
            "Cases were asked in a random order that was fixed before the run, and the results looked at on the way."
            " Each look has a stricter bound than a single test, so that all looks together err no more often than one"
            f" test would (O'Brien and Fleming). {seeds}."
        ),
        columns=(
            Column(title="Suite and metric"),
            Column(title="Look", number=True),
            Column(title="Cases", number=True),
            Column(title="Share", number=True),
            Column(title="Bound (z)", number=True),
            Column(title="What happened"),
        ),
        rows=tuple(row for one in looks for row in _rows(one)),
        serious=unexplained,
    )


def _rows(one: LookDecision) -> Iterator[PanelRow]:
    for bounds in one.bounds:
        for look, fraction, z in zip(bounds.looks, bounds.fractions, bounds.z, strict=True):
            yield PanelRow(
                cells=(
                    one_line(f"{one.suite}::{bounds.metric}", 240),
                    f"{look} of {len(one.cases)}",
                    count(one.cases[look - 1]),
                    percent(fraction, 0),
                    f"{z:.2f}",
                    _happened(one, look),
                ),
                state=_state(one, look),
            )


def _happened(one: LookDecision, look: int) -> str:
    if look < one.look:
        return "went on"
    if look > one.look:
        return "not needed" if one.reason else "not taken"
    if not one.stopped:
        return "all cases asked"
    return f"stopped: {one.reason}" if one.reason else "stopped, without a reason in the results"


def _state(one: LookDecision, look: int) -> State | None:
    if look != one.look or not one.stopped:
        return None
    if not one.reason:
        return State.INCONCLUSIVE
    return State.PASS if one.reason.endswith("passes") else State.FAIL
