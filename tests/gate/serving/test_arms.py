"""Serving figures on two arms: first what must never pass, then the rule against scipy, then what changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from support.records import make_manifest, make_record
from support.serving_runs import busy, make_arms, make_plan, make_trace, noisy, with_run

from llmgate.gate.decide import decide_serving
from llmgate.gate.decision.types import NOTHING_TO_COMPARE, Verdict
from llmgate.gate.metrics.metric import ServingTest
from llmgate.gate.serving.arms import (
    arms_problem,
    run_serving_test,
    run_serving_tests,
    with_hypotheses,
)
from llmgate.record.manifest import Hardware
from llmgate.record.policy import Role
from llmgate.record.serving.plan import LEAST_PAIRS, ServiceLevels
from llmgate.record.serving.policy import SERVING_FIGURES, ServingPolicy
from llmgate.record.serving.trace import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmgate.gate.decision.types import Decision
    from llmgate.gate.metrics.metric import HypothesisTest
    from llmgate.record.arms import ArmRun, ServingArms

NEW, OLD = noisy(100, 8), noisy(100, 8, seed=1)


def gate(metric: str = "output_throughput", **changes: Any) -> ServingPolicy:
    return ServingPolicy(suite="support", metric=metric, **changes)


def run_test(arms: ServingArms | None, policy: ServingPolicy | None = None, *, champion: bool = True) -> ServingTest:
    return run_serving_test(policy or gate(), arms, champion=champion)


def decide(test: ServingTest) -> Decision:
    return decide_serving([test])


def test_equal_arms_pass() -> None:
    assert decide(run_test(make_arms(NEW, OLD))).verdict is Verdict.PASS


# What must never pass.


ONCE = "Both servers were started once: what differs from start to start is part of the difference."


def pair_of(arms: ServingArms, **changes: Any) -> ServingArms:
    """Both runs of pair 2."""
    return with_run(with_run(arms, 1, "candidate", **changes), 1, "champion", **changes)


def failing(trace: Any) -> Any:
    return replace(trace.requests[0], error="HTTP 500: injected")


def again(arms: ServingArms, *, because: str = "") -> ServingArms:
    """The candidate's run of pair 1 made once more, after one that was discarded if a reason is given."""
    first = next(run for run in arms.runs if run.arm == "candidate")
    more: list[ArmRun] = [replace(first, position=90, discarded=because)] if because else []
    return replace(arms, runs=(*arms.runs, *more, replace(first, position=99)))


BAD: dict[str, tuple[Callable[[ServingArms], ServingArms], str]] = {
    "a busy machine": (
        lambda arms: with_run(arms, 2, "champion", machine=busy(arms.runs[0].trace).machine),
        "the machine was busy in 1 of 16 runs, first in the champion's in pair 3: other processes used",
    ),
    "an invalid run": (
        lambda arms: with_run(
            arms, 0, "candidate", requests=(failing(arms.runs[0].trace), *arms.runs[0].trace.requests[1:])
        ),
        "1 of 16 runs is invalid, first the candidate's in pair 1: 1 of 12 requests failed",
    ),
    "a slow client": (
        lambda arms: with_run(arms, 5, "champion", client_cpu_s=1e9),
        "1 of 16 runs is invalid, first the champion's in pair 6: the client used",
    ),
    "a missing run": (lambda arms: replace(arms, runs=arms.runs[:-1]), "7 of 8 pairs of runs were measured"),
    "a discarded run": (
        lambda arms: with_run(
            arms, 3, "champion", discarded="somebody compiled", machine=busy(arms.runs[0].trace).machine
        ),
        "7 of 8 pairs of runs were measured",
    ),
    "a run that was discarded as the client was late": (
        lambda arms: with_run(arms, 3, "champion", discarded="late", client_lag_s=(9.0,), client_blocked_s=9.0),
        "7 of 8 pairs of runs were measured",
    ),
    "a run that was discarded for nothing": (
        lambda arms: with_run(arms, 3, "champion", discarded="somebody compiled"),
        "a run of pair 4 was discarded, and nothing had disturbed it or its partner",
    ),
    "a run that was discarded for what its own partner shows, which counts": (
        lambda arms: with_run(
            with_run(arms, 3, "champion", discarded="somebody compiled"),
            3,
            "candidate",
            machine=busy(arms.runs[0].trace).machine,
        ),
        "the machine was busy in 1 of 15 runs",
    ),
    "other prompts on one arm": (
        lambda arms: with_run(arms, 4, "champion", workload_digest="1" * 64),
        "workload_digest is 0000",
    ),
    "another workload in one pair": (
        lambda arms: pair_of(arms, workload="9 others"),
        "workload is 12 prompts of a test",
    ),
    "another client": (
        lambda arms: pair_of(arms, client_version="older"),
        "client_version is test in the candidate's in",
    ),
    "another load": (
        lambda arms: pair_of(arms, concurrency=3),
        "concurrency is 2 in the candidate's in pair 1 and 3 in",
    ),
    "other arrivals": (lambda arms: pair_of(arms, arrivals=Arrivals(kind="poisson", rate=4.0)), "arrivals is"),
    "fewer requests": (
        lambda arms: pair_of(arms, requests=arms.runs[0].trace.requests[:10]),
        "requests is 12 in the candidate's in pair 1 and 10 in",
    ),
    "a run that was replaced": (again, "a run of pair 1 was made again, and nothing says why"),
    "five pairs": (
        lambda _: make_arms(NEW[:5], OLD[:5]),
        "5 pairs of runs were planned, and at least 6 decide",
    ),
    "one pair": (lambda _: make_arms(NEW[:1], OLD[:1]), "1 pair of runs were planned"),
    "no run at all": (lambda arms: replace(arms, runs=()), "0 of 8 pairs of runs were measured"),
    "no pairs": (lambda arms: replace(arms, runs=(), plan=replace(arms.plan, pairs=0)), "0 pairs of runs were planned"),
    "equal runs": (lambda _: make_arms([100.0] * 8, [100.0] * 8), "all 8 values are equal"),
    "equal ratios": (lambda _: make_arms([2 * x for x in OLD], OLD), "all 8 values are equal"),
    "no champion": (lambda _: make_arms(NEW, None), "serving was measured without the champion"),
}


