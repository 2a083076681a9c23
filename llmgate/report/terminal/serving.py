"""Two servings measured against each other, for a terminal: a table of figures, how it was done, the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from llmgate.gate.decision.wording import figure_name
from llmgate.gate.serving.arm_figures import read_arms
from llmgate.report.panels.arm_facts import arm_facts
from llmgate.report.panels.arms import doubts_of
from llmgate.report.serving_words import bracketed, quantity, quantity_bounds, short_limit
from llmgate.report.terminal.decision import decision_lines, labelled, outcome_of, style_of
from llmgate.report.visible import one_line
from llmgate.report.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.decision.types import Decision, MetricDecision
    from llmgate.record.arms import ServingArms
    from llmgate.report.pieces import LedLine, Style

__all__ = ["arms_lines", "serving_led_lines", "serving_lines"]

TITLES: Final = ("figure", "champion", "candidate", "change [interval]", "limit")
NARROW: Final = ("figure", "runs", "change [interval]", "limit")
NAMED: Final = 5
"""How many discarded runs, doubts and problems are spelt out."""


def serving_lines(decision: Decision, arms: ServingArms, width: int) -> list[str]:
    """As `serving_led_lines`, without colours."""
    return [f"{lead}{text}".rstrip() for lead, text, _ in serving_led_lines(decision, (arms,), width)]


def serving_led_lines(decision: Decision, arms: Sequence[ServingArms], width: int) -> list[LedLine]:
    """A decision with the measurements on two arms that it rests on: figures, how it was done, the verdict.

    Args:
        decision: On serving alone, or on scores as well: then all metrics stand in one table.
        arms: All runs that were made, by suite.
        width: Columns of the terminal; no line is wider.
    """
    alone = bool(decision.metrics) and all(metric.unit for metric in decision.metrics)
    beside = [line for it in arms for line in _arms(it, width, named=len(arms) > 1)]
    table = list(_table(decision.metrics, width)) if alone else None
    return decision_lines(decision, width=width, table=table, beside=beside)


def arms_lines(arms: ServingArms, width: int) -> list[str]:
    """How two arms were measured, which runs were discarded and why, and which must not be believed.

    Args:
        arms: All runs that were made.
        width: Columns of the terminal; no line is wider.
    """
    return [f"{lead}{text}".rstrip() for lead, text, _ in _arms(arms, width)]


def _arms(arms: ServingArms, width: int, *, named: bool = False) -> Iterator[LedLine]:
    if named:
        yield from labelled("Serving of", one_line(arms.plan.suite, 120), width)
    for label, text in arm_facts(arms):
        yield from labelled(label, text, width)
    discarded = [
        f"run {run.position + 1}, {run.arm}, pair {run.pair + 1}: {one_line(run.discarded)}"
        for run in arms.runs
        if run.discarded
    ]
    yield from _some("Discarded", discarded, width, style="warn")
    yield from _some("INVALID", doubts_of(read_arms(arms)), width, style="bad")


def _some(label: str, texts: Sequence[str], width: int, *, style: Style) -> Iterator[LedLine]:
    for text in texts[:NAMED]:
        yield from labelled(label, text, width, style=style)
    if len(texts) > NAMED:
        yield from labelled("", f"and {len(texts) - NAMED:,} more", width)


def _table(metrics: Sequence[MetricDecision], width: int) -> Iterator[LedLine]:
    """A row per figure; where the width does not do, with both sides in one column; else as a text per figure."""
    if not metrics:
        return
    outcomes = [outcome_of(metric) for metric in metrics]
    first = max(map(cell_len, outcomes))
    for gap, (titles, rows) in (
        (2, _filled(TITLES, [_cells(metric) for metric in metrics])),
        (1, _filled(NARROW, [_narrow(metric) for metric in metrics])),
    ):
        sizes = [max(map(cell_len, column)) for column in zip(titles, *rows, strict=True)]
        if first + 2 + sum(sizes) + gap * (len(sizes) - 1) <= width:
            yield " " * (first + 2), _row(titles, sizes, gap), "plain"
            for metric, outcome, row in zip(metrics, outcomes, rows, strict=True):
                yield f"{outcome:<{first}}  ", _row(row, sizes, gap), style_of(metric)
            return
    for outcome, metric in zip(outcomes, metrics, strict=True):
        name, sides, change, limit = _narrow(metric)
        parts = [sides, change, *([] if limit == "–" else [f"limit {limit}"])]
        text = f"{name}: {', '.join(part for part in parts if part != '–')}"
        yield from labelled(outcome, text, width, style=style_of(metric))


def _filled(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Without the columns that say nothing in any row."""
    kept = [at for at in range(len(titles)) if any(row[at] != "–" for row in rows)]
    return [titles[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _row(cells: Sequence[str], sizes: Sequence[int], gap: int) -> str:
    name, *others = cells
    parts = [name + " " * (sizes[0] - cell_len(name))]
    parts += [" " * (size - cell_len(cell)) + cell for cell, size in zip(others, sizes[1:], strict=True)]
    return (" " * gap).join(parts)


def _cells(metric: MetricDecision) -> tuple[str, ...]:
    unit = one_line(metric.unit, 20)
    name = one_line(figure_name(metric.metric), 60)
    return name, quantity(metric.champion, unit), quantity(metric.candidate, unit), _change(metric), short_limit(metric)


def _narrow(metric: MetricDecision) -> tuple[str, ...]:
    name, champion, candidate, change, limit = _cells(metric)
    before = champion.removesuffix(f" {one_line(metric.unit, 20)}")
    return name, candidate if champion == "–" else f"{before} → {candidate}", change, limit


def _change(metric: MetricDecision) -> str:
    """The change with its interval; of a limit alone the interval of the figure; else what is missing."""
    unit = one_line(metric.unit, 20)
    if metric.reference == "champion":
        return bracketed(metric)
    if metric.lower is not None and metric.upper is not None:
        own = metric.max if metric.min is None else metric.min
        return f"[{quantity_bounds(metric.lower, metric.upper, unit, own)}]"
    return f"{metric.evaluated:,} of {plural(metric.expected, 'pair')} valid" if metric.errors else "–"
