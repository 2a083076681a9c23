"""Stops that a record claims: believed only where the record and its data explain them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import make_case, make_check, make_policy, make_record, make_result, seal
from support.words import said

from llmgate.errors import NotComparableError, PolicyError
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.gate.sequential.verify_stop import looks_of, reason_to_stop
from llmgate.record.looks import LookPlan, Stop
from llmgate.record.order import case_order, plan_looks
from llmgate.record.policy import MetricPolicy, Policy, Role
from llmgate.record.schema import CaseKey

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from llmgate.record.schema import PlannedCase, Record

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)
N = 500
WIDE = make_policy(margin=0.1)


def cases_of(n: int = N, repeats: int = 1) -> tuple[PlannedCase, ...]:
    return tuple(make_case(f"c{i:03d}", repeats=repeats) for i in range(n))


CASES = cases_of()
PLAN = plan_looks(CASES, seed=0, fractions=FIVE)
ORDER = [case.case for case in case_order(CASES, seed=0)]


def record(
    *,
    wrong: Collection[str] = (),
    asked: Sequence[str] = ORDER,
    stops: tuple[Stop, ...] = (),
    plan: LookPlan | None = PLAN,
    policy: Policy = WIDE,
    run_id: str = "run-candidate",
) -> Record:
    made = make_record(
        results=[make_result(case, score=float(case not in wrong)) for case in asked],
        cases=CASES,
        run_id=run_id,
        policy=policy,
        looks=() if plan is None else (plan,),
    )
    return stopped(made, stops)


def stopped(made: Record, stops: tuple[Stop, ...]) -> Record:
    sealed = seal(made)
    assert sealed.seal is not None
    return replace(sealed, seal=replace(sealed.seal, stops=stops))


CHAMPION = record(plan=None, run_id="run-champion")


def stop(look: int, suite: str = "support") -> tuple[Stop, ...]:
    return (Stop(suite=suite, look=look, reason="every gating metric passes"),)


def first(look: int) -> list[str]:
    return ORDER[: PLAN.cases[look - 1]]


def test_a_stop_that_the_data_confirm_passes_with_what_it_saved() -> None:
    decision = decide_records(record(asked=first(2), stops=stop(2)), CHAMPION)
    assert decision.verdict is Verdict.PASS
    assert decision.problems == ()
    (look,) = decision.looks
    assert (look.look, look.cases, look.saved, look.stopped) == (2, (100, 200, 300, 400, 500), 300, True)
    assert look.bounds[0].z == pytest.approx((3.915, 2.768, 2.260, 1.958, 1.751), abs=1e-3)
    assert "support stopped at interim look 2 of 5: 200 of 500 cases asked, 300 generations saved." in said(decision)
    (metric,) = decision.metrics
    assert (metric.expected, metric.evaluated, metric.errors) == (200, 200, 0)


def test_its_bounds_are_those_of_the_look() -> None:
    """With no pair that differs Tango's lower bound is −z²/(n + z²)."""
    (metric,) = decide_records(record(asked=first(2), stops=stop(2)), CHAMPION).metrics
    z = 2.768498
    assert metric.lower == pytest.approx(-z * z / (200 + z * z), abs=1e-5)
    assert metric.alpha == 0.05


def test_a_run_that_went_to_the_end_is_held_to_the_last_bound() -> None:
    """0 of n changed: the plain bound passes m = 3 points from 88 pairs on; with looks z = 1.751 needs 99."""
    few = cases_of(90)
    plan = plan_looks(few, seed=0, fractions=FIVE)
    asked = [make_result(case.case) for case in few]
    champion = make_record(results=asked, cases=few, run_id="run-champion")
    plain = make_record(results=asked, cases=few)
    looked = make_record(results=asked, cases=few, looks=(plan,))
    assert decide_records(plain, champion).verdict is Verdict.PASS
    decision = decide_records(looked, champion)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.problems == ()
    (look,) = decision.looks
    assert (look.look, look.saved, look.stopped, look.reason) == (5, 0, False, "")
    assert look.sentence == "support went on to look 5 of 5: all 90 cases asked."


def test_an_early_fail_is_confirmed_too() -> None:
    bad = [case for i, case in enumerate(ORDER) if i % 4 == 0]
    decision = decide_records(record(wrong=bad, asked=first(2), stops=stop(2)), CHAMPION)
    assert decision.verdict is Verdict.FAIL
    assert decision.looks[0].reason == "accuracy fails"


def test_a_stop_that_the_data_do_not_confirm_leaves_cases_missing() -> None:
    """At the first look nothing is proven yet about a margin of 3 points."""
    narrow = make_policy(margin=0.03)
    decision = decide_records(record(asked=first(1), stops=stop(1), policy=narrow), CHAMPION)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.exit_code == 3
    (problem,) = decision.problems
    assert "400 of 500 cases are missing" in problem.what
    assert decision.looks[0].reason == ""
    assert decision.looks[0].saved == 0
    assert "but its results do not decide there" in said(decision)


