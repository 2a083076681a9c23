"""The report as Markdown: for comments on pull requests, job summaries and registry descriptions.

Its first lines are what a reviewer reads on a phone: the verdict, why, what to do, and one row per metric. Single cases
and further evidence are folded, and stand there as far as there is room; the HTML report has everything.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Final

from llmgate.report.markdown_text import as_table, escaped, fitted, folded, in_cell, prose
from llmgate.report.pieces import State
from llmgate.report.words import count, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llmgate.report.arm_rows import ArmsView
    from llmgate.report.case_rows import Answer, CaseRow, Listing
    from llmgate.report.pieces import Text
    from llmgate.report.rows import MetricRow, Notice, Panel, ReportView, ServingCell, ServingTable

__all__ = ["COMMENT_BYTES", "render_markdown"]

COMMENT_BYTES: Final = 5_500
"""What is put around it in a comment fits into 500 bytes more: 6 KB together."""
SYMBOLS: Final = {State.PASS: "✅", State.FAIL: "❌", State.INCONCLUSIVE: "🟡", State.NOT_EVALUATED: "⚠️"}

SHOWN_CASES: Final = 5
SHOWN_REMARKS: Final = 4
SHORT_TABLES: Final = (10, 5, 2)
"""How many rows of a further table are shown where all of them do not fit."""
SENTENCE_BYTES: Final = 500
NAME_BYTES: Final = 120
QUOTE_BYTES: Final = 180
TABLE_BYTES: Final = 1_700
TAIL_BYTES: Final = 220
"""Kept for the line that names what is left out."""


def render_markdown(view: ReportView, *, max_bytes: int = COMMENT_BYTES) -> str:
    """The report in Markdown, the most important first.

    Args:
        view: What to say.
        max_bytes: Longest result in bytes of UTF-8. What does not fit is left out from the end, in whole parts, and
            named; the heading always stays.

    Returns:
        Text that ends with a line feed.
    """
    text = _heading(view)
    left_out: list[str] = []
    room = max_bytes - len(text.encode()) - TAIL_BYTES
    for title, parts in _parts(view):
        # The longest form of a part that fits.
        part = next((part for part in parts if len(part.encode()) < room), None)
        if part is None:
            left_out.append(title)
        else:
            text += f"\n{part}"
            room -= len(part.encode()) + 1
    return f"{text}\n{_tail(left_out)}" if room + TAIL_BYTES > 0 else text


def _heading(view: ReportView) -> str:
    names = fitted(view.candidate, NAME_BYTES)
    if view.champion:
        names += f" against {fitted(view.champion, NAME_BYTES)}"
    return f"## {SYMBOLS[view.state]} {view.verdict}{f' ({view.qualifier})' if view.qualifier else ''}: {names}\n"


def _next(view: ReportView) -> str:
    return f"{prose(view.consequence)} **Next:** {fitted(view.next, SENTENCE_BYTES, prose)}"


def _tail(left_out: Sequence[str]) -> str:
    names = "; ".join(dict.fromkeys(left_out))
    if len(names.encode()) > TAIL_BYTES - 80:
        names = plural(len(left_out), "part")
    return f"The whole report is `report.html`{f'; left out here: {names}' if names else ''}.\n"


def _parts(view: ReportView) -> Iterator[tuple[str, Iterable[str]]]:
    """Titles, and the forms that a part can take, the longest first."""
    yield "why", [f"**{fitted(view.sentence, SENTENCE_BYTES, prose)}**\n\n{_next(view)}\n"]
    remarks = [*_problems(view), *_notices(view.notices)]
    if remarks:
        yield "problems and notices", _shorter(remarks, SHOWN_REMARKS)
    yield from _metrics(view)
    if view.details:
        yield (
            "details",
            ["".join(f"- **{label}:** {fitted(it, 2 * QUOTE_BYTES, prose)}\n" for label, it in view.details)],
        )
    yield from _cases(view)
    yield from _panels(view.panels, serious=True)
    for table in view.serving:
        yield f"serving ({table.concurrency} in flight)", [_serving(table, compared=view.champion is not None)]
    for curve in view.curves:
        yield f"serving at several loads ({curve.title})", [_panel(curve.table, len(curve.table.rows))]
    for arms in view.arms:
        yield arms.title.lower(), [_arms(arms, spelt_out=True), _arms(arms, spelt_out=False)]
    yield from _errors(view)
    yield from _panels(view.panels, serious=False)
    yield from _slices(view)


def _shorter(items: Sequence[str], most: int) -> Iterator[str]:
    """The first items of a list, fewer and fewer; how many are not named stands at its end."""
    for shown in range(min(most, len(items)), 0, -1):
        rest = len(items) - shown
        yield "".join(items[:shown]) + (f"- and {count(rest)} more\n" if rest else "")


def _notices(notices: Sequence[Notice]) -> list[str]:
    ordered = sorted(notices, key=lambda notice: not notice.serious)
    return [f"- {'⚠️ ' if it.serious else ''}{fitted(it.text, 2 * QUOTE_BYTES, prose)}\n" for it in ordered]


def _problems(view: ReportView) -> list[str]:
    return [
        f"- ⚠️ {fitted(it.where, NAME_BYTES)}: {fitted(it.what, 2 * QUOTE_BYTES, prose)}"
        f"{'. ' + fitted(it.fix, QUOTE_BYTES, prose) if it.fix else ''}\n"
        for it in view.problems
    ]


def _metrics(view: ReportView) -> Iterator[tuple[str, Iterable[str]]]:
    if not view.metrics:
        return
    alike = Counter(row.metric for row in view.metrics)
    rows = [
        [
            f"{SYMBOLS[it.state]} {it.outcome}{_aside(it)}",
            fitted(f"{it.suite}::{it.metric}" if alike[it.metric] > 1 else it.metric, NAME_BYTES, in_cell),
            (f"{it.champion} → {it.candidate}" if view.champion and it.champion != "–" else it.candidate)
            + f" ({it.bounds})"
            + (f", **{count(it.errors)} not evaluated**" if it.errors else ""),
            it.limit,
        ]
        for it in sorted(view.metrics, key=_urgency)
    ]
    header = ["Verdict", "Metric", "Change (bounds)" if view.champion else "Rate (bounds)", "Limit"]

    def forms() -> Iterator[str]:
        for shown in range(len(rows), 0, -1):
            rest = len(rows) - shown
            table = as_table(header, rows[:shown]) + (f"\n{plural(rest, 'further metric')}.\n" if rest else "")
            if len(table.encode()) <= TABLE_BYTES or shown == 1:
                yield table

    yield "metrics", forms()


def _urgency(row: MetricRow) -> int:
    if row.waived or not row.gates:
        return 3
    return {"FAIL": 0, "INCONCLUSIVE": 1}.get(row.outcome, 2)


def _aside(row: MetricRow) -> str:
    if row.waived:
        return " (waived)"
    return "" if row.gates else " (watched)"


def _cases(view: ReportView) -> Iterator[tuple[str, Iterable[str]]]:
    """The worst of the cases that failed what must never fail, then of those that got worse; else those below par."""
    lists = [(view.required, "that must never fail"), (view.worse, "that got worse"), (view.missed, "below par")]
    if view.worse.rows:
        lists.pop()
    rows = list(chain.from_iterable(listing.rows for listing, _ in lists))[:SHOWN_CASES]
    if not rows:
        return
    totals = [f"{plural(listing.total, 'case')} {words}" for listing, words in lists if listing.total]

    def forms() -> Iterator[str]:
        for shown in range(len(rows), 0, -1):
            lead = "The worst" if shown == 1 else f"The {shown} worst"
            title = f"{lead} of {' and '.join(totals)}" if _more(lists, shown) else " and ".join(totals)
            yield folded(title, "".join(map(_case, rows[:shown])))

    yield "the worst cases", forms()


def _more(lists: Sequence[tuple[Listing, str]], shown: int) -> bool:
    return sum(listing.total - listing.above for listing, _ in lists) > shown


def _case(row: CaseRow) -> str:
    name = fitted(f"{row.suite}::{row.case}", NAME_BYTES)
    metric = f" {fitted(row.metric, NAME_BYTES)}" if row.metric else ""
    lines = [f"- {name}{metric} {escaped(row.change)}"]
    if row.why:
        lines.append(f"  - why: {fitted(row.why, QUOTE_BYTES)}")
    asked = [message.text for message in row.prompt if message.role == "user"]
    if asked:
        lines.append(f"  - asked: {_quoted(asked[-1])}")
    for pair in row.pairs[:1]:
        sides = [("champion", pair.champion), ("candidate", pair.candidate)]
        lines += [f"  - {side}: {_answer(answer)}" for side, answer in sides if answer is not None]
    return "\n".join(lines) + "\n"


def _answer(answer: Answer) -> str:
    return prose(answer.failure) if answer.failure else _quoted(answer.text)


def _quoted(text: Text) -> str:
    return fitted(
        " ".join("".join(piece.text if piece.kind != "note" else " … " for piece in text).split()), QUOTE_BYTES
    )


def _panels(panels: Iterable[Panel], *, serious: bool) -> Iterator[tuple[str, Iterable[str]]]:
    for panel in panels:
        if panel.serious is serious:
            sizes = [len(panel.rows), *(size for size in SHORT_TABLES if size < len(panel.rows))]
            yield panel.title.lower(), [_panel(panel, size) for size in sizes]


def _panel(panel: Panel, most: int) -> str:
    text = f"{prose(panel.lead)}\n"
    if panel.rows:
        header = [prose(column.title) for column in panel.columns]
        rows = (
            [
                (f"{SYMBOLS[row.state]} " if row.state else "") + in_cell(row.cells[0]),
                *map(in_cell, row.cells[1:]),
            ]
            for row in panel.rows[:most]
        )
        text += "\n" + as_table(header, rows)
    left_out = panel.left_out + len(panel.rows[most:])
    more = f"\n{plural(left_out, 'further row')} left out.\n" if left_out else ""
    return folded(panel.title, text + more)


def _serving(table: ServingTable, *, compared: bool) -> str:
    text = ""
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
    text += "".join(f"\n{prose(note)}\n" for note in table.notes)
    return folded(f"Serving: {table.name}, {table.concurrency} in flight{', INVALID' if table.invalid else ''}", text)


def _arms(view: ArmsView, *, spelt_out: bool) -> str:
    """How serving was measured on two arms, and what each pair of runs says where there is room for it."""
    text = ""
    if view.invalid:
        text += "**INVALID: these runs must not be believed.**\n\n"
        text += "".join(f"- {prose(reason)}\n" for reason in view.invalid[:SHOWN_REMARKS]) + "\n"
    text += "".join(f"- **{label}:** {fitted(it, 2 * QUOTE_BYTES, prose)}\n" for label, it in view.facts)
    for pairs in view.pairs if spelt_out else ():
        text += f"\n**{prose(pairs.metric)}**, {pairs.outcome}: {prose(pairs.reading)}\n\n"
        text += "".join(f"- {prose(point.words)}\n" for point in pairs.points)
    return folded(view.title, text)


def _cell(cell: ServingCell | None) -> str:
    if cell is None:
        return "–"
    return f"**{cell.text}**" if cell.invalid else cell.text


def _errors(view: ReportView) -> Iterator[tuple[str, Iterable[str]]]:
    if view.errors:
        rows = (
            [
                count(it.count),
                it.side,
                in_cell(it.cause),
                ", ".join(map(in_cell, it.cases[:3])) + (" …" if it.count > 3 else ""),
            ]
            for it in view.errors
        )
        more = f"\n{plural(view.errors_left_out, 'further cause')} left out.\n" if view.errors_left_out else ""
        body = as_table(["Answers", "Side", "Cause", "Cases"], rows) + more
        yield "errors by cause", [folded("Errors by cause", body)]


def _slices(view: ReportView) -> Iterator[tuple[str, Iterable[str]]]:
    if view.slices:
        rows = (
            [
                in_cell(f"{it.field} = {it.value}"),
                count(it.cases),
                it.champion,
                it.candidate,
                it.difference,
                count(it.errors),
            ]
            for it in view.slices
        )
        header = ["Slice", "Cases", "Champion", "Candidate", "Difference", "Errors"]
        more = f"\n{plural(view.slices_left_out, 'further slice')} left out.\n" if view.slices_left_out else ""
        lead = "Description only: share of cases in which every check passed."
        yield "slices", [folded("Slices", f"{lead}\n\n{as_table(header, rows)}{more}")]
