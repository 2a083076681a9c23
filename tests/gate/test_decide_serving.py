"""Serving beside quality: one table, one family of p-values, one sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from support.records import make_record, seal
from support.serving_runs import busy, make_arms, noisy, with_run
from support.words import said

from llmgate.errors import PolicyError
from llmgate.gate.decide import decide, decide_serving, decide_tests
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.details import detail_lines, next_step, recorded
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json, headline
from llmgate.gate.decision.types import Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.metrics.metric import ServingTest
from llmgate.gate.metrics.tests import run_test
from llmgate.gate.serving.arms import with_hypotheses
from llmgate.gate.summary import MOST_WORDS
from llmgate.record.policy import MetricPolicy, Policy, Role
from llmgate.record.schema import Generation
from llmgate.record.scores import ItemScore, ScoreTable
from llmgate.record.serving.policy import ServingPolicy
from llmgate.record.waiver import Waiver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.types import Decision
    from llmgate.record.schema import Record

CASES = {f"c{k:03d}": 1.0 for k in range(150)}
OLD = noisy(12.1, 8, seed=1)
QUICK, SLOW, SAME = noisy(14.0, 8), noisy(10.9, 8), noisy(12.1, 8)
QUALITY = MetricPolicy(suite="support", metric="accuracy", margin=0.05)
TODAY = date(2026, 11, 29)


def figure(metric: str = "output_throughput", **changes: Any) -> ServingPolicy:
    return ServingPolicy(suite="support", metric=metric, **changes)


def measured(new: Sequence[float], old: Sequence[float] = OLD, policy: ServingPolicy | None = None) -> ServingTest:
    return with_hypotheses(
        ServingTest(policy=policy or figure(), candidate=tuple(new), champion=tuple(old), pairs=len(new))
    )


def records(
    new: Sequence[float] | None = SAME,
    *,
    wrong: int = 0,
    policy: Policy | None = None,
    first: bool = False,
    **figures: Any,
) -> tuple[Record, Record | None]:
    """A candidate with so many wrong answers and these runs, and the champion that it is compared with."""
    policy = policy or Policy(metrics=(QUALITY,), serving=(figure(**figures),))
    scores = {case: float(k >= wrong) for k, case in enumerate(CASES)}
    candidate = make_record(scores=scores, policy=policy)
    if new is not None:
        candidate = replace(candidate, arms=(make_arms(new, None if first else OLD),))
    champion = make_record(scores=CASES, run_id="run-champion", version=7, policy=policy)
    return quicker(candidate), None if first else champion


def quicker(record: Record) -> Record:
    """Answers that took another time than the champion's, so that they are no copy."""
    results = {}
    for key, result in record.results.items():
        assert isinstance(result.answer, Generation)
        results[key] = replace(result, answer=replace(result.answer, latency_s=0.2))
    return seal(replace(record, results=results))


def decided(new: Sequence[float] | None = SAME, **changes: Any) -> Decision:
    return decide_records(*records(new, **changes), today=TODAY)


# The two together.


def test_as_good_and_as_fast_passes() -> None:
    decision = decided()
    assert decision.verdict is Verdict.PASS
    assert [metric.metric for metric in decision.metrics] == ["accuracy", "output_throughput"]
    assert [metric.unit for metric in decision.metrics] == ["", "tok/s"]


def test_as_good_and_slower_does_not() -> None:
    decision = decided(SLOW)
    assert decision.verdict is Verdict.FAIL
    assert decision.sentence == (
        "Do not ship: 1 of 2 gates failed: output throughput fell from 12.1 to 10.9 tok/s, 10.0 % (allowed: 5 %)."
    )
    assert next_step(decision).startswith("look at the runs in report.html")


def test_faster_and_worse_does_not() -> None:
    decision = decided(QUICK, wrong=40)
    assert decision.verdict is Verdict.FAIL
    assert "accuracy fell from 100 % to 73.3 %" in decision.sentence
    assert next_step(decision).startswith("look at the cases that got worse")


def test_not_measured_does_not() -> None:
    decision = decided(None)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.sentence == ("Not decided: output throughput: serving gates, and was not measured on two arms.")
    assert next_step(decision) == "run it without --no-bench; name the champion with --baseline."


