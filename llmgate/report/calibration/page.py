"""What the calibration harness found, as one HTML file with drawings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmgate.gate.calibration.results import Cell, DecisionRule, Truth
from llmgate.report.axis import Axis, Tick
from llmgate.report.calibration.tables import calibration_sentence, facts, sheets
from llmgate.report.html_page import render_page
from llmgate.report.visible import visible
from llmgate.report.words import count, percent
from llmgate.stats.proportion import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from llmgate.gate.calibration.results import Calibration, CalibrationRow
    from llmgate.report.calibration.tables import CalibrationOrigin

__all__ = ["Dot", "Drawing", "calibration_page", "drawings"]

_TAIL = 0.025
"""Bars are 95 % intervals."""
_SERVING_DRAWN = (0.05, 8)
"""How much runs vary, and pairs, of the rows that are drawn; all are in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One rate with its interval: positions in percent of the drawing's width.

    Attributes:
        name: What was measured.
        where: On what.
        lower: Left end of the interval.
        upper: Right end.
        point: The rate.
        promised: The rate that was promised, None where nothing was.
        good: Whether it is what it should be.
        text: The rate in words.
        detail: More in words.
    """

    name: str
    where: str
    lower: float
    upper: float
    point: float
    promised: float | None = None
    good: bool
    text: str
    detail: str

    @property
    def state(self) -> str:
        """Style class."""
        return "pass" if self.good else "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Rates on one axis.

    Attributes:
        id: For links.
        title: Its heading.
        caption: How to read it.
        dots: Top to bottom.
        ticks: Marks of the axis.
        limit: Position of the limit, None without one.
    """

    id: str
    title: str
    caption: str
    dots: tuple[Dot, ...]
    ticks: tuple[Tick, ...]
    limit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rate:
    """What becomes a dot."""

    name: str
    where: str
    cell: Cell
    good: bool


def drawings(calibration: Calibration) -> tuple[Drawing, ...]:
    """What is drawn, those without a rate left out."""
    own = [row for row in calibration.rows if row.rule in {DecisionRule.GATE, DecisionRule.LOOKS}]
    unmet = {(requirement.what, requirement.where) for requirement in calibration.unmet}
    caption = (
        "Share of data sets, in percent, with 95 % intervals. It should lie in the shaded zone, at"
        f" {percent(calibration.alpha, 0)} or less."
    )
    limited = (
        ("blocked", "An unchanged model is blocked", Truth.UNCHANGED, "an unchanged model fails"),
        ("lost", "A lost margin passes", Truth.MARGIN, "a lost margin passes"),
    )
    drawn = [
        _rates(
            name,
            title,
            caption,
            [
                _Rate(name=_name(row), where=_where(row), cell=cell, good=(what, row.name) not in unmet)
                for row in own
                if (cell := row.cell(truth)) is not None
            ],
            limit=calibration.alpha,
            passes=truth is Truth.MARGIN,
        )
        for name, title, truth, what in limited
    ]
    off = "PASS of an unchanged model lies off its promise"
    promised = [
        _Rate(name=_name(row), where=_where(row), cell=cell, good=(off, row.name) not in unmet)
        for row in own
        if (cell := row.cell(Truth.UNCHANGED)) is not None and cell.promised is not None
    ]
    caption = (
        "PASS of an unchanged model, in percent: the dot is what was measured, the upright stroke what was promised."
    )
    drawn.append(_rates("promise", "What was promised is what happens", caption, promised, limit=None, passes=True))
    drawn.append(_compared(calibration))
    drawn += _serving(calibration, unmet)
    return tuple(drawing for drawing in drawn if drawing is not None)


def calibration_page(calibration: Calibration, origin: CalibrationOrigin) -> str:
    """One self-contained HTML document: see `render_page`.

    Args:
        calibration: What was found.
        origin: How.
    """
    return render_page(
        "calibration.html.j2",
        calibration=calibration,
        created_at=origin.created_at,
        sentence=calibration_sentence(calibration).partition(": ")[2],
        highlights=_highlights(calibration),
        drawings=drawings(calibration),
        sheets=[replace(sheet, rows=_shown(sheet.rows)) for sheet in sheets(calibration)],
        unmet=[visible(str(requirement)) for requirement in calibration.unmet],
        notes=[visible(note) for note in calibration.notes],
        facts=[(name, visible(value)) for name, value in facts(calibration, origin)],
    )


def _shown(rows: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(visible(cell) for cell in row) for row in rows)


def _highlights(calibration: Calibration) -> list[tuple[str, str, str]]:
    """The highest figure of each kind: label, value, detail."""
    labels = {
        "an unchanged model fails": "highest rate of false alarms",
        "a lost margin passes": "highest rate of lost margins that pass",
        "five lost points pass": "highest rate of five lost points that pass",
        "PASS of an unchanged model lies off its promise": "farthest from a promise",
        "serving: an unchanged model fails": "serving: highest rate of false alarms",
        "serving: a lost margin passes": "serving: highest rate of lost margins that pass",
    }
    highlights = []
    for what, label in labels.items():
        alike = [requirement for requirement in calibration.requirements if requirement.what == what]
        if alike:
            highest = max(alike, key=lambda requirement: requirement.found)
            detail = f"at most {percent(highest.limit, 0)} + {percent(highest.room)} simulation error"
            highlights.append((label, percent(highest.found), detail))
    return highlights


