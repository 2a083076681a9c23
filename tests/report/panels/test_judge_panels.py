"""The panels about judges: win rates, and what became of anchors."""

from __future__ import annotations

from dataclasses import replace

from llmgate.gate.decision.judge_types import JudgeDrift, PreferenceDecision
from llmgate.report.panels.anchors import anchors_panel
from llmgate.report.panels.preferences import preferences_panel
from llmgate.report.pieces import State

LIKED = PreferenceDecision(
    suite="s",
    metric="liked",
    wins=30,
    ties=15,
    losses=20,
    lost=0,
    rate=0.577,
    lower=0.482,
    upper=0.667,
    alpha=0.05,
    method="score interval of wins and losses",
)
STEADY = JudgeDrift(side="candidate", digest="d", anchors=200, to_pass=1, to_fail=2, lost=0, p=0.625)


def test_win_rates_are_called_a_judges() -> None:
    panel = preferences_panel((LIKED,))
    assert panel.tag == "judge score, not human quality"
    (row,) = panel.rows
    assert row.cells[:5] == ("s::liked", "30", "15", "20", "0")
    assert "57.7" in row.cells[5]
    assert "48.2" in row.cells[6]
    assert "95 % each side" in row.cells[6]
    assert row.state is None


def test_a_win_rate_that_is_undefined_or_lost_verdicts() -> None:
    unknown = replace(LIKED, rate=None, lower=None, upper=None, lost=3, method="all 5 items belong to one cluster")
    panel = preferences_panel((unknown,))
    assert panel.rows[0].cells[4:] == ("3", "–", "–", "all 5 items belong to one cluster")
    assert panel.rows[0].state is State.NOT_EVALUATED


def test_a_drifted_judge_is_serious() -> None:
    drifted = replace(STEADY, side="champion", to_pass=12, p=0.013, drifted="of 200 anchors 12 turned to pass")
    calm = anchors_panel((STEADY,))
    assert not calm.serious
    assert calm.rows[0].cells[-1] == "no drift shown"
    panel = anchors_panel((STEADY, drifted))
    assert panel.serious
    assert [row.state for row in panel.rows] == [None, State.FAIL]
    assert panel.rows[1].cells[-1] == "drifted: of 200 anchors 12 turned to pass"