def test_a_busy_machine_is_no_verdict_and_is_told_once() -> None:
    policy = Policy(metrics=(QUALITY,), serving=(figure(), figure("median_ttft_ms"), figure("mean_itl_ms")))
    candidate, champion = records(SLOW, policy=policy)
    arms = candidate.arms[0]
    candidate = replace(candidate, arms=(with_run(arms, 0, "champion", machine=busy(arms.runs[0].trace).machine),))
    decision = decide_records(candidate, champion, today=TODAY)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert len(decision.problems) == 1
    assert decision.sentence.startswith("Not decided: support::serving: the machine was busy in 1 of 16 runs, first in")
    assert len(decision.sentence.split()) <= MOST_WORDS


def test_arms_of_another_model_are_not_believed() -> None:
    candidate, champion = records(QUICK)
    theirs = candidate.arms[0].plan.champion
    assert theirs is not None
    other = replace(candidate.arms[0].plan, candidate=theirs)
    candidate = replace(candidate, arms=(replace(candidate.arms[0], plan=other),))
    decision = decide_records(candidate, champion, today=TODAY)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "the candidate's weights_digest is" in decision.problems[0].what


def test_a_figure_that_is_watched_decides_nothing() -> None:
    decision = decided(SLOW, role=Role.WATCH)
    assert decision.verdict is Verdict.PASS
    assert decision.metrics[1].verdict is Verdict.FAIL
    unmeasured = decided(None, role=Role.WATCH)
    assert unmeasured.verdict is Verdict.PASS
    assert unmeasured.metrics[1].notes == ("serving gates, and was not measured on two arms.",)


def test_a_guardrail_decides() -> None:
    assert decided(SLOW, role=Role.GUARDRAIL).verdict is Verdict.FAIL


def test_serving_alone_decides_too() -> None:
    watched = replace(QUALITY, role=Role.WATCH)
    for runs, verdict in ((SAME, Verdict.PASS), (SLOW, Verdict.FAIL)):
        assert decided(runs, policy=Policy(metrics=(watched,), serving=(figure(),))).verdict is verdict


def test_an_unknown_suite_is_refused() -> None:
    policy = Policy(metrics=(QUALITY,), serving=(ServingPolicy(suite="supprt", metric="output_throughput"),))
    with pytest.raises(PolicyError, match="unknown suite 'supprt'"):
        decided(policy=policy)


# The first run of all.


def test_the_first_run_can_become_the_baseline() -> None:
    decision = recorded(decided(None, first=True))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.is_baseline
    assert decision.exit_code == 0
    assert decision.sentence == "Recorded as baseline: 2 gates have nothing to compare with yet."


def test_a_limit_holds_for_the_first_run_too() -> None:
    kept, broken, unmeasured = (
        recorded(decided(runs, first=True, margin=None, min=11.5)) for runs in (SAME, SLOW, None)
    )
    assert (
        kept.sentence
        == "Recorded as baseline: 1 gate has nothing to compare with yet; 1 with a limit of its own passed."
    )
    assert kept.exit_code == 0
    assert broken.verdict is Verdict.FAIL
    assert unmeasured.exit_code == 3


# One family of p-values.


def table(wrong: int) -> ScoreTable:
    items = (ItemScore(item_id=case, score=float(k >= wrong)) for k, case in enumerate(CASES))
    return ScoreTable.of(items, suite="support", metric="accuracy")


def both(wrong: int, serving: Sequence[ServingTest], today: date | None = None, waivers: Any = ()) -> Decision:
    policy = Policy(metrics=(QUALITY,), serving=tuple(test.policy for test in serving), waivers=waivers)
    new, old = Evidence(tables=(table(wrong),)), Evidence(tables=(table(0),))
    return decide_tests([run_test(QUALITY, new, old)], new, old, policy, serving=serving, today=today)


def test_p_values_of_both_kinds_are_adjusted_together() -> None:
    serving = [
        measured(noisy(11.8, 8, cv=0.03), policy=figure(min=12.0)),
        measured([1 / x for x in SLOW], [1 / x for x in OLD], figure("median_ttft_ms")),
        measured(SLOW, policy=figure("request_throughput", role=Role.WATCH)),
    ]
    new, old = Evidence(tables=(table(7),)), Evidence(tables=(table(0),))
    quality = run_test(QUALITY, new, old)
    p_values = [test.p for test in (*quality.hypotheses, *serving[0].hypotheses, *serving[1].hypotheses)]
    assert len(p_values) == 4
    adjusted = multipletests(p_values, method="holm")[1]
    metrics = both(7, serving).metrics
    assert [metrics[0].p_worse, metrics[1].p_worse, metrics[2].p_worse] == pytest.approx(
        [adjusted[0], adjusted[1], adjusted[3]]
    )
    assert metrics[3].p_worse == serving[2].hypotheses[0].p, "what is only watched adds nothing to the family"


