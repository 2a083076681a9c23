from __future__ import annotations

import unicodedata

import pytest
from support.hostile import HOSTILE
from support.records import make_decision, make_record
from support.reports import LOOKS, hostile_view, look

from llmgate.gate.decision.types import Verdict
from llmgate.report.terminal.decision import terminal_lines
from llmgate.report.view import build_view


@pytest.mark.parametrize(
    ("name", "first", "style"),
    [
        ("pass", "PASS: support-bot v8 against support-bot v7", "good"),
        ("fail", "FAIL: support-bot v8 against support-bot v7", "bad"),
        ("inconclusive", "INCONCLUSIVE: support-bot v8 against support-bot v7", "warn"),
        ("not-evaluated", "INCONCLUSIVE (could not be evaluated): support-bot v8 against support-bot v7", "bad"),
        ("no-champion", "PASS: support-bot v8", "good"),
    ],
)
def test_the_verdict_comes_first(name: str, first: str, style: str) -> None:
    assert terminal_lines(look(name))[0] == (first, style)
    assert terminal_lines(look(name))[1] == (look(name).sentence, "strong")


def test_a_metric_is_one_line() -> None:
    assert (
        "  FAIL          support::accuracy  91.0 % → 85.8 %, −5.2 points (−8.1 to −2.4, 95 % each side), tolerance 3; "
        "300 of 300 cases; 19 better, 22 worse [primary]",
        "bad",
    ) in terminal_lines(look("fail"))


def test_a_watched_metric_does_not_shout() -> None:
    (watched,) = [line for line in terminal_lines(look("inconclusive")) if "never gates" in line[0]]
    assert watched[1] == "dim"


def test_what_was_not_evaluated_is_told_with_its_cause() -> None:
    lines = dict(terminal_lines(look("not-evaluated")))
    assert lines["The candidate's run did not finish: 4 of 6 planned answers exist."] == "bad"
    assert lines["  not evaluated  support: 4 of 6 cases were not evaluated. Resume the run"] == "bad"
    assert lines["  1 answer of the candidate not evaluated: icontains: the judge's reply was not JSON"] == "bad"
    assert any(text.startswith("  INVALID") and "180 ms of lag" in text for text in lines)


def test_required_failures_are_named() -> None:
    assert ("  failed though required  support::refund-001", "bad") in terminal_lines(look("fail"))


def test_long_lists_are_counted() -> None:
    names = [f"case-{i:03}" for i in range(40)]
    champion = make_record(scores=dict.fromkeys(names, 1.0), run_id="run-champion")
    candidate = make_record(scores=dict.fromkeys(names, 0.0))
    decision = make_decision(
        Verdict.FAIL,
        candidate=candidate,
        champion=champion,
        required_failures=tuple(f"support::{name}" for name in names[:13]),
    )
    texts = [text for text, _ in terminal_lines(build_view(candidate, champion, decision))]
    assert "  … and 30 more worse cases" in texts
    assert "  … and 3 more required cases" in texts
    assert len(texts) < 40


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_line_can_repaint_the_terminal_or_command_the_runner(text: str) -> None:
    for line, _ in terminal_lines(hostile_view(text)):
        assert not [char for char in line if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


@pytest.mark.parametrize("name", LOOKS)
def test_every_metric_has_a_line(name: str) -> None:
    view = look(name)
    texts = [text for text, _ in terminal_lines(view)]
    for metric in view.metrics:
        assert any(f"{metric.suite}::{metric.metric}" in text and metric.outcome in text for text in texts)