@pytest.mark.parametrize("name", BAD)
def test_it_never_passes(name: str) -> None:
    break_it, says = BAD[name]
    test = run_test(break_it(make_arms(NEW, OLD)))
    assert test.problem is not None
    assert says in test.problem.what
    assert test.problem.fix
    assert test.problem.where.startswith("support::serving")
    decision = decide(test)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.metrics[0].verdict is Verdict.INCONCLUSIVE
    assert decision.exit_code == 3
    assert decision.barring == (test.problem,)


def test_what_was_not_measured_never_passes() -> None:
    test = run_test(None)
    assert test.problem is not None
    assert test.problem.what == "serving gates, and was not measured on two arms"
    assert test.problem.fix == "Run it without --no-bench; name the champion with --baseline"
    assert decide(test).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "change", ["a busy machine", "another load", "a run that was replaced", "other prompts on one arm"]
)
def test_what_may_not_be_compared_is_not_tested(change: str) -> None:
    test = run_test(BAD[change][0](make_arms(noisy(50, 8), OLD)))
    assert test.hypotheses == ()
    assert decide(test).verdict is Verdict.INCONCLUSIVE, "a loss by half, which nobody can see on a busy machine"


@pytest.mark.parametrize("change", ["an invalid run", "a missing run", "a discarded run"])
def test_the_other_pairs_may_still_show_a_loss(change: str) -> None:
    test = run_test(BAD[change][0](make_arms(noisy(80, 8), OLD)))
    assert len(test.candidate) == 7
    decision = decide(test)
    assert decision.verdict is Verdict.FAIL
    assert decision.metrics[0].errors == 1


def test_fewer_valid_pairs_than_decide_show_nothing() -> None:
    arms = make_arms(noisy(50, 8), OLD)
    test = run_test(replace(arms, runs=arms.runs[:10]))
    assert len(test.candidate) == 5
    assert test.hypotheses == ()


@pytest.mark.parametrize(
    ("metric", "trace", "says"),
    [
        ("median_tpot_ms", {"completion_tokens": 1}, "the candidate's in pair 1 does not exist"),
        ("total_token_throughput", {"prompt_tokens": None}, "the candidate's in pair 1 does not exist"),
    ],
)
def test_a_figure_that_does_not_exist(metric: str, trace: dict[str, Any], says: str) -> None:
    def changed(value: float) -> Any:
        made = make_trace(value)
        return replace(made, requests=tuple(replace(request, **trace) for request in made.requests))

    test = run_test(make_arms([changed(x) for x in NEW], [changed(x) for x in OLD]), gate(metric))
    assert test.problem is not None
    assert says in test.problem.what
    assert test.hypotheses == ()


