"""Which cases get a card, and what stands on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import (
    make_case,
    make_check,
    make_decision,
    make_failed_result,
    make_flip,
    make_metric,
    make_policy,
    make_record,
    make_result,
)

from llmgate.gate.decision.types import SliceDecision, Verdict
from llmgate.record.policy import Aggregate, Direction, MetricPolicy, Role
from llmgate.report.limits import ReportLimits
from llmgate.report.panels.chosen_cases import Change, Choice
from llmgate.report.view import build_view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.record.schema import CaseResult, PlannedCase
    from llmgate.report.case_rows import CaseRow
    from llmgate.report.rows import ReportView

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def make_slice(value: str, *, metric: str = "accuracy", failed: bool = True, waived: bool = False) -> SliceDecision:
    return SliceDecision(
        suite="support", metric=metric, field="language", value=value, cases=40, candidate=0.5, champion=0.9,
        delta=-0.4, lower=-0.6, upper=-0.2, method="Tango", p_worse=0.001, failed=failed, waived=waived,
    )  # fmt: skip


def view_with(
    falls: Mapping[str, Sequence[str]],
    verdicts: Mapping[str, Verdict],
    *,
    slices: tuple[SliceDecision, ...] = (),
    languages: Mapping[str, str] | None = None,
    most: int = 150,
    watched: tuple[str, ...] = (),
    waived: tuple[str, ...] = (),
) -> ReportView:
    """A report in which every metric's cases fell from 100 % to 0 %."""
    names = sorted({name for cases in falls.values() for name in cases})
    cases = [make_case(name, slices={"language": (languages or {}).get(name, "en")}) for name in names]

    def results(side: float) -> list[CaseResult]:
        return [
            make_result(
                name,
                checks=[
                    make_check(side if name in cases_of else 1.0, metric=metric, reason=f"about {metric}")
                    for metric, cases_of in falls.items()
                ],
            )
            for name in names
        ]

    policy = make_policy([MetricPolicy(suite="support", metric=metric) for metric in verdicts])
    champion = make_record(cases=cases, results=results(1.0), run_id="run-champion", policy=policy)
    candidate = make_record(cases=cases, results=results(0.0), policy=policy)
    decision = make_decision(
        FAIL,
        candidate=candidate,
        champion=champion,
        metrics=[
            make_metric(
                verdict,
                metric=metric,
                waived=metric in waived,
                role=Role.WATCH if metric in watched else Role.PRIMARY,
            )
            for metric, verdict in verdicts.items()
        ],
        flips=tuple(make_flip(name, metric=metric) for metric, cases_of in falls.items() for name in cases_of),
    )
    decision = replace(decision, slices=slices)
    return build_view(candidate, champion, decision, limits=ReportLimits(worse=most))


def numbered(letter: str, count: int) -> list[str]:
    return [f"{letter}{i:03}" for i in range(count)]


def metrics_of(rows: Sequence[CaseRow]) -> Counter[str]:
    return Counter(row.metric for row in rows)


def test_every_failing_metric_has_its_share_of_the_cards() -> None:
    falls = {"a-json": numbered("a", 300), "b-tone": numbered("b", 20), "c-facts": numbered("c", 200)}
    view = view_with(falls, dict.fromkeys(falls, FAIL))
    assert metrics_of(view.worse.rows) == {"a-json": 65, "b-tone": 20, "c-facts": 65}
    assert [row.metric for row in view.worse.rows[:3]] == ["a-json", "b-tone", "c-facts"]
    assert [(it.metric, it.fails, it.total, it.shown) for it in view.worse.shares] == [
        ("a-json", True, 300, 65),
        ("c-facts", True, 200, 65),
        ("b-tone", True, 20, 20),
    ]


def test_what_fails_comes_before_what_is_open_what_passes_and_what_is_watched_or_waived() -> None:
    falls = {name: numbered(name, 3) for name in ("watched", "waived", "passes", "open", "fails")}
    verdicts = {"watched": FAIL, "waived": FAIL, "passes": PASS, "open": OPEN, "fails": FAIL}
    rows = view_with(falls, verdicts, watched=("watched",), waived=("waived",)).worse.rows
    order = ["fails"] * 3 + ["open"] * 3 + ["passes"] * 3 + ["watched", "waived"] * 3
    assert [row.metric for row in rows] == order


