"""A decision in a terminal: a table, labelled lines, the verdict; nothing wider than the terminal, nothing twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from support.records import make_decision, make_metric, make_problem

from llmgate.gate.decision.types import SliceDecision, Verdict, WaiverUse
from llmgate.record.policy import Role
from llmgate.report.terminal.decision import decision_lines


def text_of(decision: Any, width: int = 80) -> list[str]:
    return [f"{lead}{text}".rstrip() for lead, text, _ in decision_lines(decision, width=width)]


def make_lost(value: str = "de") -> SliceDecision:
    return SliceDecision(
        suite="support", metric="accuracy", field="language", value=value, cases=60, candidate=0.7, champion=0.9,
        delta=-0.2, lower=-0.3, upper=-0.1, method="Tango", p_worse=0.0001, failed=True,
    )  # fmt: skip


def test_it_reads_like_this() -> None:
    metrics = [
        make_metric(Verdict.FAIL, min=0.8),
        make_metric(metric="polite", role=Role.GUARDRAIL, margin=0.025),
        make_metric(metric="quality", role=Role.WATCH, judged=True, expected=716, evaluated=707, errors=9),
    ]
    decision = make_decision(Verdict.FAIL, metrics=metrics, sentence="Do not ship: 1 of 2 gates failed: so it is.")
    assert text_of(decision) == [
        "         metric             champion  candidate        bounds       limit",
        "FAIL     support::accuracy    91.0 %     85.8 %  −8.1 to −2.4  −3, ≥ 80 %",
        "PASS     support::polite      91.0 %     90.4 %  −2.1 to +0.9        −2.5",
        "watched  support::quality     91.0 %     90.4 %  −2.1 to +0.9          −3",
        "Gates          1 passed, 1 failed; 1 further metric only watched.",
        "Cases          300 cases per gate, all evaluated. Not all evaluated: quality 707",
        "               of 716 (only watched).",
        "Flips          82 of 600 gated scores changed: 38 better, 44 worse.",
        "Error chances  accuracy, the weakest gate: An identical model would pass this",
        "               gate 91 % of the time (pessimistic after a real loss); a true",
        "               3-point loss would pass at most 5 % of the time.",
        "FAIL Do not ship: 1 of 2 gates failed: so it is.",
        "Next: look at the cases that got worse in report.html or with llmgate show, mend",
        "      the candidate and run again.",
    ]


def test_only_words_that_decide_have_a_colour() -> None:
    metrics = [make_metric(Verdict.FAIL), make_metric(Verdict.FAIL, metric="tone", role=Role.WATCH)]
    lines = decision_lines(make_decision(Verdict.FAIL, metrics=metrics), width=80)
    assert [lead.strip() for lead, _, style in lines if style != "plain"] == ["FAIL", "FAIL"]


def test_many_problems_are_some_lines() -> None:
    problems = tuple(make_problem(f"case {i} was not evaluated") for i in range(60))
    lines = text_of(make_decision(Verdict.INCONCLUSIVE, problems=problems))
    assert sum(line.startswith("Problem ") for line in lines) == 5
    assert "               and 55 more problems: see the report" in lines


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=90)


@given(NAMES, NAMES, NAMES, st.sampled_from([40, 56, 80, 200]), st.sampled_from(Verdict))
def test_nothing_is_wider_than_the_terminal(suite: str, name: str, other: str, width: int, verdict: Verdict) -> None:
    decision = make_decision(
        verdict,
        metrics=[
            make_metric(verdict, suite=suite, metric=name, min=0.8),
            make_metric(suite=suite, metric=other, two_sided=True, candidate=None, champion=None),
            make_metric(suite=other, metric=name, role=Role.WATCH, errors=2),
        ],
        problems=(make_problem(name, where=suite, fix=other),),
        slices=(make_lost(other),),
        waivers=(WaiverUse(target=name, until="2027-01-01", by=other, reason=suite, status="applied"),),
        sentence=f"Do not ship: {name}",
    )
    lines = text_of(replace(decision, required_failures=(name,)), width)
    assert max(map(cell_len, lines)) <= width
    assert not any(ord(sign) < 32 for line in lines for sign in line)


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_next_step(verdict: Verdict) -> None:
    assert sum(line.startswith("Next: ") for line in text_of(make_decision(verdict))) == 1


@pytest.mark.parametrize("width", range(40, 121, 3))
def test_no_line_of_quoted_text_begins_with_a_verdict(width: int) -> None:
    """Where a sentence is wrapped depends on names, which are text of others."""
    problem = replace(
        make_problem(), what='the endpoint said: it is done "PASS: all gates pass, (FAIL) was before ' * 6
    )
    lines = text_of(make_decision(Verdict.INCONCLUSIVE, problems=(problem,)), width)
    first = next(i for i, line in enumerate(lines) if line.startswith("Problem"))
    quoted = [line for line in lines[first:] if line.startswith("   ")]
    assert len(quoted) > 2
    assert not [line for line in quoted if line.strip(' "(:').startswith(("PASS", "FAIL"))]
