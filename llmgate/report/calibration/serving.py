"""The calibration's tables on serving."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from llmgate.gate.calibration.results import ServingRule, Truth
from llmgate.report.calibration.sheet import Sheet
from llmgate.report.words import count, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from llmgate.gate.calibration.results import Cell, ServingCalibrationRow

__all__ = ["serving_json", "serving_sheets"]

TRUTHS = (Truth.FASTER, Truth.UNCHANGED, Truth.MARGIN, Truth.SLOWER)


def serving_sheets(rows: Sequence[ServingCalibrationRow]) -> tuple[Sheet, ...]:
    """The tables of the serving rule; those without rows are not left out yet.

    Args:
        rows: What was found, in the order in which it was tried.
    """
    margin, alpha = (percent(rows[0].margin, 0), percent(rows[0].alpha, 0)) if rows else ("", "")
    runs = count(max(cell.runs for row in rows for cell in row.cells)) if rows else ""
    own = [row for row in rows if row.rule is ServingRule.GATE]
    plain = [row for row in own if row.asked and not row.sized]
    order = plain[0].order if plain else ""
    slow = [cell.pass_rate for row in plain if (cell := row.cell(Truth.SLOWER)) is not None]
    missed = percent(max(slow, default=None))
    compared = [row for row in own if not row.asked]
    # What the other orders are held against: the same noise and size in the gate's order.
    against = {(row.noise, row.cv, row.pairs) for row in compared}
    beside = [row for row in plain if (row.noise, row.cv, row.pairs) in against] if compared else []
    sized = [row for row in rows if row.sized]
    losses = f"+5 / 0 / −{margin.removesuffix(' %')} / −8"
    return (
        Sheet(
            id="serving",
            title="The gate on simulated serving",
            lead=f"Margin {margin}, {alpha} per side, {runs} measurements per figure. The unit is a pair of "
            f"neighbouring runs, and which arm goes first is {order}. Bursts of a neighbour slow a quarter of the runs "
            "by 2 to 50 %; made again are pairs in which more than 5 % of the machine was seen to go to others. "
            f"One that is 8 % slower passed in at most {missed} of any row.",
            header=(
                "what disturbs the runs",
                "runs vary by",
                "pairs",
                "FAIL % at 0",
                f"PASS % at −{margin.removesuffix(' %')}",
                "PASS % at 0",
                "FAIL % at −8",
            ),
            rows=tuple(_grouped(plain)),
        ),
        Sheet(
            id="serving-pairs",
            title="Pairs of runs that power asks for, and rules of others on them",
            lead="So many pairs find a slowdown of 8 % four times out of five, says llmgate power; in brackets what it "
            "promises. Rules of others decide on the same runs; nothing is asked of them. Mann-Whitney ranks 64 "
            "requests of each run.",
            header=("rule", "runs vary by", "pairs", f"PASS % at {losses}", f"FAIL % at {losses}"),
            rows=tuple((str(row.rule), percent(row.cv, 0), str(row.pairs), *_both(row)) for row in sized),
        ),
        Sheet(
            id="serving-order",
            title="Why the order of runs is drawn for each pair",
            lead="The same rule on runs that are made in other orders; which arm is first of all is drawn everywhere. "
            "Nothing is asked of orders that the gate does not use.",
            header=("order", "what disturbs the runs", "runs vary by", "pairs", "FAIL % at 0", "PASS % at the margin"),
            rows=tuple(
                (row.order, row.noise, percent(row.cv, 0), str(row.pairs), *_errors(row))
                for row in (*beside, *compared)
            ),
        ),
    )


def serving_json(row: ServingCalibrationRow) -> dict[str, Any]:
    """A row for programs, without its cells.

    Args:
        row: What was found.
    """
    fields = asdict(row)
    del fields["cells"]
    return fields


def _grouped(rows: Iterable[ServingCalibrationRow]) -> Iterator[tuple[str, ...]]:
    """A line per noise and spread, with the figures of all sizes in one cell."""
    groups: dict[tuple[str, float], list[ServingCalibrationRow]] = {}
    for row in rows:
        groups.setdefault((row.noise, row.cv), []).append(row)

    for (noise, cv), alike in groups.items():
        unchanged, margin, slower = ([row.cell(truth) for row in alike] for truth in TRUTHS[1:])
        yield (
            noise,
            percent(cv, 0),
            " / ".join(str(row.pairs) for row in alike),
            _rates(unchanged, lambda cell: cell.fail_rate),
            _rates(margin, lambda cell: cell.pass_rate),
            # Errors are told exactly; power to a whole per cent is enough.
            _rates(unchanged, lambda cell: cell.pass_rate, digits=0),
            _rates(slower, lambda cell: cell.fail_rate, digits=0),
        )


def _both(row: ServingCalibrationRow) -> tuple[str, str]:
    cells = [row.cell(truth) for truth in TRUTHS]
    passes, fails = _rates(cells, lambda cell: cell.pass_rate), _rates(cells, lambda cell: cell.fail_rate)
    unchanged, slower = row.cell(Truth.UNCHANGED), row.cell(Truth.SLOWER)
    return _promised(passes, unchanged), _promised(fails, slower)


def _promised(text: str, cell: Cell | None) -> str:
    return text if cell is None or cell.promised is None else f"{text} ({100 * cell.promised:.0f})"


def _errors(row: ServingCalibrationRow) -> tuple[str, str]:
    unchanged, margin = row.cell(Truth.UNCHANGED), row.cell(Truth.MARGIN)
    return _rates([unchanged], lambda cell: cell.fail_rate), _rates([margin], lambda cell: cell.pass_rate)


def _rates(cells: Iterable[Cell | None], rate: Callable[[Cell], float], *, digits: int = 1) -> str:
    return " / ".join("–" if cell is None else f"{100 * rate(cell):.{digits}f}" for cell in cells)
