"""Reports on serving to render: two arms whose requests vary, with a discarded run, or with an invalid one."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.gate.decide import decide_serving
from llmgate.gate.serving.arms import run_serving_tests
from llmgate.gate.serving.summary import summarise
from llmgate.record.policy import Role
from llmgate.record.serving.policy import ServingPolicy
from llmgate.record.serving.trace import (
    DeviceUse,
    GaugeRange,
    HistogramGrowth,
    MachineUse,
    RequestTrace,
    ServerMetrics,
)
from llmgate.report.view import build_view
from support.records import make_decision, make_metric, make_record
from support.reports import make_serving
from support.serving_runs import SUITE, busy, make_arms, make_plan, make_trace

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision
    from llmgate.record.arms import ArmRun, ServingArms
    from llmgate.record.serving.trace import ServingTrace
    from llmgate.report.rows import ReportView

__all__ = ["SERVING_LOOKS", "serving_arms", "serving_decision", "serving_look", "varied_trace"]

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


def serving_decision(arms: ServingArms, *, bounded: float = 500.0) -> Decision:
    """The decision on output throughput, on median TTFT with a limit beside it, and on a limit of median E2E latency.

    Args:
        arms: What was measured.
        bounded: Limit of median E2E latency, ms.
    """
    policies = (
        ServingPolicy(suite=SUITE, metric="output_throughput"),
        ServingPolicy(suite=SUITE, metric="median_ttft_ms", role=Role.GUARDRAIL, margin=0.15, max=500.0),
        ServingPolicy(suite=SUITE, metric="median_e2el_ms", role=Role.GUARDRAIL, margin=None, max=bounded),
    )
    champion = arms.plan.champion is not None
    asked = policies if champion else policies[1:]
    return decide_serving(run_serving_tests(asked, [arms], champion=champion))


def serving_look(name: str) -> ReportView:
    """The view of one of `SERVING_LOOKS`: a metric of quality beside serving figures."""
    alone = name == "serving-alone"
    arms = serving_arms(alone=alone, discard=not alone)
    if name == "serving-invalid":
        last = arms.runs[-1]
        saturated = replace(last, trace=replace(last.trace, client_cpu_s=last.trace.duration_s))
        arms = replace(arms, runs=(*arms.runs[:-1], saturated))
    decided = serving_decision(arms)
    candidate = replace(make_record(path="runs/run-candidate"), arms=(arms,))
    champion = None if alone else make_record(run_id="run-champion", version=7, path="runs/run-champion")
    quality = () if alone else (make_metric(suite=SUITE),)
    decision = make_decision(
        decided.verdict,
        candidate=candidate,
        champion=champion,
        metrics=(*quality, *decided.metrics),
        problems=decided.problems,
        sentence=decided.sentence,
    )
    loads = [
        replace(summarise(varied_trace(7 + n, slower=n**0.5 / 2, concurrency=n, requests=16 * n)), name="sweep")
        for n in (1, 2, 4, 8)
    ]
    shown = loads if alone else [make_serving(5002.0)]
    return build_view(candidate, champion, decision, serving=shown, champion_serving=[] if alone else [make_serving()])
