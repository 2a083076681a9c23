"""Waivers: a finding is accepted until a day, in writing, and what could not be evaluated never is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from support.records import make_case, make_check, make_record, make_result
from support.words import said

from llmgate.errors import PolicyError
from llmgate.gate.decide import decide
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.record.policy import MetricPolicy, Policy, Role, SlicePolicy
from llmgate.record.scores import ItemScore, ScoreTable
from llmgate.record.waiver import Waiver

DAY = date(2026, 11, 25)
TONE = Waiver(suite="s", metric="tone", until="2026-11-25", by="Ada", reason="known, mended next week")
METRICS = tuple(MetricPolicy(suite="s", metric=name, margin=0.03) for name in ("accuracy", "tone"))


def table(metric: str, right: int, of: int = 1000, errors: int = 0) -> ScoreTable:
    items = [
        ItemScore(
            item_id=f"c{i:04d}",
            score=None if i >= of - errors else float(i < right),
            error="lost" if i >= of - errors else None,
        )
        for i in range(of)
    ]
    return ScoreTable.of(items, suite="s", metric=metric)


def decided(*waivers: Waiver, tone: int = 800, errors: int = 0, today: date | None = DAY) -> Decision:
    candidate = Evidence(tables=(table("accuracy", 1000), table("tone", tone, errors=errors)))
    champion = Evidence(tables=(table("accuracy", 1000), table("tone", 1000)))
    return decide(candidate, champion, Policy(metrics=METRICS, waivers=waivers), today=today)


def test_a_waiver_takes_a_failed_metric_out_of_the_verdict_and_is_named() -> None:
    assert decided().verdict is Verdict.FAIL
    decision = decided(TONE)
    assert decision.verdict is Verdict.PASS
    assert decision.metrics[1].verdict is Verdict.FAIL
    assert decision.metrics[1].waived
    assert decision.waivers[0].status == "applied"
    assert (
        decision.sentence
        == "Ship: 1 of 2 gates pass, with 1 waiver. Closest call: accuracy, at most 0.3 points worse where 3 are allowed."
    )
    assert "Waiver: s::tone is waived until 2026-11-25 by Ada: known, mended next week." in said(decision)


@pytest.mark.parametrize(
    ("today", "status"), [(date(2026, 11, 26), "expired"), (date(2027, 1, 1), "expired"), (None, "no date")]
)
def test_a_waiver_that_is_over_does_not_hold(today: date | None, status: str) -> None:
    decision = decided(TONE, today=today)
    assert decision.verdict is Verdict.FAIL
    assert decision.waivers[0].status == status
    assert ("1 waiver has expired: s::tone (2026-11-25)." in said(decision)) is (status == "expired")


def test_a_waiver_that_nothing_needs_says_so() -> None:
    decision = decided(TONE, tone=1000)
    assert decision.verdict is Verdict.PASS
    assert not decision.metrics[1].waived
    assert decision.waivers[0].status == "unused"
    assert "waived" not in said(decision)


def test_what_could_not_be_evaluated_cannot_be_waived() -> None:
    decision = decided(TONE, tone=990, errors=10)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.exit_code == 3


def test_with_every_metric_waived_nothing_passes() -> None:
    both = Policy(metrics=METRICS[1:], waivers=(TONE,))
    sides = Evidence(tables=(table("tone", 800),)), Evidence(tables=(table("tone", 1000),))
    decision = decide(*sides, both, today=DAY)
    assert decision.verdict is Verdict.INCONCLUSIVE


def test_a_slice_and_a_required_case_can_be_waived_one_by_one() -> None:
    metric = MetricPolicy(suite="support", metric="accuracy", margin=0.05)
    slices = (SlicePolicy(suite="support", field="topic"),)
    cases = [make_case(f"c{i:03d}", slices={"topic": "billing" if i < 100 else "other"}) for i in range(400)]
    scores = [float(i >= 20) for i in range(400)]
    checks = [(make_check(score, required=i == 7),) for i, score in enumerate(scores)]
    candidate = make_record(
        cases=cases, results=[make_result(case.case, checks=one) for case, one in zip(cases, checks, strict=True)]
    )
    gains = [make_result(case.case, score=float(not 200 <= i < 220)) for i, case in enumerate(cases)]
    champion = make_record(cases=cases, results=gains, run_id="champion")
    accepted = {"until": "2026-12-24", "by": "Ada", "reason": "accepted"}
    slice_waiver = Waiver(suite="support", metric="accuracy", field="topic", value="billing", **accepted)
    case_waiver = Waiver(suite="support", case="c007", **accepted)

    def verdict(*waivers: Waiver) -> Decision:
        policy = Policy(metrics=(metric,), slices=slices, waivers=waivers)
        return decide_records(candidate, champion, policy, today=DAY)

    assert verdict().verdict is verdict(slice_waiver).verdict is verdict(case_waiver).verdict is Verdict.FAIL
    both = verdict(slice_waiver, case_waiver)
    assert both.verdict is Verdict.PASS
    assert both.required_failures == ()
    assert [use.status for use in both.waivers] == ["applied", "applied"]
    with pytest.raises(PolicyError, match="a case that does not exist"):
        verdict(replace(case_waiver, case="c999"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"metric": None}, "names one finding"),
        ({"case": "c1"}, "names one finding"),
        ({"field": "topic"}, "names one finding"),
        ({"value": "a"}, "names one finding"),
        ({"by": " "}, "needs somebody"),
        ({"reason": ""}, "needs somebody"),
        ({"until": "soon"}, "no date"),
        ({"until": "2026-02-30"}, "no date"),
        ({"until": "20261231"}, "no date"),
        ({"until": "2026-W53-1"}, "no date"),
    ],
)
def test_waivers_that_say_too_little_or_too_much_are_refused(change: dict[str, str | None], says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        replace(TONE, **change)  # type: ignore[arg-type]


def test_a_waiver_of_what_does_not_gate_is_refused() -> None:
    watched = replace(METRICS[1], role=Role.WATCH)
    with pytest.raises(PolicyError, match="about no gating metric"):
        Policy(metrics=(METRICS[0], watched), waivers=(TONE,))
    with pytest.raises(PolicyError, match="'topic', which the gate does not test"):
        Policy(metrics=METRICS, waivers=(replace(TONE, field="topic", value="a"),))
