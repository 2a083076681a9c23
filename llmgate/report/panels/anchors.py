"""Judges, held against verdicts that were stored earlier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.judges.anchors import DRIFT_ALPHA
from llmgate.report.pieces import State
from llmgate.report.rows import Panel, PanelRow, columns
from llmgate.report.visible import one_line
from llmgate.report.words import p_value, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.judge_types import JudgeDrift

__all__ = ["anchors_panel"]


def anchors_panel(drifts: Sequence[JudgeDrift]) -> Panel:
    """One row for each run whose judges judged anchors again."""
    return Panel(
        id="anchors",
        title="Judges, held against their anchors",
        tag="answers with a stored verdict, judged again in each run",
        lead=(
            "A judge that changed since the anchors were frozen cannot gate. P-values are two-sided (McNemar, mid-p); a"
            f" judge that did not change is called drifted in about {percent(DRIFT_ALPHA, 0)} of runs."
        ),
        columns=(
            *columns("Run"),
            *columns("Anchors", "Turned to pass", "Turned to fail", "No verdict", "p", number=True),
            *columns("Finding"),
        ),
        rows=tuple(
            PanelRow(
                cells=(
                    drift.side,
                    f"{drift.anchors:,}",
                    f"{drift.to_pass:,}",
                    f"{drift.to_fail:,}",
                    f"{drift.lost:,}",
                    p_value(drift.p),
                    one_line(f"drifted: {drift.drifted}" if drift.drifted else "no drift shown", 300),
                ),
                state=State.FAIL if drift.drifted else None,
            )
            for drift in drifts
        ),
        serious=any(drift.drifted for drift in drifts),
    )
