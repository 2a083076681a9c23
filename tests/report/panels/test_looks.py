"""The panel of looks, and what reports say of cases that were never asked."""

from __future__ import annotations

from dataclasses import replace

from support.records import make_case, make_decision, make_record, make_result

from llmgate.gate.decision.look_types import LookBounds, LookDecision
from llmgate.record.looks import Stop
from llmgate.report.panels.looks import asked_of, look_panel, saved_by, stop_notices
from llmgate.report.pieces import State

BOUNDS = LookBounds(metric="accuracy", alpha=0.05, fractions=(0.5, 1.0), z=(2.373, 1.678), looks=(1, 3))
STOPPED = LookDecision(
    suite="support",
    look=1,
    seed=7,
    cases=(2, 3, 4),
    saved=2,
    stopped=True,
    reason="every gating metric passes",
    bounds=(BOUNDS,),
)


def test_a_stop_is_shown_with_its_bounds_and_what_it_saved() -> None:
    panel = look_panel([STOPPED])
    assert panel.tag == "2 generations saved"
    assert "support: seed 7" in panel.lead
    assert not panel.serious
    assert [row.cells for row in panel.rows] == [
        ("support::accuracy", "1 of 3", "2", "50 %", "2.37", "stopped: every gating metric passes"),
        ("support::accuracy", "3 of 3", "4", "100 %", "1.68", "not needed"),
    ]
    assert [row.state for row in panel.rows] == [State.PASS, None]


def test_a_fail_and_an_unexplained_stop_look_like_what_they_are() -> None:
    failed = look_panel([replace(STOPPED, reason="accuracy fails")])
    assert failed.rows[0].state is State.FAIL
    unexplained = look_panel([replace(STOPPED, reason="", saved=0)])
    assert unexplained.serious
    assert unexplained.rows[0].cells[-1] == "stopped, without a reason in the results"
    assert unexplained.rows[0].state is State.INCONCLUSIVE
    assert unexplained.rows[1].cells[-1] == "not taken"


def test_a_run_to_the_end_says_so() -> None:
    panel = look_panel([replace(STOPPED, look=3, stopped=False, reason="", saved=0)])
    assert panel.tag == "planned before the run"
    assert [row.cells[-1] for row in panel.rows] == ["went on", "all cases asked"]


def test_cases_that_a_confirmed_stop_left_out_are_no_errors() -> None:
    cases = [make_case(case) for case in "abcd"]
    record = make_record(results=[make_result("a"), make_result("b")], cases=cases)
    decision = replace(make_decision(candidate=record), looks=(STOPPED,))
    assert [case.case for case in asked_of(record, decision).cases] == ["a", "b"]
    assert saved_by(decision) == ", 2 cases not asked"
    unconfirmed = replace(decision, looks=(replace(STOPPED, reason=""),))
    assert asked_of(record, unconfirmed) is record
    assert saved_by(unconfirmed) == ""
    assert [notice.serious for notice in stop_notices(record, None, decision)] == [False]
    assert [notice.serious for notice in stop_notices(record, None, unconfirmed)] == [True]


def test_a_champion_that_stopped_is_named() -> None:
    record = make_record()
    assert record.seal is not None
    early = replace(record.seal, stops=(Stop(suite="support", look=1, reason="every gating metric passes"),))
    champion = replace(make_record(run_id="run-champion"), seal=early)
    said = [notice.text for notice in stop_notices(record, champion, make_decision(candidate=record))]
    assert said == ["The champion's run of support stopped early; run it with --no-stopping."]
