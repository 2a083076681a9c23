"""The report as Markdown: for pull request comments, job summaries and registry descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.report.markdown_text import as_table, code, escaped, fenced, in_cell, prose
from llmgate.report.pieces import State
from llmgate.report.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.report.case_rows import Answer, CaseRow, Listing
    from llmgate.report.rows import MetricRow, ReportView, ServingCell, ServingTable

__all__ = ["COMMENT_BYTES", "render_markdown"]

COMMENT_BYTES = 60_000
"""A GitHub comment holds 65,536 characters; the rest is room for what is put around the report."""
SHOWN_CASES = 10
SYMBOLS = {State.PASS: "✅", State.FAIL: "❌", State.INCONCLUSIVE: "🟡", State.NOT_EVALUATED: "⚠️"}


def render_markdown(view: ReportView, *, max_bytes: int = COMMENT_BYTES) -> str:
    """The report in Markdown, the most important first.

    Args:
        view: What to say.
        max_bytes: Longest result in bytes of UTF-8. Whole parts are left out from the end, and named; the
            heading always stays.

    Returns:
        Text that ends with a line feed.
    """
    heading, *parts = _parts(view)
    text = heading
    left_out: list[str] = []
    room = max_bytes - len(heading.encode()) - 400
    for title, part in ((_title(part), part) for part in parts):
        size = len(part.encode()) + 1
        if size <= room:
            text += "\n" + part
            room -= size
        else:
            left_out.append(title)
    if left_out:
        names = ", ".join(dict.fromkeys(left_out))
        text += f"\nLeft out for want of space: {names if len(names) < 300 else plural(len(left_out), 'part')}.\n"
    return text


def _title(part: str) -> str:
    first = part.split("\n", 1)[0]
    return first.removeprefix("### ") if first.startswith("### ") else "some details"


def _parts(view: ReportView) -> Iterator[str]:
    names = f"{code(view.candidate)} against {code(view.champion)}" if view.champion else code(view.candidate)
    qualifier = f" ({view.qualifier})" if view.qualifier else ""
    yield f"## {SYMBOLS[view.state]} {view.verdict}{qualifier}: {names}\n"
    yield f"**{prose(view.sentence)}**\n\n{prose(view.consequence)}\n"
    if view.notices:
        yield "".join(f"> {'⚠️ ' if it.serious else ''}{prose(it.text)}\n>\n" for it in view.notices)[:-2]
    if view.problems:
        rows = ([in_cell(it.where), prose(it.what), prose(it.fix)] for it in view.problems)
        yield "### Could not be evaluated\n\n" + as_table(["Where", "What", "What to do"], rows)
    yield from _cases(view.required, "Must never fail, and failed", view)
    yield from _metrics(view)
    yield from _panels(view, serious=True)
    for table in view.serving:
        yield _serving(table, compared=view.champion is not None)
    yield from _cases(view.worse, "Got worse", view)
    yield from _errors(view)
    yield from _panels(view, serious=False)
    yield from _slices(view)
    yield from _cases(view.better, "Got better", view)
    yield from _cases(view.missed, "Below par", view)
    yield _provenance(view)


def _metrics(view: ReportView) -> Iterator[str]:
    if not view.metrics:
        return
    header = ["Metric", "Role", "Champion", "Candidate", "Difference", "Bounds", "Limit", "Evaluated", "Verdict"]
    rows = [
        [
            in_cell(f"{it.suite}::{it.metric}"),
            it.role,
            it.champion,
            it.candidate,
            it.difference,
            f"{it.bounds} ({it.level})" if it.level else it.bounds,
            it.limit,
            it.counts
            + (f", **{it.errors:,} errors**" if it.errors else "")
            + (f"; {it.changes}" if it.changes else ""),
            f"{SYMBOLS[it.state]} {it.outcome}{_aside(it)}",
        ]
        for it in view.metrics
    ]
    if view.champion is None:
        header, *rows = ([cell for i, cell in enumerate(row) if i not in {2, 4}] for row in (header, *rows))
    yield "### Metrics\n\n" + as_table(header, rows)
    yield "".join(
        f"- {code(it.metric)}: {prose(' '.join(_sentence(s) for s in (it.reason, it.chances, *it.notes) if s))}"
        f" ({prose(it.method)}{', ' + it.p_worse if it.p_worse else ''})\n"
        for it in view.metrics
    )


def _aside(row: MetricRow) -> str:
    if row.waived:
        return " (waived)"
    return "" if row.gates else " (never gates)"


def _panels(view: ReportView, *, serious: bool) -> Iterator[str]:
    for panel in view.panels:
        if panel.serious is not serious:
            continue
        text = f"### {prose(panel.title)}\n\n{prose(panel.lead)}\n"
        if panel.rows:
            header = [prose(column.title) for column in panel.columns]
            rows = (
                [
                    (f"{SYMBOLS[row.state]} " if row.state else "") + in_cell(row.cells[0]),
                    *map(in_cell, row.cells[1:]),
                ]
                for row in panel.rows
            )
            text += "\n" + as_table(header, rows)
        yield text + (f"\n{plural(panel.left_out, 'further row')} left out.\n" if panel.left_out else "")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _serving(table: ServingTable, *, compared: bool) -> str:
    text = f"### Serving: {code(table.name)}, {table.concurrency} in flight\n\n"
    if table.invalid:
        text += "**INVALID: these measurements do not count.**\n\n"
        text += "".join(f"- {prose(reason)}\n" for reason in table.invalid) + "\n"
    rows = [
        [it.label, _cell(it.champion), _cell(it.candidate), it.change or "–"]
        if compared
        else [it.label, _cell(it.candidate)]
        for it in table.rows
        if it.main
    ]
    text += as_table(["Figure", "Champion", "Candidate", "Change"] if compared else ["Figure", "Candidate"], rows)
    return text + "".join(f"\n{prose(note)}\n" for note in table.notes)


def _cell(cell: ServingCell | None) -> str:
    if cell is None:
        return "–"
    return f"**{cell.text}**" if cell.invalid else cell.text


def _cases(listing: Listing, title: str, view: ReportView) -> Iterator[str]:
    if not listing.total:
        return
    shown = listing.rows[:SHOWN_CASES]
    rest = listing.total - len(shown)
    note = f" Shown are the first {len(shown)}; {rest:,} more stand in the HTML report or the record." if rest else ""
    yield f"### {title}\n\n{plural(listing.total, 'case')}.{note}\n"
    for row in shown:
        yield _case(row, compared=view.champion is not None)


def _case(row: CaseRow, *, compared: bool) -> str:
    name = f"{row.suite}::{row.case}" + (f" · {row.metric}" if row.metric else "")
    text = f"<details><summary><code>{escaped(name)}</code> {escaped(row.change)}</summary>\n\n"
    for message in row.prompt:
        text += f"{message.role}:\n\n{fenced(message.text)}\n"
    if row.expected:
        text += f"expected:\n\n{fenced(row.expected)}\n"
    for pair in row.pairs:
        for side, answer in (("champion", pair.champion), ("candidate", pair.candidate)):
            if answer is not None and (compared or side == "candidate"):
                text += _answer(side + (f", repeat {pair.repeat + 1}" if len(row.pairs) > 1 else ""), answer)
    if row.note:
        text += f"{prose(row.note)}\n\n"
    return text + "</details>\n"


def _answer(side: str, answer: Answer) -> str:
    how = {"pass": "passed", "fail": "failed", "error": "not evaluated"}[answer.outcome]
    body = f"{prose(answer.failure)}\n" if answer.failure else fenced(answer.text)
    checks = "".join(
        f"- {code(check.type)} {check.outcome}{': ' + code(check.reason) if check.reason else ''}\n"
        for check in answer.checks
        if check.outcome != "pass" or answer.outcome == "pass"
    )
    return f"{side} ({how}):\n\n{body}\n{checks + chr(10) if checks else ''}"


def _errors(view: ReportView) -> Iterator[str]:
    if view.errors:
        rows = (
            [
                f"{it.count:,}",
                it.side,
                in_cell(it.cause),
                ", ".join(map(in_cell, it.cases[:3])) + (" …" if it.count > 3 else ""),
            ]
            for it in view.errors
        )
        more = f"\n{plural(view.errors_left_out, 'further cause')} left out.\n" if view.errors_left_out else ""
        yield "### Errors by cause\n\n" + as_table(["Answers", "Side", "Cause", "Cases"], rows) + more


def _slices(view: ReportView) -> Iterator[str]:
    if view.slices:
        rows = (
            [
                in_cell(f"{it.field} = {it.value}"),
                f"{it.cases:,}",
                it.champion,
                it.candidate,
                it.difference,
                f"{it.errors:,}",
            ]
            for it in view.slices
        )
        header = ["Slice", "Cases", "Champion", "Candidate", "Difference", "Errors"]
        more = f"\n{plural(view.slices_left_out, 'further slice')} left out.\n" if view.slices_left_out else ""
        table = as_table(header, rows)
        yield f"### Slices\n\nDescription only: share of cases in which every check passed.\n\n{table}{more}"


def _provenance(view: ReportView) -> str:
    rows = (
        [f"{prose(group.title)}: {prose(row.label)}" + (" ≠" if row.differs else ""), in_cell(row.candidate)]
        + ([in_cell(row.champion)] if view.champion else [])
        for group in view.provenance
        for row in group.rows
    )
    header = ["Fact", "Candidate", *(["Champion"] if view.champion else [])]
    return f"### Provenance\n\n<details><summary>All facts</summary>\n\n{as_table(header, rows)}\n</details>\n"