def test_a_loss_that_may_be_chance_among_all_tests_is_no_fail() -> None:
    # p is between 0.05 / 4 and 0.05.
    slower = measured(noisy(11.75, 8, cv=0.035, seed=6), policy=figure(margin=0.02))
    assert slower.comparison is not None
    assert slower.comparison.worse
    assert 0.05 / 4 < slower.comparison.p < 0.05
    assert decide_serving([slower]).verdict is Verdict.FAIL
    others = [measured(QUICK, policy=figure(name)) for name in ("request_throughput", "total_token_throughput")]
    decision = both(0, [slower, *others])
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.sentence == "Not decided: output throughput looks worse, but that may be chance among 4 tests."
    assert "which is not enough for a FAIL after adjusting for 4 tests" in decision.metrics[1].reason


@given(wrong=st.integers(0, 12), middle=st.floats(10.0, 14.0), seed=st.integers(0, 50))
def test_serving_never_makes_a_pass_of_anything(wrong: int, middle: float, seed: int) -> None:
    serving = [measured(noisy(middle, 8, cv=0.03, seed=seed))]
    alone, together = both(wrong, []), both(wrong, serving)
    if together.verdict is Verdict.PASS:
        assert alone.verdict is Verdict.PASS
        assert decide_serving(serving).verdict is Verdict.PASS
    if alone.verdict is Verdict.FAIL and together.verdict is not Verdict.FAIL:
        assert together.metrics[0].p_worse is not None
        assert together.metrics[0].p_worse > 0.05


def test_what_a_policy_asks_and_nobody_tested_was_not_measured() -> None:
    policy = Policy(metrics=(QUALITY,), serving=(figure(),))
    sides = Evidence(tables=(table(0),)), Evidence(tables=(table(0),))
    for decision in (
        decide(*sides, policy),
        decide_tests([run_test(QUALITY, *sides)], *sides, policy),
        decide_tests([run_test(QUALITY, *sides)], *sides, policy, serving=[measured(QUICK, policy=figure(margin=0.5))]),
    ):
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert [problem.where for problem in decision.barring] == ["support::serving::output_throughput"]


def test_old_decisions_know_nothing_of_units() -> None:
    text = decision_to_json(both(0, []))
    assert '"unit"' not in text
    assert decision_from_json(text) == both(0, [])


def test_decisions_with_serving_are_read_back() -> None:
    decision = both(3, [measured(SLOW, policy=figure(min=11.0)), measured(SAME, policy=figure("request_throughput"))])
    assert decision_from_json(decision_to_json(decision)) == decision


# Waivers, forgeries.


def waiver(target: str) -> Waiver:
    return Waiver(suite="support", metric=target, until="2026-12-31", by="Ada", reason="known")


def test_a_waiver_of_a_figure_holds() -> None:
    decision = both(0, [measured(SLOW)], today=TODAY, waivers=(waiver("output_throughput"),))
    assert decision.verdict is Verdict.PASS
    assert decision.metrics[1].waived
    assert decision.waivers[0].target == "support::output_throughput"
    assert "1 waiver" in decision.sentence
    assert both(0, [measured(SLOW)], waivers=(waiver("output_throughput"),)).verdict is Verdict.FAIL, "no day is known"


def test_a_waiver_does_not_excuse_that_nothing_was_measured() -> None:
    policy = Policy(metrics=(QUALITY,), serving=(figure(),), waivers=(waiver("output_throughput"),))
    assert decided(None, policy=policy).verdict is Verdict.INCONCLUSIVE


def test_speed_does_not_vouch_for_answers_that_can_be_forged() -> None:
    policy = Policy(metrics=(QUALITY,), serving=(figure(),))
    new = Evidence(tables=(table(0),), forgeable=frozenset({("support", "accuracy")}))
    old = Evidence(tables=(table(0),))
    decision = decide_tests([run_test(QUALITY, new, old)], new, old, policy, serving=[measured(QUICK)])
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "could forge them" in decision.problems[0].what


