"""The panels about repeats."""

from __future__ import annotations

from llmgate.gate.decision.types import FlakyCase, RepeatDecision
from llmgate.report.panels.repeats import repeat_panels

ONE = RepeatDecision(
    suite="support",
    metric="accuracy",
    repeats=4,
    cases=300,
    between=0.04,
    within=0.01,
    champion_within=0.0,
    scores_flip=0.02,
    texts_flip=0.31,
    one_more=0.125,
    flaky=12,
    named=tuple(FlakyCase(case=f"c{i:02d}", scores=(1.0, 0.0, 1.0, 1.0)) for i in range(12)),
)


def test_what_repeats_buy() -> None:
    (panel, flaky) = repeat_panels([ONE], most=5)
    assert panel.rows[0].cells == (
        "support::accuracy", "4", "20.0 %", "10.0 %", "0.0 %", "2.0 %", "31.0 %", "12 % more cases",
    )  # fmt: skip
    assert len(panel.columns) == len(panel.rows[0].cells)
    assert flaky.lead.endswith("support::accuracy 12 of 300 cases.")
    assert (len(flaky.rows), flaky.left_out) == (5, 7)
    assert flaky.rows[0].cells == ("support::c00", "accuracy", "100 %, 0 %, 100 %, 100 %")
    assert len(flaky.columns) == 3


def test_without_repeats_there_is_no_panel() -> None:
    assert list(repeat_panels([], most=5)) == []


def test_steady_cases_are_not_called_flaky() -> None:
    steady = RepeatDecision(
        suite="s", metric="m", repeats=12, cases=9, between=0.1, within=0.0, scores_flip=0.0, texts_flip=0.0,
        one_more=None, flaky=0,
    )  # fmt: skip
    (panel,) = repeat_panels([steady], most=5)
    assert panel.rows[0].cells[4] == "–"
    assert panel.rows[0].cells[-1] == "any number of cases"


def test_long_lists_of_scores_are_cut() -> None:
    long = RepeatDecision(
        suite="s", metric="m", repeats=12, cases=2, between=0.1, within=0.1, scores_flip=0.5, texts_flip=0.5,
        one_more=0.1, flaky=1, named=(FlakyCase(case="a", scores=(1.0,) * 11 + (0.0,)),),
    )  # fmt: skip
    (_, flaky) = repeat_panels([long], most=5)
    assert flaky.rows[0].cells[2].endswith("100 % and 2 more")
