"""How often a judge preferred the candidate's answer to another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.metrics.label_corrected import JUDGE_ALONE
from llmgate.report.pieces import State
from llmgate.report.rows import Panel, PanelRow, columns
from llmgate.report.visible import full_name, one_line
from llmgate.report.words import percent, points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.judge_types import PreferenceDecision

__all__ = ["preferences_panel"]


def preferences_panel(preferences: Sequence[PreferenceDecision]) -> Panel:
    """One row for each metric of preferences."""
    return Panel(
        id="preferences",
        title="Preferences",
        tag=JUDGE_ALONE,
        lead=(
            "How often a judge preferred the candidate's answer to another one, asked in both orders. A tie counts"
            " half, and so do orders that contradict each other; 50 % means no preference."
        ),
        columns=(
            *columns("Metric"),
            *columns("Wins", "Ties", "Losses", "No verdict", "Win rate", "Bounds", number=True),
            *columns("Method"),
        ),
        rows=tuple(_row(preference) for preference in preferences),
    )


def _row(preference: PreferenceDecision) -> PanelRow:
    bounds = "–"
    if preference.lower is not None and preference.upper is not None:
        level = f"{points(1 - preference.alpha)} % each side"
        bounds = f"{percent(preference.lower)} to {percent(preference.upper)} ({level})"
    return PanelRow(
        cells=(
            full_name(preference.suite, preference.metric),
            f"{preference.wins:,}",
            f"{preference.ties:,}",
            f"{preference.losses:,}",
            f"{preference.lost:,}",
            percent(preference.rate),
            bounds,
            one_line(preference.method, 200),
        ),
        state=State.NOT_EVALUATED if preference.lost else None,
    )
