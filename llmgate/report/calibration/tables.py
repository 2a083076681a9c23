"""What the calibration harness found, as tables: for the terminal, as Markdown, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from llmgate.gate.calibration.results import SIMULATED, DecisionRule, Truth
from llmgate.report.calibration.attempts import attempt_sheets
from llmgate.report.calibration.baselines import baseline_sheets
from llmgate.report.calibration.clusters import cluster_sheets
from llmgate.report.calibration.labels import label_sheet
from llmgate.report.calibration.power import power_sheets
from llmgate.report.calibration.rounds import round_sheets
from llmgate.report.calibration.serving import serving_json, serving_sheets
from llmgate.report.calibration.sheet import Sheet
from llmgate.report.markdown_text import as_table, prose
from llmgate.report.visible import one_line, visible
from llmgate.report.words import count, percent, plural, points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from llmgate.gate.calibration.results import Calibration, CalibrationRow, Cell
    from llmgate.report.pieces import StyledLine

__all__ = [
    "FORMAT",
    "CalibrationOrigin",
    "calibration_json",
    "calibration_lines",
    "calibration_markdown",
    "calibration_sentence",
    "sheets",
]

FORMAT = "llmgate-calibration/1"

TRUTHS = (Truth.UNCHANGED, Truth.TWO_POINTS, Truth.MARGIN, Truth.FIVE_POINTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationOrigin:
    """How the figures came about, so that anybody can print them again.

    Attributes:
        version: Of llmgate.
        command: The command line.
        created_at: ISO 8601, UTC.
        data: Names and digests of the data sets.
    """

    version: str
    command: str
    created_at: str
    data: tuple[tuple[str, str], ...] = ()


def calibration_sentence(calibration: Calibration) -> str:
    """The outcome in one sentence."""
    asked, unmet = len(calibration.requirements), len(calibration.unmet)
    if not asked:
        return "NOT SHOWN: nothing was measured of which anything is asked."
    if unmet:
        return f"NOT SHOWN: {count(unmet)} of {plural(asked, 'requirement')} are not met."
    return f"SHOWN: all {plural(asked, 'requirement')} are met."


def sheets(calibration: Calibration) -> tuple[Sheet, ...]:
    """The tables of a run, those without rows left out."""
    margin = points(calibration.margin)
    losses = f"0 / −2 / −{margin} / −5"
    own = [row for row in calibration.rows if row.rule in {DecisionRule.GATE, DecisionRule.LOOKS}]
    tables = (
        Sheet(
            id="requirements",
            title="What a release must show",
            lead="Of each kind the figure that came closest to its limit, or farthest beyond it.",
            header=("requirement", "asked", "met", "found", "limit", "simulation error", "where"),
            rows=tuple(_closest(calibration)),
        ),
        Sheet(
            id="simulated",
            title="The gate on simulated results",
            lead=f"Right-or-wrong scores, margin {margin} points. PASS and FAIL in % of "
            f"{count(calibration.repetitions)} data sets each, where the candidate is truly unchanged or that many "
            "points worse; in brackets the published PASS of an unchanged model.",
            header=("rule", "pairs", "changed", f"PASS % at {losses}", f"FAIL % at {losses}", "cases used"),
            rows=tuple(_simulated(row) for row in own if row.source == SIMULATED),
        ),
        Sheet(
            id="real",
            title="The gate on real results",
            lead="Cases drawn from real paired results; the two systems' labels are swapped at random, so that nothing "
            "is better or worse, and then right answers are turned wrong until exactly that much is lost. In brackets "
            "the PASS that the gate prints beside its verdicts.",
            header=("data", "pairs", "changed", "compared", f"PASS % at {losses}", f"FAIL % at {losses}"),
            rows=tuple(_real(row) for row in own if row.source != SIMULATED and row.cell(Truth.REAL_MARGIN) is None),
        ),
        Sheet(
            id="losses",
            title="Real losses",
            lead="Pairs of systems of which one is truly worse on the whole set; the margin is set to exactly that "
            "loss, and cases are drawn. Nothing is planted. PASS should be 5 % or less.",
            header=("data", "pairs", "compared", "PASS %", "worst comparison"),
            rows=tuple(_losses(row) for row in own if row.cell(Truth.REAL_MARGIN) is not None),
        ),
        Sheet(
            id="others",
            title="Rules of others on the same results",
            lead="For comparison; nothing is asked of them.",
            header=("rule", "data", "pairs", "changed", f"PASS % at {losses}", f"FAIL % at {losses}"),
            rows=tuple(
                (str(row.rule), row.source, count(row.pairs), percent(row.discordance, 0), *_both(row))
                for row in calibration.rows
                if row not in own
            ),
        ),
        *serving_sheets(calibration.serving),
        *power_sheets(calibration.further),
        *cluster_sheets(calibration.further),
        *baseline_sheets(calibration.further),
        *round_sheets(calibration.further),
        *attempt_sheets(calibration.further),
        label_sheet(calibration.further),
    )
    return tuple(sheet for sheet in tables if sheet.rows)


def calibration_lines(calibration: Calibration) -> list[StyledLine]:
    """The tables for a terminal, what is not met by name, and the sentence last."""
    lines: list[StyledLine] = []
    for sheet in sheets(calibration):
        lines += [(sheet.title, "strong"), *((line, "plain") for line in _aligned(sheet)), ("", "plain")]
    lines += [(f"left out: {one_line(note, 600)}", "warn") for note in calibration.notes]
    lines += [(f"not met: {one_line(str(requirement), 600)}", "bad") for requirement in calibration.unmet]
    lines.append((calibration_sentence(calibration), "good" if calibration.met else "bad"))
    return lines


def calibration_markdown(calibration: Calibration, origin: CalibrationOrigin) -> str:
    """The tables as Markdown.

    Args:
        calibration: What was found.
        origin: How.

    Returns:
        Text that ends with a line feed.
    """
    parts = ["# Calibration of the gate\n", f"**{calibration_sentence(calibration)}**\n"]
    if calibration.unmet:
        parts.append("".join(f"- not met: {_plain(str(requirement))}\n" for requirement in calibration.unmet))
    parts.append("".join(f"- {name}: {_plain(value)}\n" for name, value in facts(calibration, origin)))
    for sheet in sheets(calibration):
        parts.append(f"## {sheet.title}\n\n{sheet.lead}\n")
        parts.append(as_table(sheet.header, (tuple(map(_plain, row)) for row in sheet.rows), figures=True))
    if calibration.notes:
        parts.append("## Left out\n\n" + "".join(f"- {_plain(note)}\n" for note in calibration.notes))
    return "\n".join(parts)


def facts(calibration: Calibration, origin: CalibrationOrigin) -> list[tuple[str, str]]:
    """How the figures came about, by name."""
    run = [
        ("command", origin.command),
        ("llmgate", origin.version),
        ("date", origin.created_at),
        ("seed", str(calibration.seed)),
        ("data sets per figure", count(calibration.repetitions) + (" (quick)" if calibration.quick else "")),
        ("margin", f"{points(calibration.margin)} points"),
        ("alpha", f"{percent(calibration.alpha, 0)} per side"),
    ]
    return [*run, *((f"sha256 of {name}", digest) for name, digest in origin.data)]


def calibration_json(calibration: Calibration, origin: CalibrationOrigin) -> str:
    """Everything that was found, for programs and release notes.

    Args:
        calibration: What was found.
        origin: How.
    """
    document = {
        "format": FORMAT,
        "llmgate": origin.version,
        "command": origin.command,
        "created_at": origin.created_at,
        "data": [{"name": name, "sha256": digest} for name, digest in origin.data],
        "seed": calibration.seed,
        "repetitions": calibration.repetitions,
        "quick": calibration.quick,
        "margin": calibration.margin,
        "alpha": calibration.alpha,
        "met": calibration.met,
        "requirements": [asdict(requirement) | {"met": requirement.met} for requirement in calibration.requirements],
        "rows": [_row_json(row) for row in calibration.rows],
        "serving": [serving_json(row) | {"cells": [_cell_json(c) for c in row.cells]} for row in calibration.serving],
        "further": [{"kind": type(row).__name__, **row.to_json()} for row in calibration.further],
        "notes": list(calibration.notes),
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _row_json(row: CalibrationRow) -> dict[str, Any]:
    fields = asdict(row) | {"cells": [_cell_json(cell) for cell in row.cells]}
    del fields["clustered"]
    return fields


def _cell_json(cell: Cell) -> dict[str, Any]:
    worst = None if cell.worst is None else {"comparison": cell.worst[0], "rate": cell.worst[1]}
    return {
        "truth": str(cell.truth),
        "loss": cell.loss,
        "runs": cell.runs,
        "passed": cell.passed,
        "failed": cell.failed,
        "pass_rate": cell.pass_rate,
        "fail_rate": cell.fail_rate,
        "promised": cell.promised,
        "used": cell.used,
        "worst": worst,
    }


def _closest(calibration: Calibration) -> Iterator[tuple[str, ...]]:
    for what in dict.fromkeys(requirement.what for requirement in calibration.requirements):
        alike = [requirement for requirement in calibration.requirements if requirement.what == what]
        worst = max(alike, key=lambda asked: (not asked.met, asked.found - asked.limit - asked.room))
        yield (
            what,
            count(len(alike)),
            count(sum(requirement.met for requirement in alike)),
            percent(worst.found, 2),
            percent(worst.limit, 0),
            percent(worst.room, 2),
            worst.where,
        )


def _simulated(row: CalibrationRow) -> tuple[str, ...]:
    used = " / ".join(f"{100 * cell.used:.0f}" for cell in row.cells if cell.used is not None)
    return (str(row.rule), count(row.pairs), percent(row.discordance, 0), *_both(row), f"{used} %" if used else "all")


def _real(row: CalibrationRow) -> tuple[str, ...]:
    name = f"{row.source}, {row.scores}"
    return (name, count(row.pairs), percent(row.discordance, 0), count(row.comparisons), *_both(row))


def _losses(row: CalibrationRow) -> tuple[str, ...]:
    cell = row.cell(Truth.REAL_MARGIN)
    worst = cell.worst if cell is not None else None
    name = f"{row.source}, {row.scores}"
    shown = "–" if worst is None else f"{percent(worst[1])} ({worst[0]})"
    return (name, count(row.pairs), count(row.comparisons), _rates([cell], lambda c: c.pass_rate), shown)


def _both(row: CalibrationRow) -> tuple[str, str]:
    cells = [row.cell(truth) for truth in TRUTHS]
    passes, fails = (_rates(cells, rate) for rate in (lambda c: c.pass_rate, lambda c: c.fail_rate))
    promised = cells[0].promised if cells[0] is not None else None
    return f"{passes} ({100 * promised:.0f})" if promised is not None else passes, fails


def _rates(cells: Iterable[Cell | None], rate: Callable[[Cell], float]) -> str:
    return " / ".join("–" if cell is None else f"{100 * rate(cell):.1f}" for cell in cells)


def _aligned(sheet: Sheet) -> Iterator[str]:
    lines = [sheet.header, *(tuple(map(one_line, row)) for row in sheet.rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(sheet.header))]
    for line in lines:
        first, *others = (
            cell.ljust(width) if i == 0 or i == len(widths) - 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join((f"  {first}", *others)).rstrip()


def _plain(text: str) -> str:
    return prose(visible(text))
