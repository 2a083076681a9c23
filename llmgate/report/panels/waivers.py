"""Findings that somebody accepted until a date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.report.pieces import State
from llmgate.report.rows import Panel, PanelRow, columns
from llmgate.report.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.types import WaiverUse

__all__ = ["waivers_panel"]

STATES = {"applied": State.INCONCLUSIVE, "expired": State.FAIL, "no date": State.FAIL, "unused": None}


def waivers_panel(uses: Sequence[WaiverUse]) -> Panel:
    """One row for each waiver of the policy, used or not."""
    return Panel(
        id="waivers",
        title="Waivers",
        tag="findings that somebody accepted until a date",
        lead="A waiver that holds takes its finding out of the verdict; what could not be evaluated cannot be waived.",
        columns=columns("Finding", "Until", "By", "Reason", "Status"),
        rows=tuple(
            PanelRow(
                cells=(
                    one_line(use.target, 200),
                    one_line(use.until, 40),
                    one_line(use.by, 120),
                    one_line(use.reason, 400),
                    use.status,
                ),
                state=STATES[use.status],
            )
            for use in uses
        ),
        serious=any(use.status in {"applied", "expired"} for use in uses),
    )
