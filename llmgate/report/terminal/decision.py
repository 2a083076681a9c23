"""A decision for a terminal: the metrics once, as a table; labelled lines; the verdict and what to do next."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size

from llmgate.gate.decision.details import detail_lines, next_step
from llmgate.gate.decision.types import Verdict
from llmgate.gate.decision.wording import figure_name, short_names
from llmgate.report.panels.metrics import metric_row
from llmgate.report.serving_words import short_limit
from llmgate.report.visible import one_line, visible
from llmgate.report.words import factor, percent, points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.decision.types import Decision, MetricDecision
    from llmgate.report.pieces import LedLine, Style

__all__ = ["decision_lines", "labelled", "outcome_of", "style_of", "terminal_width"]

STYLES: Final[dict[Verdict, Style]] = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.INCONCLUSIVE: "warn"}
LABEL: Final = 15
PROBLEMS: Final = 5
"""How many problems are spelt out."""
LOG_WIDTH: Final = 120
LEAST_WIDTH: Final = 40
LEAST_NAME: Final = 12
"""Columns that a metric's name has in the table, or there is none."""


def terminal_width() -> int:
    """Columns of the terminal, or what COLUMNS says; a log without either has room."""
    return max(LEAST_WIDTH, shutil.get_terminal_size((LOG_WIDTH, 24)).columns)


def decision_lines(
    decision: Decision, *, width: int, table: Sequence[LedLine] | None = None, beside: Sequence[LedLine] = ()
) -> list[LedLine]:
    """The table, the labelled lines, the verdict with its sentence, and what to do next.

    For doors that have a decision and no record. Reasons and problems quote what endpoints said: no line holds a
    control character, and none is wider than `width`.

    Args:
        decision: What to say.
        width: Columns of the terminal.
        table: In place of the table of metrics.
        beside: Further lines, before the problems and the verdict.
    """
    lines = [*(_table(decision.metrics, width) if table is None else table), *_spelt_out(decision, width, beside)]
    lines += labelled(f"{decision.verdict}", decision.sentence, width, style=STYLES[decision.verdict], indent=0)
    lines += labelled("Next:", next_step(decision), width, indent=0)
    return lines


def labelled(label: str, text: str, width: int, *, style: Style = "plain", indent: int = LABEL) -> Iterator[LedLine]:
    """A text behind its label, wrapped to the width; further lines stand below its beginning."""
    lead = f"{label} ".ljust(indent)
    shown = visible(" ".join(text.split())).replace(" %", "\u00a0%")
    # A line of quoted text does not begin with a verdict.
    shown = re.sub(rf" (?=[^\w\s]*(?:{'|'.join(Verdict)})\b)", "\u00a0", shown)
    room = width - len(lead)
    # Signs of two columns are counted as one by who wraps.
    wrapped = textwrap.wrap(shown, room if cell_len(shown) == len(shown) else room // 2, break_on_hyphens=False)
    first, *others = (line.replace("\u00a0", " ") for line in wrapped or [""])
    yield lead, first, style
    for line in others:
        yield " " * len(lead), line, "plain"


def _spelt_out(decision: Decision, width: int, beside: Sequence[LedLine]) -> Iterator[LedLine]:
    for label, text in detail_lines(decision):
        yield from labelled(label, text, width)
    yield from beside
    problems = [problem for problem in decision.problems if problem.counted or not decision.is_baseline]
    for problem in problems[:PROBLEMS]:
        yield from labelled("Missing" if problem.counted else "Problem", str(problem), width, style="warn")
    left = len(problems) - PROBLEMS
    if left > 0:
        # Nobody writes a report about tables.
        where = "the report" if decision.candidate_run else "--json"
        yield from labelled("", f"and {left:,} more problems: see {where}", width)


def _table(metrics: Sequence[MetricDecision], width: int) -> Iterator[LedLine]:
    """A row per metric; names give way where the width does not do, the end of a name last."""
    if not metrics:
        return
    compared = any(metric.reference == "champion" for metric in metrics)
    titles = ["metric", *(["champion"] if compared else []), "candidate", "bounds", "limit"]
    rows = [_cells(metric, name, compared=compared) for metric, name in zip(metrics, _names(metrics), strict=True)]
    outcomes = [outcome_of(metric) for metric in metrics]
    first = max(cell_len(outcome) for outcome in outcomes)
    sizes = [max(map(cell_len, column)) for column in zip(titles, *rows, strict=True)]
    room = width - first - 2 - sum(sizes[1:]) - 2 * (len(sizes) - 1)
    if room < LEAST_NAME:
        for outcome, metric, row in zip(outcomes, metrics, rows, strict=True):
            figures = ", ".join(f"{title} {cell}" for title, cell in zip(titles[1:], row[1:], strict=True))
            yield from labelled(outcome, f"{row[0]}: {figures}", width, style=style_of(metric), indent=0)
        return
    if room < sizes[0]:
        rows = [
            [name, *rest]
            for name, (_, *rest) in zip((one_line(name) for name in short_names(metrics)), rows, strict=True)
        ]
        sizes[0] = max(min(room, max(cell_len(row[0]) for row in rows)), len(titles[0]))
    yield " " * (first + 2), _row(titles, sizes), "plain"
    for metric, outcome, row in zip(metrics, outcomes, rows, strict=True):
        yield f"{outcome:<{first}}  ", _row(row, sizes), style_of(metric)


def style_of(metric: MetricDecision) -> Style:
    """The colour of its verdict; none for what does not count."""
    return STYLES[metric.verdict] if metric.gates and not metric.waived else "plain"


def outcome_of(metric: MetricDecision) -> str:
    """The verdict; of what does not count in lower case, so that nobody takes it for one."""
    if metric.waived:
        return f"waived {metric.verdict.lower()}"
    return str(metric.verdict) if metric.gates else "watched"


def _names(metrics: Sequence[MetricDecision]) -> list[str]:
    return [
        one_line(f"{metric.suite}::{figure_name(metric.metric) if metric.unit else metric.metric}", 200)
        for metric in metrics
    ]


def _row(cells: Sequence[str], sizes: Sequence[int]) -> str:
    name, *others = cells
    parts = [_cut(name, sizes[0])]
    parts += [" " * (size - cell_len(cell)) + cell for cell, size in zip(others, sizes[1:], strict=True)]
    return "  ".join(parts)


def _cut(name: str, size: int) -> str:
    """Padded, or without its beginning: metrics of one suite differ at their end."""
    while cell_len(name) > size:
        name = f"…{name[2:]}" if len(name) > 2 else ""
    return set_cell_size(name, size)


def _cells(metric: MetricDecision, name: str, *, compared: bool) -> list[str]:
    row = metric_row(metric)
    champion = ["–" if metric.two_sided else row.champion] if compared else []
    bounds = "–" if metric.lower is None else row.bounds
    return [name, *champion, row.candidate, bounds, _limit(metric)]


def _limit(metric: MetricDecision) -> str:
    """`−3`, `≥ 80 %`, or both."""
    if metric.unit:
        return short_limit(metric)
    if metric.two_sided and metric.margin is not None:
        return factor(metric.margin)
    parts = [] if metric.margin is None or metric.reference != "champion" else [f"−{points(metric.margin)}"]
    parts += [] if metric.min is None else [f"≥ {_whole(metric.min)}"]
    parts += [] if metric.max is None else [f"≤ {_whole(metric.max)}"]
    return ", ".join(parts) or "–"


def _whole(fraction: float) -> str:
    return percent(fraction, 0 if round(100 * fraction, 6).is_integer() else 1)
