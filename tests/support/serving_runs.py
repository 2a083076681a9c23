"""Traces of serving with wanted figures, and runs of two arms made of them: valid unless a test asks otherwise."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmgate.record.arms import ArmIdentity, ArmRun, ArmsPlan, ServingArms
from llmgate.record.serving.trace import MachineUse, RequestTrace, ServingTrace
from support.records import make_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.record.arms import Arm, Hosting
    from llmgate.record.manifest import Manifest

__all__ = ["alternating", "busy", "make_arms", "make_plan", "make_trace", "noisy", "with_run"]

SUITE = "support"
STARTED_AT = "2026-11-28T20:00:00+00:00"


def make_trace(
    output_throughput: float = 100.0,
    *,
    ttft_ms: float | None = None,
    concurrency: int = 2,
    requests: int = 12,
    tokens: int = 8,
    prompt_tokens: int = 10,
    name: str = SUITE,
    **changes: Any,
) -> ServingTrace:
    """A run that is valid, in which all slots are busy all of the time.

    Args:
        output_throughput: Tokens per second over the whole run.
        ttft_ms: Of every request; by default a fifth of its time. The rest of the tokens come evenly after it.
        concurrency: Slots.
        requests: A multiple of the slots, and at least three times as many.
        tokens: Of every answer.
        prompt_tokens: Of every prompt.
        name: Suite name.
        changes: Replace fields of the trace.
    """
    length = concurrency * tokens / output_throughput
    ttft = length / 5 if ttft_ms is None else ttft_ms / 1e3
    if not 0.0 < ttft < length or requests % concurrency or requests < 3 * concurrency:
        raise ValueError(f"no run of {requests} requests at {concurrency} has a TTFT of {ttft} s in {length} s")
    offsets = [ttft + (length - ttft) * k / (tokens - 1) for k in range(tokens)]
    made = []
    for index in range(requests):
        start = index // concurrency * length
        events = tuple(start + offset for offset in offsets)
        made.append(
            RequestTrace(
                index=index,
                queued_s=start,
                sent_s=start,
                token_events_s=events,
                end_s=events[-1],
                prompt_tokens=prompt_tokens,
                completion_tokens=tokens,
            )
        )
    duration = made[-1].end_s
    trace = ServingTrace(
        name=name,
        workload=f"{requests} prompts of a test",
        workload_digest="0" * 64,
        concurrency=concurrency,
        requests=tuple(made),
        duration_s=duration,
        client_cpu_s=0.01 * duration,
        client_lag_s=(0.0005,),
        client_blocked_s=0.0,
        client_version="test",
        machine=MachineUse(
            cores=2, duration_s=duration, busy_s=duration, client_s=0.01 * duration, server_s=0.99 * duration
        ),
    )
    return replace(trace, **changes)


def busy(trace: ServingTrace, share: float = 0.3) -> ServingTrace:
    """The same run, in which other processes used that share of the machine's processors."""
    machine = trace.machine
    assert machine is not None
    return replace(trace, machine=replace(machine, busy_s=machine.busy_s + share * machine.cores * machine.duration_s))


def noisy(mean: float, runs: int, *, cv: float = 0.01, seed: int = 0) -> tuple[float, ...]:
    """Log-normal figures of that many runs, by a seed."""
    rng = random.Random(seed)
    return tuple(mean * math.exp(rng.gauss(0.0, cv)) for _ in range(runs))


def alternating(pairs: int, first: Arm = "candidate", *, champion: bool = True) -> tuple[Arm, ...]:
    """A B B A …, or as many runs of the candidate alone."""
    second: Arm = "champion" if first == "candidate" else "candidate"
    order: list[Arm] = []
    for k in range(pairs):
        both = [first, second] if k % 2 == 0 else [second, first]
        order += both if champion else ["candidate"]
    return tuple(order)


def make_plan(
    pairs: int,
    *,
    suite: str = SUITE,
    candidate: Manifest | None = None,
    champion: Manifest | None = None,
    alone: bool = False,
    hosting: Hosting = "together",
    levels: Mapping[str, float] | None = None,
) -> ArmsPlan:
    """A plan whose arms are the models of two manifests; those of `make_manifest`, versions 8 and 7, by default.

    Args:
        pairs: Of runs.
        suite: Suite name.
        candidate: Manifest of the candidate's run, whose hardware the plan has.
        champion: Manifest of the champion's run.
        alone: Whether the candidate is measured without a champion.
        hosting: How the servers are kept up.
        levels: Service levels of goodput, in ms.
    """
    new = candidate or make_manifest()
    old = champion or make_manifest(run_id="run-champion", version=7)
    return ArmsPlan(
        suite=suite,
        pairs=pairs,
        order=alternating(pairs, champion=not alone),
        seed=7,
        hosting=hosting,
        hardware=new.hardware,
        candidate=ArmIdentity(model=new.model, server=new.server),
        champion=None if alone else ArmIdentity(model=old.model, server=old.server),
        levels=dict(levels or {}),
    )


def make_arms(
    candidate: Sequence[float | ServingTrace],
    champion: Sequence[float | ServingTrace] | None,
    *,
    plan: ArmsPlan | None = None,
    trace: Mapping[str, Any] | None = None,
    **planned: Any,
) -> ServingArms:
    """Pairs of runs in the plan's order.

    Args:
        candidate: Output throughput, or the trace, of each pair's candidate run.
        champion: The same of the champion's; None without one.
        plan: By default one of as many pairs as there are runs.
        trace: Arguments of `make_trace` for all runs given by their throughput.
        planned: Arguments of `make_plan`.
    """
    plan = plan or make_plan(len(candidate), alone=champion is None, **planned)
    sides: dict[str, Sequence[float | ServingTrace]] = {"candidate": candidate, "champion": champion or ()}
    made = {"candidate": 0, "champion": 0}
    runs = []
    for position, arm in enumerate(plan.order):
        pair = made[arm]
        made[arm] += 1
        if pair >= len(sides[arm]):
            continue
        given = sides[arm][pair]
        runs.append(
            ArmRun(
                suite=plan.suite,
                position=position,
                pair=pair,
                arm=arm,
                started_at=STARTED_AT,
                trace=given if isinstance(given, ServingTrace) else make_trace(given, name=plan.suite, **(trace or {})),
            )
        )
    return ServingArms(plan=plan, runs=tuple(runs))


def with_run(arms: ServingArms, pair: int, arm: Arm, **changes: Any) -> ServingArms:
    """The same runs, one of which has other fields: those of its trace, and `discarded`."""
    own = {name: value for name, value in changes.items() if name == "discarded"}
    other = {name: value for name, value in changes.items() if name not in own}
    runs = tuple(
        replace(run, trace=replace(run.trace, **other), **own) if (run.pair, run.arm) == (pair, arm) else run
        for run in arms.runs
    )
    return replace(arms, runs=runs)
