"""Two servings in a terminal: the table at 80 columns, what was discarded, what must not be believed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len
from support.serving_reports import serving_arms, serving_decision

from llmgate.report.terminal.serving import arms_lines, serving_lines


def test_it_reads_like_this() -> None:
    arms = serving_arms()
    assert serving_lines(serving_decision(arms), arms, 80) == [
        "      figure                        runs         change [interval]        limit",
        "FAIL  output throughput  162 → 146 tok/s     −10.1 % [−12.5, −7.7]         −5 %",
        "FAIL  median TTFT         81.0 → 91.1 ms 12.5 % slower [5.6, 19.8] −15 %, ≤ 500",
        "PASS  median E2E latency          425 ms           [419 to 431 ms]        ≤ 500",
        "Gates          1 passed, 2 failed.",
        "Runs           6 pairs of runs per serving gate, all valid.",
        "Error chances  output throughput, the weakest gate: An unchanged server would",
        "               pass this gate 95 % of the time (pessimistic after a real loss);",
        "               a true loss of 5 % would pass at most 5 % of the time.",
        "Pairs          6 of 6 pairs were measured, 14 runs in all; 2 were discarded.",
        "Order          B A A B B A A B B A A B (A the champion, B the candidate), by",
        "               seed 7.",
        "Hosting        One server at a time, started anew for each run.",
        "Load           32 requests per run, 4 in flight: 32 chat prompts of support.",
        "Time           0.8 GPU minutes of measuring on 1 GPU, 0.1 of them in discarded",
        "               runs; starts of servers are not counted.",
        "Other work     Other processes used at most 0.5 % of the processors in runs that",
        "               count.",
        "Discarded      run 5, candidate, pair 3: other processes used 30.0 % of the",
        "               processors, more than 5 %",
        "Discarded      run 6, champion, pair 3: its partner was made again",
        "FAIL Do not ship: 2 of 3 gates failed. Worst: output throughput fell from 162 to",
        "     146 tok/s, 10.1 % (allowed: 5 %).",
        "Next: look at the runs one by one, make it as fast as it was and run again.",
    ]


def test_a_wide_terminal_has_a_column_for_each_side() -> None:
    arms = serving_arms()
    title, first, *_ = serving_lines(serving_decision(arms), arms, 120)
    assert title.split() == ["figure", "champion", "candidate", "change", "[interval]", "limit"]
    assert first.split()[:7] == ["FAIL", "output", "throughput", "162", "tok/s", "146", "tok/s"]


def test_a_run_that_must_not_be_believed_is_named_and_the_figures_are_no_verdict() -> None:
    arms = serving_arms()
    last = arms.runs[-1]
    bad = replace(last, trace=replace(last.trace, client_cpu_s=last.trace.duration_s))
    arms = replace(arms, runs=(*arms.runs[:-1], bad))
    text = " ".join(" ".join(serving_lines(serving_decision(arms), arms, 80)).split())
    assert "INVALID run 14, candidate, pair 6: the client used" in text
    assert "5 of 6 pairs valid" in text
    assert "PASS" not in text
    assert "Problem support::serving: " in text


def test_of_many_discarded_runs_the_first_are_named() -> None:
    arms = serving_arms(discard=False)
    lost = replace(arms, runs=tuple(replace(run, discarded="other processes were busy") for run in arms.runs))
    lines = arms_lines(lost, 80)
    assert sum(line.startswith("Discarded") for line in lines) == 5
    assert "               and 7 more" in lines
    assert lines[0].startswith("Pairs          0 of 6 pairs were measured, 12 runs in all; 12 were discarded")


@pytest.mark.parametrize("width", [40, 60, 80, 81, 100, 160])
@pytest.mark.parametrize("alone", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, alone: bool) -> None:
    arms = serving_arms(alone=alone, discard=False)
    for line in serving_lines(serving_decision(arms), arms, width):
        assert cell_len(line) <= width