def _rates(
    name: str,
    title: str,
    caption: str,
    rates: Sequence[_Rate],
    *,
    limit: float | None,
    passes: bool,
) -> Drawing | None:
    if not rates:
        return None
    counted = [rate.cell.passed if passes else rate.cell.failed for rate in rates]
    bars = [clopper_pearson(n, rate.cell.runs, alpha=_TAIL) for rate, n in zip(rates, counted, strict=True)]
    shown = [rate.cell.promised for rate in rates if limit is None and rate.cell.promised is not None]
    axis = _axis([*(bar.upper for bar in bars), *shown, limit or 0.0])
    dots = tuple(
        Dot(
            name=rate.name,
            where=rate.where,
            lower=axis.at(100 * bar.lower),
            upper=axis.at(100 * bar.upper),
            point=axis.at(100 * bar.estimate),
            promised=axis.at(100 * promise) if limit is None and promise is not None else None,
            good=rate.good,
            text=percent(bar.estimate),
            detail=f"promised {percent(promise)}" if limit is None else f"of {count(rate.cell.runs)} data sets",
        )
        for rate, bar in zip(rates, bars, strict=True)
        for promise in (rate.cell.promised,)
    )
    at = None if limit is None else axis.at(100 * limit)
    return Drawing(id=name, title=title, caption=caption, dots=dots, ticks=axis.ticks(signed=False), limit=at)


def _serving(calibration: Calibration, unmet: Container[tuple[str, str]]) -> Iterator[Drawing | None]:
    """Both errors of the serving rule, at one size and spread: what disturbs the runs is what differs."""
    asked = [row for row in calibration.serving if row.asked and not row.sized]
    chosen = [row for row in asked if (row.cv, row.pairs) == _SERVING_DRAWN]
    if not chosen:
        return
    size = f"{chosen[0].pairs} pairs of runs, runs vary by {percent(chosen[0].cv, 0)}"
    kinds = (
        ("serving-blocked", "Serving: an unchanged model is blocked", Truth.UNCHANGED),
        ("serving-lost", "Serving: a lost margin passes", Truth.MARGIN),
    )
    for name, title, truth in kinds:
        what = "serving: an unchanged model fails" if truth is Truth.UNCHANGED else "serving: a lost margin passes"
        yield _rates(
            name,
            title,
            f"Share of measurements, in percent, with 95 % intervals, by what disturbs the runs; {size}. It should lie"
            f" in the shaded zone, at {percent(chosen[0].alpha, 0)} or less.",
            [
                _Rate(name=row.noise, where=f"{row.pairs} pairs", cell=cell, good=(what, row.name) not in unmet)
                for row in chosen
                if (cell := row.cell(truth)) is not None
            ],
            limit=chosen[0].alpha,
            passes=truth is Truth.MARGIN,
        )


def _compared(calibration: Calibration) -> Drawing | None:
    """Each rule's two errors over all designs that it was tried on: from the lowest to the highest."""
    errors = (
        (Truth.UNCHANGED, "an unchanged model is blocked"),
        (Truth.MARGIN, "a lost margin passes"),
    )
    ranges = []
    for rule in (DecisionRule.GATE, DecisionRule.MEAN_LOWER, DecisionRule.WALD):
        for truth, name in errors:
            cells = [cell for row in calibration.rows if row.rule is rule and (cell := row.cell(truth)) is not None]
            rates = [cell.fail_rate if truth is Truth.UNCHANGED else cell.pass_rate for cell in cells]
            if rates:
                ranges.append((rule, name, min(rates), max(rates), sum(rates) / len(rates), len(rates)))
    if len({rule for rule, *_ in ranges}) < 2:
        return None
    axis = _axis([calibration.alpha, *(highest for _, _, _, highest, _, _ in ranges)])
    dots = tuple(
        Dot(
            name=str(rule),
            where=name,
            lower=axis.at(100 * lowest),
            upper=axis.at(100 * highest),
            point=axis.at(100 * mean),
            good=rule is DecisionRule.GATE,
            text=f"{percent(lowest)} to {percent(highest)}",
            detail=f"over {count(number)} designs",
        )
        for rule, name, lowest, highest, mean, number in ranges
    )
    return Drawing(
        id="compared",
        title="Beside the rules of others",
        caption="Both errors of each rule on the same results, in percent: the bar runs from the design with the "
        "lowest rate to the one with the highest, the mark is their mean.",
        dots=dots,
        ticks=axis.ticks(signed=False),
        limit=axis.at(100 * calibration.alpha),
    )


def _axis(values: Iterable[float]) -> Axis:
    return Axis(low=0.0, high=min(100.0, 100 * max(values) * 1.08))


def _name(row: CalibrationRow) -> str:
    aside = ", 5 looks" if row.rule is DecisionRule.LOOKS else ", whole clusters" if row.clustered else ""
    return f"{row.source}{aside}"


def _where(row: CalibrationRow) -> str:
    return f"{count(row.pairs)} pairs, {percent(row.discordance, 0)} changed"
