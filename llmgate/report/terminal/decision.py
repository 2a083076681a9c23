"""The report as lines for a terminal: plain text with a style beside it, so that each door colours as it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict
from llmgate.report.pieces import State, Style, StyledLine
from llmgate.report.visible import visible
from llmgate.report.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.gate.decision.types import Decision
    from llmgate.report.rows import MetricRow, ReportView, ServingTable

__all__ = ["decision_lines", "terminal_lines"]

STYLES: dict[State, Style] = {
    State.PASS: "good",
    State.FAIL: "bad",
    State.INCONCLUSIVE: "warn",
    State.NOT_EVALUATED: "bad",
}
VERDICT_STYLES: dict[Verdict, Style] = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.INCONCLUSIVE: "warn"}
MOST_LINES = 10


def decision_lines(decision: Decision) -> list[StyledLine]:
    """A line per metric, what bars a PASS, and the sentence last. No line holds a control character.

    For doors that have a decision and no record. Reasons and problems quote what endpoints said.
    """
    lines: list[StyledLine] = [
        (
            f"{m.verdict:<12} {m.suite}::{m.metric} ({m.role}{', waived' if m.waived else ''}): {m.reason}",
            VERDICT_STYLES[m.verdict],
        )
        for m in decision.metrics
    ]
    lines += [(f"problem: {problem}", "warn") for problem in decision.problems]
    lines += [(f"required assert failed: {name}", "bad") for name in decision.required_failures]
    lines += [
        (f"slice {one.name}: {100 * one.delta:+.1f} points on {one.cases:,} cases (p = {one.p_worse:.2g})", "bad")
        for one in decision.slices
        if one.failed and not one.waived
    ]
    lines += [
        (f"waiver of {use.target} until {use.until} by {use.by}: {use.status}", "warn") for use in decision.waivers
    ]
    lines.append((decision.sentence, VERDICT_STYLES[decision.verdict]))
    return [(visible(" ".join(text.splitlines())), style) for text, style in lines]


def terminal_lines(view: ReportView) -> list[StyledLine]:
    """Lines in reading order, the verdict first. No line holds a control character.

    Args:
        view: What to say.
    """
    return [(" ".join(text.split("\n")).replace("\t", " "), style) for text, style in _lines(view)]


def _lines(view: ReportView) -> Iterator[StyledLine]:
    qualifier = f" ({view.qualifier})" if view.qualifier else ""
    against = f" against {view.champion}" if view.champion else ""
    yield f"{view.verdict}{qualifier}: {view.candidate}{against}", STYLES[view.state]
    yield view.sentence, "strong"
    yield view.consequence, "plain"
    for notice in view.notices:
        yield notice.text, "bad" if notice.serious else "plain"
    yield from _capped(_problem_lines(view), "problem", len(view.problems))
    required: Iterator[StyledLine] = (
        (f"  failed though required  {row.suite}::{row.case}", "bad") for row in view.required.rows
    )
    yield from _capped(required, "required case", view.required.total)
    width = max((len(f"{row.suite}::{row.metric}") for row in view.metrics), default=0)
    for metric in view.metrics:
        yield _metric(metric, width)
    for panel in view.panels:
        yield f"  {panel.title}: {panel.lead}", "bad" if panel.serious else "plain"
        rows: Iterator[StyledLine] = (
            (f"    {', '.join(cell for cell in row.cells if cell)}", STYLES[row.state])
            for row in panel.rows
            if row.state is not None
        )
        yield from _capped(rows, "row", sum(row.state is not None for row in panel.rows))
    for table in view.serving:
        yield from _serving(table)
    causes: Iterator[StyledLine] = (
        (f"  {plural(row.count, 'answer')} of the {row.side} not evaluated: {row.cause}", "bad") for row in view.errors
    )
    yield from _capped(causes, "cause", len(view.errors) + view.errors_left_out)
    yield from _flips(view)


def _problem_lines(view: ReportView) -> Iterator[StyledLine]:
    for problem in view.problems:
        fix = f". {problem.fix}" if problem.fix else ""
        yield f"  not evaluated  {problem.where}: {problem.what}{fix}", "bad"


def _capped(lines: Iterator[StyledLine], noun: str, total: int) -> Iterator[StyledLine]:
    for _, line in zip(range(MOST_LINES), lines, strict=False):
        yield line
    if total > MOST_LINES:
        yield f"  … and {plural(total - MOST_LINES, 'more ' + noun)}", "dim"


def _metric(row: MetricRow, width: int) -> StyledLine:
    scores = f"{row.champion} → {row.candidate}, {row.difference} points" if row.changes else row.candidate
    bounds = f"{row.bounds}, {row.level}" if row.level else row.bounds
    errors = f", {plural(row.errors, 'error')}" if row.errors else ""
    changes = f"; {row.changes}" if row.changes else ""
    role = f"{row.role}, waived" if row.waived else row.role if row.gates else f"{row.role}, never gates"
    text = (
        f"  {row.outcome:<12}  {f'{row.suite}::{row.metric}':<{width}}  {scores} ({bounds}), {row.limit}; "
        f"{row.counts}{errors}{changes} [{role}]"
    )
    return text, STYLES[row.state] if row.gates else "dim"


def _serving(table: ServingTable) -> Iterator[StyledLine]:
    name = f"{table.name}, {table.concurrency} in flight"
    for reason in table.invalid:
        yield f"  INVALID       serving {name}: {reason}", "bad"
    for row in table.rows:
        if row.main:
            cells = [cell.text for cell in (row.champion, row.candidate) if cell is not None]
            change = f", {row.change}" if row.change else ""
            yield f"  serving {name}: {row.label}: {' → '.join(cells)}{change}", "plain"


def _flips(view: ReportView) -> Iterator[StyledLine]:
    for row in view.worse.rows[:MOST_LINES]:
        yield f"  worse  {row.suite}::{row.case}  {row.metric} {row.change}", "plain"
    if view.worse.total > MOST_LINES:
        yield f"  … and {plural(view.worse.total - MOST_LINES, 'more worse case')}", "dim"