def test_another_policy_has_to_confirm_the_stop_itself() -> None:
    made = record(asked=first(2), stops=stop(2))
    assert decide_records(made, CHAMPION, make_policy(margin=0.03)).verdict is Verdict.INCONCLUSIVE
    watched = MetricPolicy(suite="support", metric="accuracy", role=Role.WATCH)
    decision = decide_records(made, CHAMPION, Policy(metrics=(watched,)))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert any("no complete answer" in problem.what for problem in decision.problems)


def test_results_that_were_deleted_never_look_like_a_stop() -> None:
    bad = ORDER[200:300]
    whole = record(wrong=bad)
    assert decide_records(whole, CHAMPION).verdict is Verdict.FAIL
    kept = replace(whole, results={key: result for key, result in whole.results.items() if key.case not in bad})
    assert decide_records(stopped(kept, ()), CHAMPION).verdict is Verdict.INCONCLUSIVE
    for look in range(1, 6):
        assert decide_records(stopped(kept, stop(look)), CHAMPION).verdict is not Verdict.PASS


@pytest.mark.parametrize(
    ("asked", "stops", "plan", "what"),
    [
        (ORDER[:200], stop(3), PLAN, "100 are missing and 0 do not belong there"),
        (ORDER[:201], stop(2), PLAN, "0 are missing and 1 do not belong there"),
        ([*ORDER[:199], ORDER[201]], stop(2), PLAN, "1 are missing and 1 do not belong there"),
        (ORDER[:200], stop(2), None, "had planned no looks"),
        (ORDER[:200], stop(2, "other"), PLAN, "had planned no looks"),
        (ORDER, stop(5), PLAN, "stopped at look 5, of which 4 could have ended it"),
        (ORDER[:200], stop(0), PLAN, "stopped at look 0"),
        (ORDER[:200], stop(2), replace(PLAN, seed=1), "are missing"),
        (ORDER[:150], stop(2), replace(PLAN, cases=(100, 150, 500)), "looks at [100, 150, 500] cases were planned"),
        (ORDER[:200], stop(2), replace(PLAN, cases=(100, 200)), "looks at [100, 200] cases were planned"),
        (ORDER[:200], stop(2), replace(PLAN, suite="gone"), "are no plan of looks"),
    ],
)
def test_what_contradicts_the_plan_keeps_a_stop_from_passing(
    asked: Sequence[str], stops: tuple[Stop, ...], plan: LookPlan | None, what: str
) -> None:
    decision = decide_records(record(asked=asked, stops=stops, plan=plan), CHAMPION)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert what in " ".join(problem.what for problem in decision.problems)


RANKS = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}


@given(
    lost=st.sets(st.sampled_from(ORDER), min_size=1, max_size=400),
    look=st.integers(1, 5),
    ended=st.booleans(),
    wrong=st.integers(0, 60),
)
@settings(max_examples=12, deadline=None)
def test_losing_results_never_helps(lost: set[str], look: int, ended: bool, wrong: int) -> None:
    """Neither with the stop that the record has, nor with one that somebody writes into it."""
    asked = first(look) if ended else ORDER
    real = stop(look) if ended and look < 5 else ()
    before = record(asked=asked, stops=real, wrong=ORDER[:wrong])
    verdict = decide_records(before, CHAMPION).verdict
    kept = replace(before, results={key: one for key, one in before.results.items() if key.case not in lost})
    for claimed in (real, (), stop(1)):
        after = decide_records(stopped(kept, claimed), CHAMPION)
        if len(kept.results) < len(before.results):
            assert RANKS[after.verdict] < 2
        else:
            assert RANKS[after.verdict] <= max(RANKS[verdict], 1)


def test_the_run_asks_what_the_decision_asks() -> None:
    """Both sides of the loop agree at every look, whatever the answers."""
    for wrong in (0, 5, 15, 40, 120):
        for look in range(1, 5):
            part = record(asked=first(look), wrong=ORDER[::7][:wrong], stops=stop(look))
            reason = reason_to_stop(replace(part, seal=None), CHAMPION, PLAN, look=look)
            assert (decide_records(part, CHAMPION).looks[0].reason) == reason


def test_answers_of_later_blocks_do_not_count_at_a_look() -> None:
    part = record(asked=ORDER[:260], wrong=ORDER[200:260])
    assert reason_to_stop(part, CHAMPION, PLAN, look=2) == "every gating metric passes"


