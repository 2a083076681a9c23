"""The calibration's table on power."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.calibration.power import PowerRow
from llmgate.report.calibration.sheet import Sheet
from llmgate.report.words import count, percent, points

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.gate.calibration.results import FurtherRow

__all__ = ["power_sheets"]


def power_sheets(rows: Iterable[FurtherRow]) -> tuple[Sheet, ...]:
    """What power promised and what happened; without rows it is not left out yet.

    Args:
        rows: Of all kinds.
    """
    own = [row for row in rows if isinstance(row, PowerRow)]
    margin = points(own[0].margin) if own else ""
    return (
        Sheet(
            id="power",
            title="Power, and what then happens",
            lead=f"Margin {margin} points. The loss is the one that llmgate power says is found 80 % of the time; it "
            "is planted beside the flips that two equally good models have, so that it makes more pairs differ. Both "
            "figures lie within 3 points of what was promised, with clusters at most 3 points below.",
            header=("data", "pairs", "changed", "loss", "PASS % at 0 (promised)", "FAIL % at the loss (promised)"),
            rows=tuple(
                (
                    f"{row.source}, {row.design}",
                    count(row.pairs),
                    percent(row.discordance, 0),
                    points(round(row.loss, 3)),
                    f"{100 * row.found_pass:.1f} ({100 * row.promised_pass:.0f})",
                    f"{100 * row.found_fail:.1f} ({100 * row.promised_fail:.0f})",
                )
                for row in own
            ),
        ),
    )
