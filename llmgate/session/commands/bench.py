"""`llmgate bench`: one serving measurement, without scores."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.bench.client.load import measure_serving
from llmgate.bench.workload.build import build_workload, check_workload, load_of
from llmgate.gate.serving.summary import summarise
from llmgate.session.commands.bench_load import prompts_for
from llmgate.session.heartbeat import run_async
from llmgate.session.run.target import open_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.record.serving.plan import ServingSpec
    from llmgate.record.serving.trace import ServingTrace
    from llmgate.session.commands.bench_load import Asked
    from llmgate.session.progress import Progress
    from llmgate.session.serving.measuring import Eyes
    from llmgate.session.settings import Settings
    from llmgate.session.target import Target

__all__ = ["bench_endpoint", "bench_facts", "bench_lines", "load_words", "opened", "run_once"]

TABLE: Final = (("TTFT", "ttft"), ("TPOT", "tpot"), ("ITL", "itl"), ("E2E", "e2el"))
THROUGHPUTS: Final = (
    ("requests/s", "request_throughput"),
    ("good requests/s", "request_goodput"),
    ("output tokens/s", "output_throughput"),
)
QUANTILES: Final = ("p50", "p90", "p95", "p99")


def bench_endpoint(
    suites: Sequence[Path], settings: Settings, spec: ServingSpec, *, progress: Progress, eyes: Eyes
) -> ServingSummary:
    """Measure a server once.

    Args:
        suites: Whose prompts are sent, where the workload is made of them.
        settings: Which server.
        spec: What is sent, and when.
        progress: Told how far it is.
        eyes: Who else uses the machine; only told, as a single run is compared with nothing.

    Raises:
        UsageError: If no suite or no model is named.
        DatasetError: If a trace cannot be replayed.
        BenchError: If the server cannot be reached.
    """
    asked = prompts_for(suites, settings, spec)
    check_workload(spec)
    with opened(settings, progress) as target:
        progress.stage(f"measuring: {spec.requests} requests, {load_words(spec)}")
        trace = run_once(target, spec, asked, eyes=eyes, progress=progress)
    summary = summarise(trace, levels=spec.levels)
    other = eyes.contended(trace)
    return summary if other is None else replace(summary, notes=(*summary.notes, other))


@contextmanager
def opened(settings: Settings, progress: Progress) -> Iterator[Target]:
    """The server that is measured; one that was started for it ends with the block."""
    with (
        tempfile.TemporaryDirectory(prefix="llmgate-bench-") as scratch,
        open_target(settings, log_path=Path(scratch) / "server.log", progress=progress) as target,
    ):
        yield target


def run_once(target: Target, spec: ServingSpec, asked: Asked, *, eyes: Eyes, progress: Progress) -> ServingTrace:
    """One run."""
    workload = build_workload(
        spec.workload,
        asked.prompts,
        name=asked.name,
        model=target.endpoint.model,
        max_tokens=spec.max_tokens,
        # Fixed lengths make two models comparable. Only vLLM knows the field.
        ignore_eos=target.server.engine == "vllm",
        requests=spec.requests,
    )
    return run_async(
        measure_serving(
            workload,
            replace(target.endpoint, names=target.server.model_names),
            load_of(spec),
            watches=eyes.watches(target),
            on_progress=lambda done, total: progress.count("requests", done, total),
        ),
        progress,
    )


def load_words(spec: ServingSpec) -> str:
    """How hard the server is worked, in words."""
    arrivals, most = spec.arrivals, f", {spec.concurrency} in flight at most" if spec.concurrency else ""
    if arrivals.kind == "closed":
        return f"{spec.concurrency} in flight"
    if arrivals.kind == "trace":
        return f"at recorded times{f', {arrivals.speed:g} times as fast' if arrivals.speed != 1 else ''}{most}"
    if arrivals.kind == "ramp":
        return f"{arrivals.rate_from:g} to {arrivals.rate:g} per second{most}"
    bursts = f", burstiness {arrivals.burstiness:g}" if arrivals.kind == "gamma" else ""
    return f"{arrivals.rate:g} per second, {arrivals.kind}{bursts}{most}"


def bench_facts(summary: ServingSummary, spec: ServingSpec) -> dict[str, Any]:
    """The figures as JSON has them: the keys of `vllm bench serve`, then ours."""
    rated = spec.arrivals.kind not in {"closed", "trace"}
    return {
        "request_goodput": None,
        **summary.metrics,
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
