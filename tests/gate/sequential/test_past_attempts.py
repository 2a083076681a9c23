"""Earlier attempts as records: what counts, what is lost, and early stops among them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.records import make_case, make_policy, make_record, make_result, seal

from llmgate.gate.attempts.earlier import Earlier
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Problem, Verdict
from llmgate.record.looks import Stop
from llmgate.record.order import case_order, plan_looks
from llmgate.stats import special

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from llmgate.record.looks import LookPlan
    from llmgate.record.schema import Record

N = 300
CASES = tuple(make_case(f"c{i:03d}") for i in range(N))
PLAN = plan_looks(CASES, seed=0, fractions=(0.5, 1.0))
ORDER = [case.case for case in case_order(CASES, seed=0)]
POLICY = replace(make_policy(margin=0.1), reserve=0.1)
WRONG = frozenset(ORDER[::10])


def record(
    run: str,
    *,
    wrong: Collection[str] = WRONG,
    asked: Sequence[str] = ORDER,
    stops: tuple[Stop, ...] = (),
    plan: LookPlan | None = None,
) -> Record:
    # Whoever copies a run copies its times: every run has its own.
    latency = 0.1 + len(run) / 100.0
    made = make_record(
        results=[
            make_result(case, score=float(case not in wrong), latency_s=latency + i / 1e4)
            for i, case in enumerate(asked)
        ],
        cases=CASES,
        run_id=run,
        policy=POLICY,
        looks=() if plan is None else (plan,),
    )
    sealed = seal(made)
    assert sealed.seal is not None
    return replace(sealed, seal=replace(sealed.seal, stops=stops))


CHAMPION = record("champion")


def earlier(made: Record | None, number: int = 1, champion: Record | None = CHAMPION) -> Earlier:
    return Earlier(number=number, digest=f"{number}", verdict=Verdict.FAIL, candidate=made, champion=champion)


def test_the_answers_of_all_attempts_count_together() -> None:
    first, second = record("one", wrong=ORDER[:60]), record("two!")
    decision = decide_records(second, CHAMPION, earlier=[earlier(first)])
    assert decision.attempt is not None
    assert decision.attempt.answers == 2 * N
    assert decision.attempt.earlier == (Verdict.FAIL,)
    assert decision.candidate_run == "two!"
    (metric,) = decision.metrics
    right = [(float(case not in ORDER[:60]) + float(case not in WRONG)) / 2.0 for case in ORDER]
    assert metric.candidate == pytest.approx(sum(right) / N)
    assert decision_from_json(decision_to_json(decision)) == decision


def test_what_is_wrong_with_the_ledger_keeps_the_verdict_from_pass() -> None:
    assert decide_records(record("two!"), CHAMPION).verdict is Verdict.PASS
    broken = Problem(where="ledger", what="the chain is broken")
    decision = decide_records(record("two!"), CHAMPION, problems=[broken])
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert broken in decision.problems


def test_what_is_not_of_this_model_and_suite_is_lost() -> None:
    good = record("one")
    model = replace(good.manifest.model, weights_digest="f" * 64)
    suite = replace(good.manifest.suites[0], digest="e" * 64)
    bad = {
        "other weights": replace(good, manifest=replace(good.manifest, model=model)),
        "was another one": replace(good, manifest=replace(good.manifest, suites=(suite,))),
        "did not run support": replace(good, manifest=replace(good.manifest, suites=())),
        "did not finish": replace(good, seal=None),
        "its record is gone": None,
    }
    for told, made in bad.items():
        decision = decide_records(record("two!"), CHAMPION, earlier=[earlier(made)])
        assert decision.verdict is Verdict.INCONCLUSIVE, told
        assert any(told in problem.what for problem in decision.problems), decision.problems
    decision = decide_records(record("two!"), CHAMPION, earlier=[replace(earlier(None), lost="unreadable line 3")])
    assert any("unreadable line 3" in problem.what for problem in decision.problems)


def test_looks_spend_the_share_of_the_first_attempt() -> None:
    decision = decide_records(record("one", plan=PLAN), CHAMPION)
    (look,) = decision.looks
    assert look.bounds[0].alpha == pytest.approx(0.045)
    assert decision.metrics[0].alpha == 0.05
    assert decision.attempt is not None
    assert decision.attempt.number == 1


def test_a_first_attempt_that_stopped_early_counts_with_the_cases_that_it_asked() -> None:
    bad = frozenset(ORDER[:150:2])
    half = ORDER[: PLAN.cases[0]]
    stop = (Stop(suite="support", look=1, reason="accuracy fails"),)
    first = record("one", wrong=bad, asked=half, stops=stop, plan=PLAN)
    assert decide_records(first, CHAMPION).verdict is Verdict.FAIL
    decision = decide_records(record("two!"), CHAMPION, earlier=[earlier(first)])
    assert decision.attempt is not None
    assert decision.attempt.answers == N + len(half)
    assert decision.attempt.bounds[0].z == pytest.approx(-special.ndtri(0.0025))
    assert decision.metrics[0].errors == 0


def test_a_stop_that_the_data_do_not_confirm_leaves_cases_missing() -> None:
    half = ORDER[: PLAN.cases[0]]
    stop = (Stop(suite="support", look=1, reason="accuracy fails"),)
    wrong = {*ORDER[: PLAN.cases[0] : 10], *ORDER[1 : PLAN.cases[0] : 20]}
    first = record("one", wrong=wrong, asked=half, stops=stop, plan=PLAN)
    decision = decide_records(record("two!"), CHAMPION, earlier=[earlier(first)])
    assert decision.verdict is not Verdict.PASS
    assert decision.metrics[0].errors == N - len(half)


def test_only_the_first_attempt_may_stop_early() -> None:
    half = ORDER[: PLAN.cases[0]]
    stop = (Stop(suite="support", look=1, reason="every gating metric passes"),)
    second = record("two!", asked=half, stops=stop, plan=PLAN)
    decision = decide_records(second, CHAMPION, earlier=[earlier(record("one"))])
    assert decision.verdict is not Verdict.PASS
    assert any("attempt 2 stopped at look 1 of 2, and only the first may" in p.what for p in decision.problems)
    third = decide_records(record("three"), CHAMPION, earlier=[earlier(record("one")), earlier(second, 2)])
    assert third.verdict is not Verdict.PASS
    assert any(p.where.startswith("attempt 2, ") for p in third.problems)
