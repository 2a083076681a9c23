"""The calibration's table on trying again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from llmgate.report.calibration.sheet import Sheet
from llmgate.report.words import count, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.calibration.attempt_rows import AttemptRow

__all__ = ["attempt_sheet", "attempts_json"]

SHOWN: Final = (1, 3, 10)
"""Attempts of which the table tells."""


def attempt_sheet(rows: Sequence[AttemptRow]) -> Sheet:
    """The table; it may have no rows.

    Args:
        rows: What was found.
    """
    at = " / ".join(map(str, SHOWN))
    first = rows[0] if rows else None
    lead = (
        f"{percent(first.alpha, 0)} per side over all attempts, {percent(first.reserve, 0)} of it kept for those after"
        f" the first; {count(first.runs)} candidates per figure, each tried {SHOWN[-1]} times whatever the verdict."
        " In brackets each attempt on its own, as if there had been no other. r is what two attempts share."
        if first
        else ""
    )
    return Sheet(
        id="attempts",
        title="Trying again",
        lead=lead,
        header=(
            "scores",
            "pairs",
            "margin",
            "r",
            f"some PASS % at the margin, {at} attempts",
            f"some FAIL % at 0, {at}",
            f"some PASS % at 0, {at}",
        ),
        rows=tuple(
            (
                row.label,
                count(row.design.pairs),
                percent(row.margin, 0),
                f"{row.correlation:.2f}",
                _both(row.ledger.lost_passes, row.alone.lost_passes),
                _both(row.ledger.unchanged_fails, row.alone.unchanged_fails),
                _both(row.ledger.unchanged_passes, row.alone.unchanged_passes),
            )
            for row in rows
        ),
    )


def attempts_json(row: AttemptRow) -> dict[str, Any]:
    """Everything that was found of one design."""
    return asdict(row)


def _both(ledger: Sequence[float], alone: Sequence[float]) -> str:
    return f"{_rates(ledger)} ({_rates(alone)})"


def _rates(rates: Sequence[float]) -> str:
    return " / ".join(f"{100.0 * rates[k - 1]:.1f}" for k in SHOWN)
