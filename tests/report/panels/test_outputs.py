"""The panel on how answers look: every number in words, watched traits marked, gating ones with their verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.records import make_decision, make_metric, make_record

from llmgate.gate.decision.types import Decision, MetricDecision, OutputDrift, Verdict
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Role
from llmgate.report.formats.html import render_html
from llmgate.report.formats.markdown import render_markdown
from llmgate.report.panels.metrics import metric_row
from llmgate.report.panels.outputs import outputs_panel
from llmgate.report.pieces import State
from llmgate.report.view import build_view

REFUSALS = OutputDrift(
    suite="support", trait=OutputFeature.REFUSALS, role=Role.WATCH, champion=0.02, candidate=0.025, change=0.005, lower=-0.01,
    upper=0.02, p=0.6, changed=5, evaluated=200, expected=200,
)  # fmt: skip
LENGTH = OutputDrift(
    suite="support", trait=OutputFeature.LENGTH, role=Role.GUARDRAIL, verdict=Verdict.PASS, champion=100.0, candidate=104.0,
    change=0.04, lower=0.01, upper=0.08, p=0.01, changed=190, evaluated=200, expected=200,
)  # fmt: skip
DISTANCE = OutputDrift(
    suite="support", trait=OutputFeature.EMBEDDINGS, role=Role.WATCH, change=0.0123, usual=0.0111, p=0.3, changed=180,
    evaluated=199, expected=200, why="1 of 200 answers have no embedding on both sides",
)  # fmt: skip
DRIFT_LENGTH = replace(
    make_metric(Verdict.PASS, metric="drift-length", role=Role.GUARDRAIL, margin=0.2),
    two_sided=True, candidate=None, champion=None, delta=0.04, lower=0.01, upper=0.08,
)  # fmt: skip


CANDIDATE = make_record()
CHAMPION = make_record(run_id="run-champion")


def decision(*outputs: OutputDrift, length: MetricDecision = DRIFT_LENGTH) -> Decision:
    found = make_decision(Verdict.PASS, candidate=CANDIDATE, champion=CHAMPION, metrics=[make_metric(), length])
    return replace(found, outputs=outputs)


def test_the_lead_says_all_of_it_in_one_sentence() -> None:
    panel = outputs_panel(decision(REFUSALS, LENGTH, DISTANCE))
    assert panel.lead.startswith(
        "Refusals 2.0 % → 2.5 %; length ×1.04 (1.01 to 1.08); energy distance 0.012 (0.011 if nothing had changed), p = 0.3."
    )
    assert "1 of 20 unchanged models" in panel.lead
    assert not panel.serious


def test_rows_have_every_number_and_a_finding() -> None:
    rows = outputs_panel(decision(REFUSALS, LENGTH, DISTANCE)).rows
    assert [row.cells for row in rows] == [
        ("refusals", "2.0 %", "2.5 %", "+0.5", "−1.0 to +2.0", "0.6", "200 of 200", "watched; no change shown"),
        ("length, in characters", "100", "104", "×1.04", "1.01 to 1.08", "0.01", "200 of 200", "PASS"),
        ("energy distance", "–", "–", "0.012", "–", "0.3", "199 of 200",
         "watched; no change shown; 1 of 200 answers have no embedding on both sides"),
    ]  # fmt: skip
    assert [row.state for row in rows] == [None, State.PASS, None]


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"p": 0.05}, "watched; changed"),
        ({"p": None, "lower": 0.001}, "watched; changed"),
        ({"p": None, "upper": -0.001, "lower": -0.01}, "watched; changed"),
        ({"p": None}, "watched; no change shown"),
        ({"change": None, "why": "too old"}, "watched; not compared: too old"),
    ],
)
def test_a_watched_trait_is_marked_where_it_changed(changes: dict[str, Any], finding: str) -> None:
    assert outputs_panel(decision(replace(REFUSALS, **changes))).rows[0].cells[-1] == finding


def test_a_gating_trait_that_fails_is_part_of_why() -> None:
    lost, failed = replace(LENGTH, verdict=Verdict.FAIL), replace(DRIFT_LENGTH, verdict=Verdict.FAIL)
    panel = outputs_panel(decision(lost, length=failed))
    assert panel.serious
    assert (panel.rows[0].state, panel.rows[0].cells[-1]) == (State.FAIL, "FAIL")
    waived = outputs_panel(decision(lost, length=replace(failed, waived=True)))
    assert not waived.serious
    assert (waived.rows[0].state, waived.rows[0].cells[-1]) == (State.INCONCLUSIVE, "FAIL, waived")


def test_several_suites_are_told_apart() -> None:
    panel = outputs_panel(decision(REFUSALS, replace(REFUSALS, suite="<b>other</b>")))
    assert "support: refusals 2.0 %" in panel.lead.lower()
    assert panel.rows[1].cells[0] == "<b>other</b>: refusals"


def test_length_among_the_metrics_is_a_factor() -> None:
    row = metric_row(DRIFT_LENGTH)
    assert (row.champion, row.candidate, row.difference) == ("–", "×1.04", "×1.04")
    assert (row.bounds, row.limit) == ("×1.01 to ×1.08", "tolerance a factor of 1.2")
    assert (row.interval, row.changes) == (None, "")


def test_every_format_shows_the_panel() -> None:
    view = build_view(CANDIDATE, CHAMPION, decision(replace(REFUSALS, suite="<i>"), LENGTH, DISTANCE))
    markdown, html = render_markdown(view), render_html(view)
    assert "<summary>Output drift</summary>" in markdown
    assert "energy distance" in html
    assert "<i>: refusals" not in html
    assert build_view(CANDIDATE, CHAMPION, decision()).panels == ()