# By hand, without answers.


def test_two_servers_by_hand() -> None:
    assert decide_serving([measured(SAME)]).exit_code == 0
    assert decide_serving([measured(SLOW)]).exit_code == 1
    assert decide_serving([measured(noisy(12.1, 8, cv=0.2))]).exit_code == 3
    nothing = decide_serving([])
    assert nothing.verdict is Verdict.INCONCLUSIVE
    assert nothing.sentence == "Not decided: policy: no metric gates, so nothing was decided."
    assert decide_serving([measured(SLOW, policy=figure(role=Role.WATCH))]).exit_code == 3, "nothing gates"


def test_one_figure_twice_is_refused() -> None:
    with pytest.raises(PolicyError, match="two metrics are called"):
        decide_serving([measured(SAME), measured(SAME)])


# Words.


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        (measured(SAME), "Ship: output throughput passes, at most 1.0 % lower where 5 % is allowed."),
        (measured(QUICK), "Ship: output throughput passes, at least 14.6 % higher."),
        (measured(SLOW), "Do not ship: output throughput fell from 12.1 to 10.9 tok/s, 10.0 % (allowed: 5 %)."),
        # A loss that is real, and whose estimate alone is no more than the margin.
        (
            measured(noisy(11.6, 8, cv=0.02, seed=6)),
            "Do not ship: output throughput is 2.6 to 6.2 % lower (allowed: 5 %).",
        ),
        (
            measured(noisy(12.1, 8, cv=0.09)),
            "Not decided: 8 pairs of runs cannot rule out 5 % less output throughput. Add about 6 pairs and run again.",
        ),
        (
            measured([1e3 / x for x in SLOW], [1e3 / x for x in OLD], figure("median_ttft_ms", margin=0.08)),
            "Do not ship: median TTFT rose from 82.8 to 92.0 ms, 11.2 % (allowed: 8 %).",
        ),
        (
            measured([1e3 / x for x in SAME], [1e3 / x for x in OLD], figure("mean_e2el_ms")),
            "Ship: mean E2E latency passes, at most 1.0 % higher where 5 % is allowed.",
        ),
        (
            measured([1e3 / x for x in SAME], (), figure("median_itl_ms", margin=None, max=90.0)),
            "Ship: median ITL passes, at most 83.3 ms where 90 ms is allowed.",
        ),
        (
            measured([1e3 / x for x in SAME], (), figure("median_itl_ms", margin=None, max=80.0)),
            "Do not ship: median ITL is 82.9 ms (allowed: at most 80 ms).",
        ),
        (
            measured(SAME, (), figure("request_goodput", margin=None, min=12.05)),
            "Not decided: 8 runs cannot show that goodput is at least 12.05 req/s.",
        ),
    ],
)  # fmt: skip
def test_it_reads_like_this(test: ServingTest, sentence: str) -> None:
    assert decide_serving([test]).sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (measured(SAME), "output throughput at most 1.0 % lower (95 %), tolerance 5 %; 8 pairs of runs."),
        (
            measured(SLOW),
            "output throughput is 10.0 % lower (12.1 → 10.9 tok/s), between 9.2 and 10.8 % (95 % each), tolerance 5 %;"
            " 8 pairs of runs.",
        ),
        (
            measured([1e3 / x for x in SAME], (), figure("median_itl_ms", margin=None, max=90.0)),
            "median ITL at most 83.3 ms (95 %), 90 ms allowed; 8 runs.",
        ),
        (
            measured(SLOW, (), figure(margin=None, min=11.5)),
            "output throughput at most 10.9 tok/s (95 %), 11.5 tok/s required; 8 runs.",
        ),
    ],
)  # fmt: skip
def test_reasons_read_like_this(test: ServingTest, reason: str) -> None:
    assert decide_serving([test]).metrics[0].reason == reason


def test_the_closest_call_is_found_across_kinds() -> None:
    # Of 3 % throughput 1.0 are used up, of 5 points 1.8.
    near = both(0, [measured(SAME, policy=figure(margin=0.03))])
    assert near.sentence == (
        "Ship: both gates pass. Closest call: accuracy, at most 1.8 points worse where 5 are allowed."
    )
    nearer = both(0, [measured(SAME, policy=figure(margin=0.011))])
    assert nearer.sentence == (
        "Ship: both gates pass. Closest call: output throughput, at most 1.0 % lower where 1.1 % is allowed."
    )


