"""Suites that could stop early: when they looked, with which bounds, and what was saved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.report.pieces import State
from llmgate.report.rows import Notice, Panel, PanelRow, columns
from llmgate.report.visible import full_name, one_line
from llmgate.report.words import count, percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.decision.look_types import LookDecision
    from llmgate.gate.decision.types import Decision
    from llmgate.record.schema import Record

__all__ = ["asked_of", "look_panel", "saved_by", "stop_notices"]


def asked_of(record: Record, decision: Decision) -> Record:
    """The record without the cases that a confirmed stop left unasked: they are no errors."""
    stopped = {suite.suite for suite in decision.looks if suite.stopped and suite.reason}
    if not stopped:
        return record
    asked = {(key.suite, key.case) for key in record.results}
    cases = [case for case in record.cases if case.suite not in stopped or (case.suite, case.case) in asked]
    return replace(record, cases=tuple(cases))


def saved_by(decision: Decision) -> str:
    """How many cases were not asked, to be said after others; empty if all were."""
    confirmed = [suite for suite in decision.looks if suite.stopped and suite.reason]
    left = sum(suite.cases[-1] - suite.cases[suite.look - 1] for suite in confirmed)
    return f", {plural(left, 'case')} not asked" if left else ""


def stop_notices(candidate: Record, champion: Record | None, decision: Decision) -> Iterator[Notice]:
    """What a reader has to know about stops."""
    for suite in decision.looks:
        if suite.stopped:
            yield Notice(text=one_line(suite.sentence, 600), serious=not suite.reason)
    theirs = {stop.suite for stop in champion.seal.stops} if champion and champion.seal else set()
    own = {stop.suite for stop in candidate.seal.stops} if candidate.seal else set()
    for name in sorted(theirs - own):
        text = f"The champion's run of {one_line(name, 120)} stopped early; run it with --no-stopping."
        yield Notice(text=text, serious=True)


def look_panel(looks: Sequence[LookDecision]) -> Panel:
    """One row for each look of each gating metric."""
    saved = sum(suite.saved for suite in looks if suite.stopped and suite.reason)
    seeds = ", ".join(f"{one_line(suite.suite, 120)}: seed {suite.seed}" for suite in looks)
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
            *columns("Suite and metric"),
            *columns("Look", "Cases", "Share", "Bound (z)", number=True),
            *columns("What happened"),
        ),
        rows=tuple(row for suite in looks for row in _rows(suite)),
        serious=any(suite.stopped and not suite.reason for suite in looks),
    )


def _rows(suite: LookDecision) -> Iterator[PanelRow]:
    for bounds in suite.bounds:
        for look, fraction, z in zip(bounds.looks, bounds.fractions, bounds.z, strict=True):
            yield PanelRow(
                cells=(
                    full_name(suite.suite, bounds.metric),
                    f"{look} of {len(suite.cases)}",
                    count(suite.cases[look - 1]),
                    percent(fraction, 0),
                    f"{z:.2f}",
                    _happened(suite, look),
                ),
                state=_state(suite, look),
            )


def _happened(suite: LookDecision, look: int) -> str:
    if look < suite.look:
        return "went on"
    if look > suite.look:
        return "not needed" if suite.reason else "not taken"
    if not suite.stopped:
        return "all cases asked"
    return f"stopped: {suite.reason}" if suite.reason else "stopped, without a reason in the results"


def _state(suite: LookDecision, look: int) -> State | None:
    if look != suite.look or not suite.stopped:
        return None
    if not suite.reason:
        return State.INCONCLUSIVE
    return State.PASS if suite.reason.endswith("passes") else State.FAIL
