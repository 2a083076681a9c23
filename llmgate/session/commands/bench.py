"""`llmgate bench`: one serving measurement, or the search for the largest load, without scores."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.bench.workload.build import check_workload
from llmgate.errors import UsageError
from llmgate.gate.serving.cost import cost_lines
from llmgate.gate.serving.knee import Search
from llmgate.gate.serving.summary import summarise
from llmgate.record.schema import Message
from llmgate.session.heartbeat import run_async
from llmgate.session.reach.sources import localised
from llmgate.session.reach.target import open_target
from llmgate.session.run.plan import plan_paths
from llmgate.session.serving.single import load_words, measure_once
from llmgate.session.serving.sweep import at_load, sweep
from llmgate.session.serving.sweep_told import read_slos
from llmgate.suite.form.prices import read_prices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.record.serving.plan import ServingSpec
    from llmgate.record.serving.trace import ServingTrace
    from llmgate.session.progress import Progress
    from llmgate.session.serving.measuring import Eyes
    from llmgate.session.serving.sweep import Sweep, SweepKind
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["bench_endpoint", "bench_facts", "bench_lines", "bench_sweep", "prompts_for"]

TABLE: Final = (("TTFT", "ttft"), ("TPOT", "tpot"), ("ITL", "itl"), ("E2E", "e2el"))
THROUGHPUTS: Final = (
    ("requests/s", "request_throughput"),
    ("good requests/s", "request_goodput"),
    ("output tokens/s", "output_throughput"),
)
NAME_CHARS: Final = 100
NO_SUITE: Final = "serving"
"""The name of a measurement without a suite."""
COUNTS: Final = frozenset(
    {"completed", "failed", "total_input_tokens", "total_output_tokens", "max_concurrent_requests", "peak_concurrency"}
)
QUANTILES: Final = ("p50", "p90", "p95", "p99")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPrompts:
    """What is sent where no suite says more.

    Attributes:
        name: Of the suites, or a general one.
        prompts: The suites' own; empty where the workload is made of others.
    """

    name: str
    prompts: tuple[tuple[Message | Mapping[str, object], ...], ...] = ()


def bench_endpoint(
    suites: Sequence[Path],
    settings: Settings,
    spec: ServingSpec,
    *,
    prices: Path | None = None,
    progress: Progress,
    eyes: Eyes,
) -> ServingSummary:
    """Measure a server once.

    Args:
        suites: Whose prompts are sent, where the workload is made of them.
        settings: Which server.
        spec: What is sent, and when.
        prices: A file of what GPUs cost; the notes then tell what a million output tokens do.
        progress: Told how far it is.
        eyes: Who else uses the machine; only told, as a single run is compared with nothing.

    Raises:
        UsageError: If no suite or no model is named.
        DatasetError: If a trace cannot be replayed.
        BenchError: If the server cannot be reached.
    """
    table = None if prices is None else read_prices(prices)
    asked = prompts_for(suites, settings, spec)
    check_workload(spec)
    with opened(settings, progress) as target:
        progress.stage(f"measuring: {spec.requests} requests, {load_words(spec)}")
        trace = run_once(target, spec, asked, eyes=eyes, progress=progress)
    summary = summarise(trace, levels=spec.levels)
    other = eyes.contended(trace)
    if other in summary.invalid:
        other = None
    return replace(summary, notes=(*summary.notes, *cost_lines(trace, table), *(() if other is None else (other,))))


def bench_sweep(
    suites: Sequence[Path],
    settings: Settings,
    spec: ServingSpec,
    kind: SweepKind,
    *,
    slos: Sequence[str],
    least: float,
    most: float,
    runs: int,
    progress: Progress,
    eyes: Eyes,
) -> Sweep:
    """Look for the largest load.

    Args:
        suites: Whose prompts are sent, where the workload is made of them.
        settings: Which server.
        spec: What is sent.
        kind: What is varied.
        slos: What has to hold, as `read_slos` takes it.
        least: Smallest load.
        most: Largest load.
        runs: Of each load.
        progress: Told about every run.
        eyes: Who else uses the machine.

    Raises:
        UsageError: If nothing has to hold, or what is named does not exist.
        LlmgateError: As `sweep`, and what opening a server raises.
    """
    asked = prompts_for(suites, settings, spec)
    levels = read_slos(slos, suite=asked.name)
    if spec.levels is None and any(level.metric == "request_goodput" for level in levels):
        raise UsageError("goodput without service levels counts every request", where="--slo", fix="Add --goodput")
    search = Search(levels=levels, least=least, most=most, whole=kind == "concurrency", runs=runs)
    check_workload(at_load(spec, kind, most, search))
    with opened(settings, progress) as target:
        return sweep(
            spec,
            search,
            kind,
            lambda each: run_once(target, each, asked, eyes=eyes, progress=progress),
            contended=eyes.contended,
            death=target.death,
            progress=progress,
        )


def prompts_for(suites: Sequence[Path], settings: Settings, spec: ServingSpec) -> OwnPrompts:
    """The prompts of suites, and what the measurement is called.

    Raises:
        UsageError: If no suite is named and the workload is made of their prompts.
    """
    if not suites and spec.workload.kind != "prompts":
        return OwnPrompts(name=NO_SUITE)
    plan = plan_paths(suites, settings)
    name = "+".join(suite.suite.name for suite in plan.suites)[:NAME_CHARS]
    return OwnPrompts(name=name, prompts=tuple(tuple(case.messages) for case in plan.cases))


@contextmanager
def opened(settings: Settings, progress: Progress) -> Iterator[Target]:
    """The server that is measured; one that was started for it ends with the block."""
    with (
        tempfile.TemporaryDirectory(prefix="llmgate-bench-") as scratch,
        open_target(localised(settings, progress), log_path=Path(scratch) / "server.log", progress=progress) as target,
    ):
        yield target


def run_once(target: Target, spec: ServingSpec, asked: OwnPrompts, *, eyes: Eyes, progress: Progress) -> ServingTrace:
    """One run."""
    return run_async(
        measure_once(
            target,
            spec,
            asked.prompts,
            name=asked.name,
            watches=eyes.watches(target),
            on_progress=lambda done, total: progress.count("requests", done, total),
        ),
        progress,
    )


def bench_facts(summary: ServingSummary, spec: ServingSpec) -> dict[str, Any]:
    """The figures as JSON has them: the keys of `vllm bench serve`, then ours."""
    rated = spec.arrivals.kind not in {"closed", "trace"}
    return {
        "request_goodput": None,
        **{name: int(value) if name in COUNTS else value for name, value in summary.metrics.items()},
        "max_concurrency": summary.concurrency or None,
        "request_rate": spec.arrivals.rate if rated else "inf",
        "burstiness": spec.arrivals.burstiness,
        "num_prompts": summary.requests,
        "arrivals": asdict(spec.arrivals),
        "invalid": list(summary.invalid),
        "notes": list(summary.notes),
    }


def bench_lines(summary: ServingSummary, spec: ServingSpec) -> list[str]:
    """The figures as a table, with a verdict on the measurement itself."""
    metrics = summary.metrics
    lines = [f"{summary.completed} of {summary.requests} requests completed, {load_words(spec)}"]
    for label, key in THROUGHPUTS:
        if key in metrics:
            lines.append(f"{label:<16}{metrics[key]:>10.2f}")
    lines.append(f"{'ms':<16}" + "".join(f"{quantile:>10}" for quantile in QUANTILES))
    for label, key in TABLE:
        values = [metrics.get(f"{quantile}_{key}_ms") for quantile in QUANTILES]
        if any(value is not None for value in values):
            lines.append(f"{label:<16}" + "".join("         -" if v is None else f"{v:>10.1f}" for v in values))
    lines += [f"note: {note}" for note in summary.notes]
    lines += [f"INVALID: {reason}" for reason in summary.invalid]
    return lines