def test_the_worst_loss_is_found_across_kinds() -> None:
    # 26.7 points where 5 are allowed are more than 10 % where 5 are, and less than 10 % where 1 is.
    assert both(40, [measured(SLOW)]).sentence.startswith("Do not ship: both gates failed. Worst: accuracy fell")
    worst = both(40, [measured(SLOW, policy=figure(margin=0.01))])
    assert worst.sentence.startswith("Do not ship: both gates failed. Worst: output throughput fell")


def test_details_tell_runs_from_cases() -> None:
    lines = dict(detail_lines(both(3, [measured(SAME), measured(SAME, policy=figure("request_throughput"))])))
    assert lines["Cases"] == "150 cases per gate, all evaluated."
    assert lines["Runs"] == "8 pairs of runs per serving gate, all valid."
    assert lines["Flips"] == "3 of 150 gated scores changed: 0 better, 3 worse."
    assert "Cases" not in dict(detail_lines(decide_serving([measured(SAME)])))
    assert "An unchanged server would pass this gate more than 99 % of the time; a true loss of 5 % would" in said(
        decide_serving([measured(SAME)])
    )


def test_numbers_of_a_decision() -> None:
    slow, latency, limit = decide_serving(
        [
            measured(SLOW),
            measured([1e3 / x for x in SLOW], [1e3 / x for x in OLD], figure("median_ttft_ms")),
            measured([1e3 / x for x in SAME], (), figure("median_itl_ms", margin=None, max=90.0)),
        ]
    ).metrics
    assert slow.candidate is not None
    assert slow.champion is not None
    assert slow.delta == pytest.approx(slow.candidate / slow.champion - 1.0)
    assert slow.delta == pytest.approx(-0.1, abs=0.005)
    assert slow.lower is not None
    assert slow.upper is not None
    assert slow.delta is not None
    assert slow.lower < slow.delta < slow.upper < 0.0
    assert (slow.better, slow.worse, slow.expected, slow.evaluated, slow.errors) == (0, 8, 8, 8, 0)
    assert latency.candidate is not None
    assert latency.champion is not None
    assert latency.delta == pytest.approx(1.0 - latency.candidate / latency.champion), "11 % more is a loss of 0.11"
    assert (latency.better, latency.worse, latency.unit) == (0, 8, "ms")
    assert limit.reference == "threshold"
    assert limit.lower is not None
    assert limit.upper is not None
    assert limit.candidate is not None
    assert limit.lower < limit.candidate < limit.upper < 90.0
    assert (limit.delta, limit.margin, limit.max) == (None, None, 90.0)


def test_chances_of_a_serving_gate() -> None:
    (metric,) = decide_serving([measured(noisy(12.1, 8, cv=0.09))]).metrics
    assert metric.pass_if_unchanged is not None
    assert 0.2 < metric.pass_if_unchanged < 0.8
    assert metric.pass_if_margin_lost == pytest.approx(0.05, abs=1e-6)


def test_the_headline_of_a_serving_gate_has_no_discordance() -> None:
    head = headline(decide_serving([measured(SAME)]))
    assert (head["metric"], head["n"], head["discordance"]) == ("output_throughput", 8, None)


@given(
    middle=st.floats(0.01, 1e5),
    change=st.floats(0.3, 3.0),
    cv=st.sampled_from([1e-4, 0.01, 0.3]),
    metric=st.sampled_from(["output_throughput", "request_goodput", "p95_e2el_ms", "median_ttft_ms"]),
    limited=st.booleans(),
)
def test_sentences_are_short_and_whole(middle: float, change: float, cv: float, metric: str, limited: bool) -> None:
    limit = {("max" if metric.endswith("_ms") else "min"): middle} if limited else {}
    test = measured(noisy(middle * change, 8, cv=cv), noisy(middle, 8, cv=cv, seed=2), figure(metric, **limit))
    decision = decide_serving([test])
    assert len(decision.sentence.split()) <= MOST_WORDS
    assert decision.sentence.endswith(".")
    assert decision.metrics[0].reason.endswith(".")
    for text in (decision.sentence, decision.metrics[0].reason):
        assert not any(word in text for word in ("nan", "inf", "-0", "None", " 1 pairs", "..", "  "))