def test_what_cannot_be_compared_cannot_be_stopped() -> None:
    other = make_record(
        results=[make_result(case) for case in ORDER], cases=cases_of(N, repeats=2), run_id="run-champion"
    )
    with pytest.raises(NotComparableError):
        reason_to_stop(record(), other, PLAN, look=2)


def test_all_repeats_of_a_case_travel_together() -> None:
    cases = cases_of(40, repeats=3)
    plan = plan_looks(cases, seed=0, fractions=FIVE)
    order = [case.case for case in case_order(cases, seed=0)]
    everything = [make_result(case, repeat=k) for case in order for k in range(3)]
    champion = make_record(results=everything, cases=cases, run_id="run-champion")
    policy = make_policy(margin=0.5)
    asked = everything[: 3 * plan.cases[2]]
    made = stopped(make_record(results=asked, cases=cases, looks=(plan,), policy=policy), stop(3))
    decision = decide_records(made, champion)
    assert decision.verdict is Verdict.PASS
    assert decision.looks[0].saved == 3 * 16
    key = CaseKey(suite="support", case=order[0], repeat=1)
    torn = replace(made, results={k: result for k, result in made.results.items() if k != key})
    assert decide_records(stopped(torn, stop(3)), champion).verdict is Verdict.INCONCLUSIVE


def test_a_metric_that_no_case_has_fed_yet_keeps_the_run_going() -> None:
    """Its cases are all behind the look."""
    late = set(ORDER[300:])
    cases = tuple(replace(case, metrics=("accuracy", "late") if case.case in late else ("accuracy",)) for case in CASES)
    policy = Policy(
        metrics=tuple(MetricPolicy(suite="support", metric=metric, margin=0.3) for metric in ("accuracy", "late"))
    )
    results = [
        make_result(case, checks=[make_check(), *([make_check(metric="late")] if case in late else [])])
        for case in ORDER
    ]
    champion = make_record(results=results, cases=cases, run_id="run-champion")
    made = stopped(make_record(results=results[:200], cases=cases, looks=(PLAN,), policy=policy), stop(2))
    with pytest.raises(PolicyError, match="no check feeds the metric 'late'"):
        decide_records(made, champion)
    assert looks_of(made, policy)[0]["support"].points["late"] is None
    assert reason_to_stop(replace(made, seal=None), champion, PLAN, look=2) == ""
    whole = make_record(results=results, cases=cases, looks=(PLAN,), policy=policy)
    decision = decide_records(whole, champion)
    assert decision.verdict is Verdict.PASS
    assert [bounds.fractions for bounds in decision.looks[0].bounds] == [FIVE, (0.5, 1.0)]


def test_a_reserve_that_was_needed_is_named() -> None:
    plan = plan_looks(CASES, seed=0, fractions=(0.4, 1.0), reserve=300)
    decision = decide_records(record(plan=plan), CHAMPION)
    assert "support was extended from 200 to 500 cases, as planned." in said(decision)


def test_looks_are_kept_in_the_decision_on_paper() -> None:
    decision = decide_records(record(asked=first(2), stops=stop(2)), CHAMPION)
    again = decision_from_json(decision_to_json(decision))
    assert isinstance(again, Decision)
    assert again == decision


@pytest.mark.parametrize("discarded", [-1, 301])
def test_more_cannot_have_been_begun_than_there_was(discarded: int) -> None:
    (claimed,) = stop(2)
    decision = decide_records(record(asked=first(2), stops=(replace(claimed, discarded=discarded),)), CHAMPION)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "beyond its last look were begun" in " ".join(problem.what for problem in decision.problems)


def test_what_had_been_begun_is_not_called_saved() -> None:
    (claimed,) = stop(2)
    decision = decide_records(record(asked=first(2), stops=(replace(claimed, discarded=9),)), CHAMPION)
    assert decision.looks[0].saved == 291


def test_each_suite_stops_by_itself() -> None:
    """Another suite of the run, without looks, is decided by the plain bounds."""
    other = [make_case(f"o{i}", suite="other") for i in range(120)]
    answers = [make_result(case.case, suite="other") for case in other]
    metrics = tuple(MetricPolicy(suite=suite, metric="accuracy", margin=0.1) for suite in ("support", "other"))
    champion = make_record(
        results=[*(make_result(case) for case in ORDER), *answers], cases=(*CASES, *other), run_id="run-champion"
    )
    made = make_record(
        results=[*(make_result(case) for case in first(2)), *answers],
        cases=(*CASES, *other),
        policy=Policy(metrics=metrics),
        looks=(PLAN,),
    )
    decision = decide_records(stopped(made, stop(2)), champion)
    assert decision.verdict is Verdict.PASS
    assert [one.suite for one in decision.looks] == ["support"]
    assert [metric.evaluated for metric in decision.metrics] == [200, 120]
