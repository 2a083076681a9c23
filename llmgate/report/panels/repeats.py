"""Several answers to the same case, as panels: what repeats buy, and which cases are flaky."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.report.rows import Column, Panel, PanelRow
from llmgate.report.visible import one_line
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
    if any(one.flaky for one in repeats):
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
            Column(title="Metric"),
            Column(title="Answers a case", number=True),
            Column(title="Between cases", number=True),
            Column(title="Within a case", number=True),
            Column(title="Champion, within", number=True),
            Column(title="Scores that flip", number=True),
            Column(title="Texts that differ", number=True),
            Column(title="One repeat more", number=True),
        ),
        rows=tuple(
            PanelRow(
                cells=(
                    one_line(f"{one.suite}::{one.metric}", 240),
                    count(one.repeats),
                    _deviation(one.between),
                    _deviation(one.within),
                    "–" if one.champion_within is None else _deviation(one.champion_within),
                    percent(one.scores_flip),
                    percent(one.texts_flip),
                    "any number of cases" if one.one_more is None else f"{percent(one.one_more, 0)} more cases",
                )
            )
            for one in repeats
        ),
    )


def _flaky(repeats: Sequence[RepeatDecision], most: int) -> Panel:
    rows = [_row(one, case) for one in repeats for case in one.named]
    total = sum(one.flaky for one in repeats)
    counts = ", ".join(
        f"{one_line(f'{one.suite}::{one.metric}', 120)} {one.flaky:,} of {plural(one.cases, 'case')}"
        for one in repeats
        if one.flaky
    )
    return Panel(
        id="flaky-cases",
        title="Flaky cases",
        tag="the same model, asked again, got another score",
        lead=f"Their answers got different scores, the most divided first: {counts}.",
        columns=(Column(title="Case"), Column(title="Metric"), Column(title="Scores of its answers")),
        rows=tuple(rows[:most]),
        left_out=total - min(len(rows), most),
    )


def _row(one: RepeatDecision, case: FlakyCase) -> PanelRow:
    scores = ", ".join(percent(score, 0) for score in case.scores[:SCORES_SHOWN])
    more = len(case.scores) - SCORES_SHOWN
    return PanelRow(
        cells=(
            one_line(f"{one.suite}::{case.case}", 240),
            one_line(one.metric, 120),
            f"{scores} and {more} more" if more > 0 else scores,
        )
    )


def _deviation(variance: float) -> str:
    """As a standard deviation, in per cent of the score range."""
    return percent(math.sqrt(variance))