def test_a_failing_slice_of_a_metric_that_passes_has_its_share() -> None:
    cases = numbered("a", 200)
    languages = dict.fromkeys(cases[190:], "fr")
    falls = {"accuracy": cases, "other": numbered("b", 200)}
    view = view_with(falls, {"accuracy": PASS, "other": FAIL}, slices=(make_slice("fr"),), languages=languages, most=20)
    assert metrics_of(view.worse.rows) == {"accuracy": 10, "other": 10}
    assert {row.case for row in view.worse.rows if row.metric == "accuracy"} == set(cases[190:])
    assert {row.parts for row in view.worse.rows if row.metric == "accuracy"} == {"language = fr"}
    assert next(share for share in view.worse.shares if share.metric == "accuracy").fails


def test_failing_slices_of_one_metric_take_turns_and_take_nothing_from_another_metric() -> None:
    cases = numbered("a", 90)
    languages = {name: ("de", "fr", "en")[i // 30] for i, name in enumerate(cases)}
    slices = (make_slice("fr"), make_slice("de"), make_slice("en", failed=False))
    falls = {"accuracy": cases, "other": numbered("b", 90)}
    view = view_with(falls, {"accuracy": FAIL, "other": FAIL}, slices=slices, languages=languages, most=30)
    assert metrics_of(view.worse.rows) == {"accuracy": 15, "other": 15}
    shown = Counter(languages[row.case] for row in view.worse.rows if row.metric == "accuracy")
    assert shown["fr"] >= 5
    assert shown["de"] >= 5


def test_a_waived_slice_is_not_urgent() -> None:
    view = view_with({"accuracy": ["a"]}, {"accuracy": PASS}, slices=(make_slice("en", waived=True),))
    assert not view.worse.shares[0].fails
    assert view.worse.rows[0].parts == ""


def test_a_case_that_lost_on_many_metrics_has_one_card_that_names_them_all() -> None:
    view = view_with({"json": ["a", "b"], "tone": ["a"], "facts": ["a"]}, {"json": FAIL, "tone": FAIL, "facts": FAIL})
    assert [(row.case, row.metric, row.also) for row in view.worse.rows] == [
        ("a", "json", ("tone 100 % → 0 %", "facts 100 % → 0 %")),
        ("b", "json", ()),
    ]
    assert (view.worse.total, view.worse.left_out) == (2, 0)
    assert {share.metric: (share.shown, share.total) for share in view.worse.shares} == {
        "facts": (1, 1),
        "json": (2, 2),
        "tone": (1, 1),
    }


def test_the_reason_and_the_outcome_are_of_the_metric_that_the_card_is_about() -> None:
    """Before, the card said `100 % → 0 %` beside `champion failed`, with the reason of some other metric."""
    before = [make_check(0.0, metric="tone", reason="too curt"), make_check(1.0, metric="json", reason="valid")]
    after = [make_check(0.0, metric="tone", reason="too curt"), make_check(0.0, metric="json", reason="no brace")]
    policy = make_policy([MetricPolicy(suite="support", metric=name) for name in ("json", "tone")])
    champion = make_record(results=[make_result("a", checks=before)], run_id="run-champion", policy=policy)
    candidate = make_record(results=[make_result("a", checks=after)], policy=policy)
    decision = make_decision(
        FAIL,
        candidate=candidate,
        champion=champion,
        metrics=[make_metric(FAIL, metric="json")],
        flips=(make_flip("a", metric="json"),),
    )
    (row,) = build_view(candidate, champion, decision).worse.rows
    (pair,) = row.pairs
    assert row.why == "no brace"
    assert pair.champion is not None
    assert pair.candidate is not None
    assert [(side.outcome, side.how) for side in (pair.champion, pair.candidate)] == [
        ("pass", "passed"),
        ("fail", "failed"),
    ]
    assert [check.metric for check in pair.candidate.checks] == ["json", "tone"]


@pytest.mark.parametrize(
    ("policy", "before", "after", "words"),
    [
        (MetricPolicy(suite="support", metric="m", aggregate=Aggregate.MEAN), 1.0, 0.67, ["passed", "67 %"]),
        (MetricPolicy(suite="support", metric="m", aggregate=Aggregate.MEAN), 0.8, 0.6, ["80 %", "60 %"]),
        (MetricPolicy(suite="support", metric="m", direction=Direction.LOWER), 0.0, 1.0, ["0 %", "100 %"]),
        (MetricPolicy(suite="support", metric="m"), 1.0, 0.0, ["passed", "failed"]),
        (MetricPolicy(suite="support", metric="other"), 1.0, 0.0, ["passed", "failed"]),
    ],
)
def test_an_answer_says_what_the_gate_made_of_it(
    policy: MetricPolicy, before: float, after: float, words: list[str]
) -> None:
    champion = make_record(
        results=[make_result("a", score=before, metric="m")], run_id="run-champion", policy=make_policy([policy])
    )
    candidate = make_record(results=[make_result("a", score=after, metric="m")], policy=make_policy([policy]))
    flip = replace(make_flip("a", before, after, metric="m"), direction=policy.direction)
    decision = make_decision(
        FAIL, candidate=candidate, champion=champion, metrics=[make_metric(FAIL, metric="m")], flips=(flip,)
    )
    (row,) = build_view(candidate, champion, decision).worse.rows
    assert [side.how for side in (row.pairs[0].champion, row.pairs[0].candidate) if side] == words


def test_a_repeat_is_judged_by_itself() -> None:
    before = [make_result("a", repeat=k) for k in range(3)]
    after = [make_result("a", repeat=k, score=float(k > 0), reason=f"repeat {k}") for k in range(3)]
    champion = make_record(results=before, run_id="run-champion")
    candidate = make_record(results=after)
    decision = make_decision(
        FAIL,
        candidate=candidate,
        champion=champion,
        metrics=[make_metric(FAIL)],
        flips=(make_flip("a", 1.0, 2 / 3),),
    )
    (row,) = build_view(candidate, champion, decision).worse.rows
    assert row.change == "100 % → 67 %"
    assert [pair.candidate.how for pair in row.pairs if pair.candidate] == ["failed", "passed", "passed"]
    assert row.why == "repeat 0"


def test_a_missing_answer_is_the_reason() -> None:
    champion = make_record(results=[make_result("a")], run_id="run-champion")
    candidate = make_record(results=[make_failed_result("a")])
    decision = make_decision(FAIL, candidate=candidate, champion=champion, flips=(make_flip("a"),))
    (row,) = build_view(candidate, champion, decision).worse.rows
    assert row.why == "timeout: no answer within 60 s (after 3 attempts)"


def test_a_required_card_says_what_the_required_check_says() -> None:
    checks = [make_check(0.0, reason="curt"), make_check(0.0, reason="a leak", required=True)]
    candidate = make_record(results=[make_result("a", checks=checks)])
    decision = make_decision(FAIL, candidate=candidate, required_failures=("support::a",))
    view = build_view(candidate, None, decision)
    assert view.required.rows[0].why == "a leak"
    assert view.missed.rows == ()
    assert (view.missed.total, view.missed.above, view.missed.left_out) == (1, 1, 0)


def test_a_case_that_got_worse_has_no_second_card_below_par() -> None:
    view = view_with({"json": ["a", "b"]}, {"json": FAIL}, most=1)
    assert [row.case for row in view.worse.rows] == ["a"]
    assert [row.case for row in view.missed.rows] == ["b"]
    assert (view.missed.total, view.missed.above, view.missed.left_out) == (2, 1, 0)


def test_without_a_champion_every_failing_metric_has_its_share_of_the_cases_below_par() -> None:
    names = {"json": numbered("a", 300), "tone": numbered("z", 30)}
    results = [
        make_result(case, checks=[make_check(0.0, metric=metric, reason=f"about {metric}")])
        for metric, cases in names.items()
        for case in cases
    ]
    candidate = make_record(results=results)
    decision = make_decision(
        FAIL, candidate=candidate, metrics=[make_metric(FAIL, metric=metric, reference="threshold") for metric in names]
    )
    view = build_view(candidate, None, decision)
    assert metrics_of(view.missed.rows) == {"json": 70, "tone": 30}
    assert {row.why for row in view.missed.rows} == {"about json", "about tone"}


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.integers(0, 40), min_size=1, unique=True), min_size=1, max_size=6
    ),
    st.integers(1, 60),
)
def test_every_failing_metric_gets_an_equal_share_or_all_that_it_has(falls: dict[str, list[int]], most: int) -> None:
    changes = [
        Change(case=("support", f"{metric}{i}"), metric=metric) for metric, cases in falls.items() for i in cases
    ]
    metrics = {("support", metric): make_metric(FAIL, metric=metric) for metric in falls}
    plan: dict[tuple[str, str], PlannedCase] = {}
    order = list(Choice(plan=plan, metrics=metrics).in_turns(changes))
    assert sorted(change.case for change in order) == sorted({change.case for change in changes})
    shares = Counter(change.metric for change in order[:most])
    least = min((shares[metric] for metric in falls if shares[metric] < len(falls[metric])), default=most)
    assert max(shares.values()) <= least + 1


def test_a_required_card_names_the_changes_of_its_scores() -> None:
    champion = make_record(results=[make_result("a")], run_id="run-champion")
    candidate = make_record(results=[make_result("a", score=0.0)])
    decision = make_decision(FAIL, candidate=candidate, champion=champion, required_failures=("support::a",))
    view = build_view(candidate, champion, decision)
    assert view.required.rows[0].also == ("accuracy 100 % → 0 %",)
    assert (view.worse.rows, view.worse.above) == ((), 1)
