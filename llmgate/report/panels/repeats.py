"""Several answers to the same case, as panels: what repeats buy, and which cases are flaky."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.report.rows import Panel, PanelRow, columns
from llmgate.report.visible import full_name, one_line
from llmgate.report.words import count, percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.decision.types import FlakyCase, RepeatDecision

__all__ = ["repeat_panels"]

SCORES_SHOWN = 10


def repeat_panels(repeats: Sequence[RepeatDecision], *, most: int) -> Iterator[Panel]:
    """The panels of a run whose cases were answered several times.

    Args:
        repeats: One per metric.
        most: Flaky cases to show at most.
    """
    if repeats:
        yield _repeats(repeats)
    if any(metric.flaky for metric in repeats):
        yield _flaky(repeats, most)


def _repeats(repeats: Sequence[RepeatDecision]) -> Panel:
    return Panel(
        id="repeats",
        title="Repeats",
        tag="several answers to the same case",
        lead=(
            "How far cases differ from each other, how far the answers to one case do, and what one repeat more would"
            " be worth: it narrows the bounds as much as so many cases more."
        ),
        columns=(
            *columns("Metric"),
            *columns("Answers a case", "Between cases", "Within a case", "Champion, within", number=True),
            *columns("Scores that flip", "Texts that differ", "One repeat more", number=True),
        ),
        rows=tuple(
            PanelRow(
                cells=(
                    full_name(metric.suite, metric.metric),
                    count(metric.repeats),
                    _deviation(metric.between),
                    _deviation(metric.within),
                    "–" if metric.champion_within is None else _deviation(metric.champion_within),
                    percent(metric.scores_flip),
                    percent(metric.texts_flip),
                    "any number of cases" if metric.one_more is None else f"{percent(metric.one_more, 0)} more cases",
                )
            )
            for metric in repeats
        ),
    )


def _flaky(repeats: Sequence[RepeatDecision], most: int) -> Panel:
    rows = [_row(metric, case) for metric in repeats for case in metric.named]
    total = sum(metric.flaky for metric in repeats)
    counts = ", ".join(
        f"{full_name(metric.suite, metric.metric, 120)} {metric.flaky:,} of {plural(metric.cases, 'case')}"
        for metric in repeats
        if metric.flaky
    )
    return Panel(
        id="flaky-cases",
        title="Flaky cases",
        tag="the same model, asked again, got another score",
        lead=f"Their answers got different scores, the most divided first: {counts}.",
        columns=columns("Case", "Metric", "Scores of its answers"),
        rows=tuple(rows[:most]),
        left_out=total - min(len(rows), most),
    )


def _row(metric: RepeatDecision, case: FlakyCase) -> PanelRow:
    scores = ", ".join(percent(score, 0) for score in case.scores[:SCORES_SHOWN])
    more = len(case.scores) - SCORES_SHOWN
    return PanelRow(
        cells=(
            full_name(metric.suite, case.case),
            one_line(metric.metric, 120),
            f"{scores} and {more} more" if more > 0 else scores,
        )
    )


def _deviation(variance: float) -> str:
    """As a standard deviation, in per cent of the score range."""
    return percent(math.sqrt(variance))