def test_goodput_needs_service_levels() -> None:
    test = run_test(make_arms(NEW, OLD), gate("request_goodput"))
    assert test.problem is not None
    assert test.problem.what == "goodput has no service levels"


@pytest.mark.parametrize("levels", [{"ttft": 3.0}, {"ttft_ms": -1.0}, {"ttft_ms": math.nan}])
def test_service_levels_that_are_none(levels: dict[str, float]) -> None:
    test = run_test(make_arms(NEW, OLD, levels=levels), gate("request_goodput"))
    assert test.problem is not None
    assert "service level" in test.problem.what


def test_a_goodput_of_0_has_no_ratio() -> None:
    arms = make_arms(NEW, OLD, levels={"ttft_ms": 1e-3})
    test = run_test(arms, gate("request_goodput"))
    assert test.problem is not None
    assert test.problem.what == "the candidate's in pair 1 is 0, so that it has no ratio"


def test_goodput_is_tested_with_the_levels_of_the_plan() -> None:
    arms = make_arms(NEW, OLD, levels={"ttft_ms": 1e6})
    assert run_test(arms, gate("request_goodput")).candidate == pytest.approx([x / 8 for x in NEW])
    other = run_serving_test(gate("request_goodput"), arms, champion=True, levels=ServiceLevels(ttft_ms=1e-3))
    assert other.problem is not None, "levels that are given hold instead"


@pytest.mark.parametrize(("metric", "needed"), [("p90_ttft_ms", 100), ("p95_itl_ms", 200), ("p99_e2el_ms", 1000)])
def test_a_tail_needs_requests(metric: str, needed: int) -> None:
    arms = make_arms(noisy(50, 8), OLD)
    test = run_test(arms, gate(metric))
    assert test.problem is not None
    assert f"runs of 12 requests are too short for this percentile, which needs {needed:,}" in test.problem.what
    assert test.hypotheses == (), "a loss is not shown by it either"
    assert run_test(arms, gate(metric, role=Role.WATCH)).hypotheses, "it may be watched"


def test_a_tail_with_enough_requests_is_tested() -> None:
    arms = make_arms(NEW[:6], OLD[:6], trace={"requests": 100})
    assert run_test(arms, gate("p90_ttft_ms")).problem is None


# Identities.


def test_records_and_arms_that_belong_together() -> None:
    candidate = make_record()
    champion = make_record(run_id="run-champion", version=7)
    assert arms_problem(make_arms(NEW, OLD), candidate, champion) is None
    assert arms_problem(make_arms(NEW, None), candidate, None) is None
    assert arms_problem(None, candidate, champion) is None


def endpoint(run_id: str, name: str, source: str) -> Any:
    manifest = make_manifest(run_id=run_id)
    return replace(manifest, model=replace(manifest.model, name=name, source=source, weights_digest=None))


@pytest.mark.parametrize(
    ("candidate", "champion", "says"),
    [
        (make_manifest(version=9), None, "the candidate's weights_digest is"),
        (make_manifest(), make_manifest(run_id="c", version=6), "the champion's weights_digest is"),
        (endpoint("a", "support-bot", "models/support-bot-v8"), None, "weights_digest is"),
        (replace(make_manifest(), hardware=Hardware(cpu="other", cores=16, memory_gib=128.0)), None, "hardware.cpu is"),
        (
            replace(make_manifest(), hardware=replace(make_manifest().hardware, driver="1")),
            None,
            "hardware.driver is 580.65 for serving and 1 for the run",
        ),
        (
            replace(make_manifest(), hardware=replace(make_manifest().hardware, memory_gib=64.0)),
            None,
            "hardware.memory_gib is 128.0 for serving and 64.0",
        ),
    ],
)
def test_arms_of_other_models_or_machines(candidate: Any, champion: Any, says: str) -> None:
    arms = make_arms(NEW, OLD)
    problem = arms_problem(
        arms, make_record(manifest=candidate), None if champion is None else make_record(manifest=champion)
    )
    assert problem is not None
    assert says in problem.what
    (test,) = run_serving_tests([gate()], [arms], champion=True, unfit=[problem])
    assert (test.problem, test.hypotheses) == (problem, ())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"flags": ("--quantization", "fp8")},
            "the candidate's server has flags --max-model-len 4096 --dtype bfloat16 for",
        ),
        ({"version": "0.24.0"}, "the candidate's server has version 0.25.1 for serving and 0.24.0 in its run"),
        ({"engine": "sglang"}, "the candidate's server has engine vllm for serving and sglang in its run"),
    ],
)
def test_what_answered_is_what_was_measured(changes: dict[str, Any], says: str) -> None:
    manifest = make_manifest()
    manifest = replace(manifest, server=replace(manifest.server, **changes))
    problem = arms_problem(make_arms(NEW, OLD), make_record(manifest=manifest), None)
    assert problem is not None
    assert says in problem.what


