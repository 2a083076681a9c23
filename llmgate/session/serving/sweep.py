"""The largest load at which service levels hold, measured: loads as `gate.serving.knee` asks for them, run by run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Final, Literal

from llmgate.errors import BenchError, ServerError, UsageError
from llmgate.gate.serving.knee import Holding, Knee, LoadRuns, Search, holding, knee_step, most_loads
from llmgate.gate.serving.summary import summarise
from llmgate.record.serving.policy import tail_requests
from llmgate.record.serving.trace import Arrivals
from llmgate.session.progress import time_left

if TYPE_CHECKING:
    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.record.serving.plan import ServingSpec
    from llmgate.record.serving.trace import ServingTrace
    from llmgate.session.progress import Progress

__all__ = ["Sweep", "SweepKind", "SweptLoad", "at_load", "load_in_words", "sweep"]

SweepKind = Literal["concurrency", "rate"]
ROUNDS: Final = 4
"""Requests of a run per request in flight: three make a steady part, and one is for its ends."""
RATED: Final = ("poisson", "gamma", "constant")

RunOnce = Callable[["ServingSpec"], "ServingTrace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptLoad:
    """One load of a sweep.

    Attributes:
        load: Requests in flight, or per second.
        requests: Of each run.
        holding: Whether it meets the service levels.
        runs: All of it that counts.
        discarded: Why runs were made again: others used the machine.
    """

    load: float
    requests: int
    holding: Holding
    runs: LoadRuns
    discarded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep found.

    Attributes:
        kind: What was varied.
        search: Where, and for what.
        knee: The answer.
        loads: All that was measured, ascending.
    """

    kind: SweepKind
    search: Search
    knee: Knee
    loads: tuple[SweptLoad, ...]


def at_load(spec: ServingSpec, kind: SweepKind, load: float, search: Search) -> ServingSpec:
    """The measurement of one load.

    A run has as many requests as the percentiles among the service levels need, and a closed loop four per request in
    flight at least.

    Raises:
        UsageError: If a rate is to be varied and the arrivals have none that could be.
    """
    tails = max(tail_requests(level.metric) for level in search.levels)
    if kind == "concurrency":
        in_flight = int(load)
        return replace(
            spec,
            arrivals=Arrivals(),
            concurrency=in_flight,
            warmup=in_flight,
            requests=max(spec.requests, tails, ROUNDS * in_flight),
        )
    arrivals = spec.arrivals
    if arrivals.kind == "closed":
        arrivals = Arrivals(kind="poisson", seed=spec.workload.seed)
    if arrivals.kind not in RATED:
        raise UsageError(
            f"arrivals of kind {arrivals.kind!r} have no single rate to vary",
            where="--sweep rate",
            fix=f"Choose --arrivals {', '.join(RATED)}",
        )
    return replace(
        spec,
        arrivals=replace(arrivals, rate=load),
        # A limit would hold requests back where the server does not keep up, and hide their waiting.
        concurrency=0,
        requests=max(spec.requests, tails),
    )


def sweep(
    spec: ServingSpec,
    search: Search,
    kind: SweepKind,
    measure: RunOnce,
    *,
    contended: Callable[[ServingTrace], str | None],
    death: Callable[[], str | None],
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
) -> Sweep:
    """Measure loads until the answer is known.

    A run during which others used the machine is discarded and made again, at most as often as a load has runs; then
    the load's last run counts as invalid.

    Args:
        spec: What is sent; its load is replaced.
        search: Where, and for what.
        kind: What is varied.
        measure: Makes one run.
        contended: Why a run is to be made again, None if it counts.
        death: Why the server is gone, None while it lives.
        progress: Told about each run, with the time that is left at most.
        clock: Seconds, monotonic.

    Raises:
        ServerError: If the server of ours has died.
        BenchError: If not one run of the smallest load is valid.
    """
    measured: dict[float, LoadRuns] = {}
    discarded: dict[float, tuple[str, ...]] = {}
    took: list[float] = []
    while True:
        step = knee_step(search, tuple(measured.values()))
        if isinstance(step, Knee):
            _check(step, search, measured)
            return Sweep(kind=kind, search=search, knee=step, loads=_swept(spec, search, kind, measured, discarded))
        runs = measured.get(step, LoadRuns(load=step))
        asked = at_load(spec, kind, step, search)
        left = _runs_left(search, runs, tuple(measured.values()))
        eta = f", about {time_left(fmean(took) * left)} left at most" if took else ""
        words = f"{load_in_words(step, kind)}, run {len(runs.figures) + 1} of {search.runs}"
        progress.stage(f"{words}: {asked.requests} requests{eta}")
        begun = clock()
        trace = measure(asked)
        took.append(clock() - begun)
        if why := death():
            raise ServerError(f"the server ended during the sweep ({why})", fix="Look at its log")
        other = contended(trace)
        if other is not None and len(discarded.get(step, ())) < search.runs:
            discarded[step] = (*discarded.get(step, ()), other)
            progress.stage(f"discarded, and made again: {other}")
            continue
        summary = summarise(trace, levels=spec.levels)
        measured[step] = _with_run(runs, summary, other)
        _told(summary, other, progress)


def _with_run(runs: LoadRuns, summary: ServingSummary, other: str | None) -> LoadRuns:
    if summary.metrics.get("failed", 0.0) > 0:
        return replace(runs, failed=runs.failed + 1)
    reasons = (*summary.invalid, *([other] if other else []))
    if reasons:
        return replace(runs, invalid=(*runs.invalid, reasons[0]))
    return replace(runs, figures=(*runs.figures, summary.metrics))


def _told(summary: ServingSummary, other: str | None, progress: Progress) -> None:
    """Say why a run is none of those that are averaged."""
    for reason in (*summary.invalid, *([other] if other else []))[:1]:
        progress.stage(f"INVALID: {reason}")


def _check(knee: Knee, search: Search, measured: Mapping[float, LoadRuns]) -> None:
    """Refuse a sweep that measured nothing.

    Raises:
        BenchError: With the first reason.
    """
    first = measured[search.least]
    if knee.load is None and not first.figures and not first.failed:
        raise BenchError(
            f"no run of the smallest load is valid: {first.invalid[0]}",
            where="sweep",
            fix="Mend that first; `llmgate bench` without --sweep measures a single load",
        )


def _runs_left(search: Search, runs: LoadRuns, measured: Sequence[LoadRuns]) -> int:
    """The most runs that may still be made, the one that begins now included."""
    others = tuple(each for each in measured if each.load != runs.load)
    # Where nothing is known of it yet, the load under way is one of those that the search may still begin.
    begun = most_loads(search, others)
    return search.runs - len(runs.figures) + max(0, begun - 1) * search.runs


def load_in_words(load: float, kind: SweepKind) -> str:
    """`8 in flight`, or `2.5 requests/s`."""
    return f"{load:g} in flight" if kind == "concurrency" else f"{load:g} requests/s"


def _swept(
    spec: ServingSpec,
    search: Search,
    kind: SweepKind,
    measured: Mapping[float, LoadRuns],
    discarded: Mapping[float, tuple[str, ...]],
) -> tuple[SweptLoad, ...]:
    return tuple(
        SweptLoad(
            load=load,
            requests=at_load(spec, kind, load, search).requests,
            holding=holding(measured[load], search),
            runs=measured[load],
            discarded=discarded.get(load, ()),
        )
        for load in sorted(measured)
    )
