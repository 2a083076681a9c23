"""Reports on serving to render: two arms whose requests vary, with a discarded run, or with an invalid one."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llmgate.gate.decision.types import Verdict
from llmgate.gate.serving.summary import summarise
from llmgate.record.arms import ArmRun
from llmgate.record.policy import Direction, Role
from llmgate.record.serving.trace import (
    DeviceUse,
    GaugeRange,
    HistogramGrowth,
    MachineUse,
    RequestTrace,
    ServerMetrics,
)
from llmgate.report.view import build_view
from support.records import make_decision, make_metric, make_problem, make_record
from support.reports import make_serving
from support.serving_runs import SUITE, busy, make_arms, make_plan, make_trace

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision, MetricDecision
    from llmgate.record.arms import ServingArms
    from llmgate.record.serving.trace import ServingTrace
    from llmgate.report.rows import ReportView

__all__ = ["SERVING_LOOKS", "serving_arms", "serving_decision", "serving_look", "serving_metrics", "varied_trace"]

SERVING_LOOKS: Final = ("serving", "serving-invalid", "serving-alone")
PAIRS: Final = 6


def varied_trace(seed: int, *, slower: float = 1.0, concurrency: int = 4, requests: int = 32) -> ServingTrace:
    """A valid run whose requests take different times.

    Args:
        seed: Of all times.
        slower: Multiplies all times.
        concurrency: Slots, each of which sends when its last request has ended.
        requests: Together.
    """
    rng = random.Random(seed)
    free = [0.0] * concurrency
    made = []
    for index in range(requests):
        slot = free.index(min(free))
        sent = free[slot]
        at = sent + slower * 0.08 * rng.lognormvariate(0.0, 0.25)
        events = [at]
        for _ in range(15):
            at += slower * 0.02 * rng.lognormvariate(0.0, 0.15)
            events.append(at)
        free[slot] = at
        made.append(
            RequestTrace(
                index=index,
                queued_s=sent,
                sent_s=sent,
                token_events_s=tuple(events),
                end_s=at,
                prompt_tokens=40,
                completion_tokens=16,
            )
        )
    duration = max(free)
    ttft = sum(it.token_events_s[0] - it.sent_s for it in made)
    return replace(
        make_trace(),
        workload=f"{requests} chat prompts of support",
        concurrency=concurrency,
        requests=tuple(made),
        duration_s=duration,
        client_cpu_s=0.02 * duration,
        machine=MachineUse(
            cores=2, duration_s=duration, busy_s=1.02 * duration, client_s=0.02 * duration, server_s=0.99 * duration
        ),
        metrics=ServerMetrics(
            gauges={
                "vllm:num_requests_running": GaugeRange(mean=3.8, max=4.0, samples=9),
                "vllm:num_requests_waiting": GaugeRange(mean=0.1, max=1.0, samples=9),
                "vllm:num_requests_waiting_by_reason{capacity}": GaugeRange(mean=0.1, max=1.0, samples=9),
                "vllm:kv_cache_usage_perc": GaugeRange(mean=0.114, max=0.208, samples=9),
            },
            counters={
                "vllm:num_preemptions": 0.0,
                "vllm:prefix_cache_hits": 480.0,
                "vllm:prefix_cache_queries": 1280.0,
            },
            histograms={
                "vllm:time_to_first_token_seconds": HistogramGrowth(count=requests, sum=ttft),
                "vllm:request_queue_time_seconds": HistogramGrowth(count=requests, sum=0.0012 * requests),
            },
        ),
        devices=(
            DeviceUse(
                index=0,
                name="NVIDIA H100 80GB HBM3",
                memory_gib=71.4,
                memory_total_gib=79.6,
                power_w=412.0 / slower,
                energy_j=412.0 * duration / slower,
                utilisation=0.97,
            ),
        ),
    )


def serving_arms(slower: float = 1.1, *, discard: bool = True, alone: bool = False) -> ServingArms:
    """Six pairs, the candidate slower by a factor; the third pair was made twice if one is to be discarded."""
    plan = make_plan(PAIRS, alone=alone, hosting="restarts")
    if plan.champion is not None:
        server = replace(plan.champion.server, version="0.32.0", flags=("--max-num-seqs", "256"))
        plan = replace(plan, champion=replace(plan.champion, server=server))
    mine = [varied_trace(100 + pair, slower=slower) for pair in range(PAIRS)]
    theirs = None if alone else [varied_trace(200 + pair) for pair in range(PAIRS)]
    arms = make_arms(mine, theirs, plan=plan)
    if not discard:
        return arms
    runs: list[ArmRun] = []
    for run in arms.runs:
        if run.pair == 2:
            why = "other processes used 30.0 % of the processors, more than 5 %" if run.arm == "candidate" else ""
            lost = replace(run, trace=busy(run.trace), discarded=why or "its partner was made again")
            runs.append(replace(lost, position=len(runs)))
    again = [run for run in arms.runs if run.pair == 2]
    ordered = [run for run in arms.runs if run.pair < 2] + runs + again + [run for run in arms.runs if run.pair > 2]
    return replace(arms, runs=tuple(replace(run, position=at) for at, run in enumerate(ordered)))


def serving_metrics(first_verdict: Verdict = Verdict.FAIL, **changes: Any) -> tuple[MetricDecision, ...]:
    """Output throughput, median TTFT with a limit, and p95 TTFT held against its limit alone."""
    throughput = make_metric(
        first_verdict,
        suite=SUITE,
        metric="output_throughput",
        method="paired t on logarithms of ratios, 6 pairs",
        unit="tok/s",
        candidate=150.2,
        champion=165.4,
        delta=-0.092,
        lower=-0.101,
        upper=-0.083,
        margin=0.05,
        expected=PAIRS,
        evaluated=PAIRS,
        better=0,
        worse=6,
        p_worse=0.00002,
        pass_if_unchanged=None,
        pass_if_margin_lost=None,
        reason="output throughput is 9.2 % lower, more than the margin of 5 %",
    )
    first = replace(
        throughput,
        metric="median_ttft_ms",
        role=Role.GUARDRAIL,
        verdict=Verdict.INCONCLUSIVE,
        direction=Direction.LOWER,
        unit="ms",
        candidate=88.1,
        champion=80.3,
        delta=-0.097,
        lower=-0.151,
        upper=-0.046,
        margin=0.1,
        max=500.0,
        p_worse=0.004,
        reason="median TTFT is 9.7 % higher; up to 15.1 % (95 %) are not excluded, margin 10 %",
    )
    limit = replace(
        first,
        metric="p95_ttft_ms",
        verdict=Verdict.PASS,
        reference="threshold",
        champion=None,
        candidate=132.4,
        delta=None,
        lower=128.9,
        upper=136.0,
        margin=None,
        better=0,
        worse=0,
        p_worse=None,
        reason="p95 TTFT is at most 136 ms (95 %), limit 500 ms",
    )
    return tuple(replace(metric, **changes) for metric in (throughput, first, limit))


def serving_decision(**changes: Any) -> Decision:
    """The decision of `llmgate bench --compare`: serving figures alone."""
    verdict = changes.pop("verdict", Verdict.FAIL)
    made: dict[str, Any] = {
        "metrics": serving_metrics(verdict),
        "sentence": "Do not ship: 1 of 3 gates failed: output throughput is 9.2 % lower, more than the margin of 5 %.",
        "candidate_run": "",
    }
    return make_decision(verdict, **(made | changes))


def serving_look(name: str) -> ReportView:
    """The view of one of `SERVING_LOOKS`: a metric of quality beside serving figures."""
    alone = name == "serving-alone"
    arms = serving_arms(alone=alone, discard=not alone)
    if name == "serving-invalid":
        runs = [replace(run, trace=replace(run.trace, client_cpu_s=run.trace.duration_s)) for run in arms.runs[-1:]]
        arms = replace(arms, runs=(*arms.runs[:-1], *runs))
    candidate = replace(make_record(path="runs/run-candidate"), arms=(arms,))
    if alone:
        metrics = serving_metrics()[2:]
        decision = make_decision(candidate=candidate, metrics=metrics, sentence="PASS: p95 TTFT is at most 136 ms.")
        loads = [
            replace(summarise(varied_trace(7 + load, slower=load**0.5 / 2, concurrency=load, requests=16 * load)), name=it)
            for it in ("sweep",)
            for load in (1, 2, 4, 8)
        ]
        return build_view(candidate, None, decision, serving=loads)
    champion = make_record(run_id="run-champion", version=7, path="runs/run-champion")
    quality = make_metric(suite=SUITE)
    if name == "serving":
        decision = make_decision(
            Verdict.FAIL,
            candidate=candidate,
            champion=champion,
            metrics=(quality, *serving_metrics()),
            sentence="Do not ship: 1 of 4 gates failed: output throughput is 9.2 % lower, more than the margin of 5 %.",
        )
    else:
        open_metrics = serving_metrics(verdict=Verdict.INCONCLUSIVE, evaluated=5, errors=1)
        decision = make_decision(
            Verdict.INCONCLUSIVE,
            candidate=candidate,
            champion=champion,
            metrics=(quality, *open_metrics),
            problems=[
                make_problem(
                    "a run of pair 6 is INVALID: the client was the bottleneck",
                    where=f"{SUITE}::serving",
                    fix="Measure on a quiet machine: llmgate run --resume",
                )
            ],
            sentence="INCONCLUSIVE: 1 of 6 pairs of runs is invalid, so nothing is proven.",
        )
    return build_view(
        candidate, champion, decision, serving=[make_serving(5002.0)], champion_serving=[make_serving()]
    )