def test_endpoints_are_known_by_name_and_address() -> None:
    ours = endpoint("a", "bot", "http://10.0.0.1/v1/")
    arms = make_arms(NEW, OLD, plan=make_plan(8, candidate=ours))
    assert arms_problem(arms, make_record(manifest=endpoint("b", "bot", "http://10.0.0.1/v1")), None) is None
    for other in (endpoint("b", "bot", "http://10.0.0.2/v1"), endpoint("b", "robot", "http://10.0.0.1/v1")):
        problem = arms_problem(arms, make_record(manifest=other), None)
        assert problem is not None
        assert "model" in problem.what


def test_a_little_memory_more_or_less_is_the_same_machine() -> None:
    manifest = replace(make_manifest(), hardware=replace(make_manifest().hardware, memory_gib=127.6))
    assert arms_problem(make_arms(NEW, OLD), make_record(manifest=manifest), None) is None


def test_two_measurements_of_a_suite_are_none() -> None:
    arms = make_arms(NEW, OLD)
    (test,) = run_serving_tests([gate()], [arms, arms], champion=True)
    assert test.problem is not None
    assert test.problem.what == "serving was measured twice"


def test_other_suites_are_not_looked_at() -> None:
    other = make_arms(noisy(10, 8), OLD, plan=make_plan(8, suite="other"))
    (test,) = run_serving_tests([gate()], [other, make_arms(NEW, OLD)], champion=True)
    assert test.problem is None
    assert test.candidate == pytest.approx(NEW)


# Notes.


def test_servers_may_differ_and_are_named() -> None:
    old = make_manifest(run_id="c", version=7)
    old = replace(old, server=replace(old.server, version="0.24.0", flags=()))
    notes = run_test(make_arms(NEW, OLD, plan=make_plan(8, champion=old))).notes
    assert "The arms differ in the server's version: 0.24.0 → 0.25.1." in notes
    assert "The arms differ in the server's flags: none → --max-model-len 4096 --dtype bfloat16." in notes


def test_shorter_answers_and_other_tokenizers_are_named() -> None:
    arms = make_arms([make_trace(x, tokens=6, prompt_tokens=12) for x in NEW], OLD)
    notes = " ".join(run_test(arms).notes)
    assert "answers have 8 → 6 tokens on average: requests per second" in notes
    assert "the same prompts count 10 → 12 tokens on average: another tokenizer" in notes
    assert run_test(make_arms(NEW, OLD)).notes == (ONCE,)


def test_servers_that_were_started_for_every_run_share_no_start() -> None:
    assert run_test(make_arms(NEW, OLD, plan=make_plan(8, hosting="restarts"))).notes == ()


def test_what_was_not_watched_is_named() -> None:
    arms = with_run(make_arms(NEW, OLD), 0, "champion", machine=None)
    assert any(note.startswith("Not checked whether other processes were busy") for note in run_test(arms).notes)


def test_a_pair_that_was_made_again_for_a_reason_counts() -> None:
    test = run_test(again(make_arms(NEW, OLD), because="somebody compiled"))
    assert test.problem is None
    assert test.notes == (ONCE, "1 run was discarded and made again, first because somebody compiled.")


# The rule, against scipy.

ratios = st.lists(st.floats(0.5, 2.0), min_size=LEAST_PAIRS, max_size=12, unique=True)


def of_figures(new: Sequence[float], old: Sequence[float], policy: ServingPolicy | None = None) -> ServingTest:
    """As of runs that have these figures."""
    return with_hypotheses(
        ServingTest(policy=policy or gate(), candidate=tuple(new), champion=tuple(old), pairs=len(new))
    )


def test_runs_are_tested_by_their_figures() -> None:
    for metric, turn in (("output_throughput", 1.0), ("mean_ttft_ms", 1e3 * 2 * 8 / 5)):
        of_runs = run_test(make_arms(NEW, OLD), gate(metric, margin=0.1))
        new, old = ([turn * x if turn == 1.0 else turn / x for x in side] for side in (NEW, OLD))
        plain = of_figures(new, old, gate(metric, margin=0.1))
        assert of_runs.candidate == pytest.approx(plain.candidate)
        assert of_runs.comparison is not None
        assert plain.comparison is not None
        assert of_runs.comparison.interval.lower == pytest.approx(plain.comparison.interval.lower)


@given(ratios=ratios, alpha=st.sampled_from([0.01, 0.05, 0.2]), margin=st.sampled_from([0.02, 0.05, 0.3]))
def test_throughput_agrees_with_scipy(ratios: list[float], alpha: float, margin: float) -> None:
    old = noisy(100, len(ratios), cv=0.2)
    new = [ratio * before for ratio, before in zip(ratios, old, strict=True)]
    test = of_figures(new, old, gate(alpha=alpha, margin=margin))
    assume(test.comparison is not None)
    assert test.comparison is not None
    interval = stats.ttest_rel(np.log(new), np.log(old)).confidence_interval(1 - 2 * alpha)
    assert test.comparison.interval.lower == pytest.approx(interval.low, abs=1e-9)
    assert test.comparison.interval.upper == pytest.approx(interval.high, abs=1e-9)
    worse = stats.ttest_rel(np.log(new), np.log(old), alternative="less")
    assert test.comparison.p == pytest.approx(worse.pvalue, abs=1e-9)
    no_worse = stats.ttest_rel(np.log(new), np.log(old) + math.log(1 - margin), alternative="greater")
    if abs(no_worse.pvalue - alpha) > 1e-9:
        assert test.comparison.passed == (no_worse.pvalue < alpha)
    if abs(worse.pvalue - alpha) > 1e-9:
        assert test.comparison.worse == (worse.pvalue < alpha and not test.comparison.passed)


@given(ratios=ratios, margin=st.sampled_from([0.02, 0.1]))
def test_latency_agrees_with_scipy(ratios: list[float], margin: float) -> None:
    old = noisy(20, len(ratios), cv=0.05)
    slow = [ratio * before for ratio, before in zip(ratios, old, strict=True)]
    test = of_figures(slow, old, gate("median_ttft_ms", margin=margin))
    assume(test.comparison is not None)
    assert test.comparison is not None
    worse = stats.ttest_rel(np.log(slow), np.log(old), alternative="greater")
    assert test.comparison.p == pytest.approx(worse.pvalue, abs=1e-9)
    no_worse = stats.ttest_rel(np.log(slow), np.log(old) + math.log(1 + margin), alternative="less")
    if abs(no_worse.pvalue - 0.05) > 1e-9:
        assert test.comparison.passed == (no_worse.pvalue < 0.05)


@given(
    values=st.lists(st.floats(50, 200), min_size=LEAST_PAIRS, max_size=10, unique=True),
    limit=st.floats(60, 180),
    metric=st.sampled_from(["output_throughput", "median_itl_ms"]),
)
def test_a_limit_agrees_with_scipy(values: list[float], limit: float, metric: str) -> None:
    high = metric == "output_throughput"
    test = of_figures(values, (), gate(metric, margin=None, **{"min" if high else "max": limit}))
    assume(test.floor is not None)
    assert test.floor is not None
    assert test.comparison is None
    above = stats.ttest_1samp(np.log(values), math.log(limit), alternative="greater").pvalue
    below = stats.ttest_1samp(np.log(values), math.log(limit), alternative="less").pvalue
    good, bad = (above, below) if high else (below, above)
    assert test.floor.p == pytest.approx(bad, abs=1e-9)
    assert test.floor.passed == (good < 0.05)
    assert test.floor.worse == (bad < 0.05)


@pytest.mark.parametrize(
    ("metric", "ratio", "passes"),
    [
        ("output_throughput", 0.9505, True),
        ("output_throughput", 0.9495, False),
        ("median_ttft_ms", 1.0495, True),
        ("median_ttft_ms", 1.0505, False),
    ],
)
def test_the_margin_is_one_of_ratios(metric: str, ratio: float, *, passes: bool) -> None:
    new = [ratio * x * jitter for x, jitter in zip(OLD, noisy(1.0, 8, cv=1e-6, seed=3), strict=True)]
    test = of_figures(new, OLD, gate(metric))
    assert test.comparison is not None
    assert test.comparison.passed is passes
    assert test.comparison.worse is not passes


def test_six_pairs_are_enough() -> None:
    for new, verdict in ((NEW, Verdict.PASS), (noisy(80, 8), Verdict.FAIL)):
        assert decide(run_test(make_arms(new[:LEAST_PAIRS], OLD[:LEAST_PAIRS]))).verdict is verdict
    assert LEAST_PAIRS == 6


def test_a_maximum_of_a_latency() -> None:
    slow = [make_trace(x, ttft_ms=1e3 * 1.6 / x) for x in NEW]
    passing, failing_ = (
        run_test(make_arms(slow, None), gate("median_ttft_ms", margin=None, max=limit), champion=False)
        for limit in (20.0, 12.0)
    )
    assert decide(passing).verdict is Verdict.PASS
    assert decide(failing_).verdict is Verdict.FAIL


def test_both_may_be_asked_and_both_must_pass() -> None:
    arms = make_arms(NEW, OLD)
    assert decide(run_test(arms, gate(min=90.0))).verdict is Verdict.PASS
    both = run_test(arms, gate(min=110.0))
    assert len(both.hypotheses) == 2
    assert decide(both).verdict is Verdict.FAIL


def test_a_limit_alone_needs_no_champion() -> None:
    for arms, champion in ((make_arms(NEW, None), True), (make_arms(NEW, None), False), (make_arms(NEW, OLD), False)):
        test = run_test(arms, gate(margin=None, min=90.0), champion=champion)
        assert test.problem is None
        assert decide(test).verdict is Verdict.PASS
        assert decide(test).metrics[0].reference == "threshold"


def test_without_a_champion_a_margin_has_nothing_to_compare_with() -> None:
    for arms in (None, make_arms(NEW, None), make_arms(NEW, OLD)):
        test = run_test(arms, champion=False)
        assert test.problem is not None
        assert test.problem.what == NOTHING_TO_COMPARE
        assert decide(test).metrics[0].reference == "none"


# What changes nothing.

figures = st.lists(st.floats(80, 120), min_size=7, max_size=7)
metrics = st.sampled_from(["output_throughput", "request_goodput", "median_ttft_ms", "mean_e2el_ms"])


def compared(new: Sequence[float], old: Sequence[float], metric: str = "output_throughput") -> HypothesisTest:
    test = of_figures(new, old, gate(metric))
    assume(test.comparison is not None)
    assert test.comparison is not None
    return test.comparison


@given(new=figures, old=figures, metric=metrics)
def test_swapping_the_arms_mirrors_the_interval(new: list[float], old: list[float], metric: str) -> None:
    here, there = compared(new, old, metric), compared(old, new, metric)
    assert here.interval.lower == pytest.approx(-there.interval.upper, abs=1e-12)
    assert here.interval.estimate == pytest.approx(-there.interval.estimate, abs=1e-12)
    assert here.p == pytest.approx(1.0 - there.p, abs=1e-9)
    assert not (here.worse and there.worse)


@given(new=figures, old=figures, metric=metrics, factor=st.floats(0.05, 20.0))
def test_a_faster_machine_changes_nothing(new: list[float], old: list[float], metric: str, factor: float) -> None:
    before = compared(new, old, metric)
    after = compared([factor * x for x in new], [factor * x for x in old], metric)
    assert after.interval.lower == pytest.approx(before.interval.lower, abs=1e-9)
    assert after.interval.upper == pytest.approx(before.interval.upper, abs=1e-9)


@given(old=figures, gains=st.lists(st.floats(1.0, 3.0), min_size=7, max_size=7), metric=metrics)
def test_what_is_better_in_every_pair_never_fails(old: list[float], gains: list[float], metric: str) -> None:
    new = [x / gain if metric.endswith("_ms") else x * gain for gain, x in zip(gains, old, strict=True)]
    assert decide(of_figures(new, old, gate(metric))).verdict is not Verdict.FAIL


@given(new=figures, old=figures, order=st.permutations(range(7)))
def test_the_order_of_pairs_changes_nothing(new: list[float], old: list[float], order: list[int]) -> None:
    before, after = compared(new, old), compared([new[k] for k in order], [old[k] for k in order])
    assert after.interval.lower == pytest.approx(before.interval.lower, abs=1e-12)
    assert after.p == pytest.approx(before.p, abs=1e-12)


def test_the_same_runs_decide_alike_whatever_their_order_in_the_record() -> None:
    arms = make_arms(NEW, OLD)
    assert decide(run_test(replace(arms, runs=arms.runs[::-1]))) == decide(run_test(arms))


@pytest.mark.parametrize("metric", SERVING_FIGURES)
def test_every_figure_can_be_watched(metric: str) -> None:
    arms = make_arms(NEW, OLD, levels={"ttft_ms": 1e6})
    test = run_test(arms, gate(metric, role=Role.WATCH))
    assert test.problem is None
    assert test.comparison is not None
