"""`llmgate bench`: one serving measurement, without scores."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.bench.client.load import measure_serving
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import chat_workload
from llmgate.gate.serving.summary import summarise
from llmgate.session.run.plan import plan_paths
from llmgate.session.run.target import open_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.session.progress import Progress
    from llmgate.session.settings import Settings

__all__ = ["bench_endpoint", "bench_lines"]

TABLE: Final = (("TTFT", "ttft"), ("TPOT", "tpot"), ("ITL", "itl"), ("E2E", "e2el"))
QUANTILES: Final = ("p50", "p90", "p95", "p99")


def bench_endpoint(
    suites: Sequence[Path],
    settings: Settings,
    *,
    requests: int,
    concurrency: int,
    max_tokens: int,
    progress: Progress,
) -> ServingSummary:
    """Measure a server with the prompts of suites.

    Raises:
        UsageError: If no suite or no model is named.
        BenchError: If the server cannot be reached.
    """
    plan = plan_paths(suites, settings)
    prompts = [case.messages for case in plan.cases]
    with (
        tempfile.TemporaryDirectory(prefix="llmgate-bench-") as scratch,
        open_target(settings, log_path=Path(scratch) / "server.log", progress=progress) as target,
    ):
        workload = chat_workload(
            prompts,
            name="+".join(suite.suite.name for suite in plan.suites),
            model=target.endpoint.model,
            max_tokens=max_tokens,
            # Fixed lengths make two models comparable. Only vLLM knows the field.
            ignore_eos=target.server.engine == "vllm",
        )
        progress.stage(f"measuring: {requests} requests, {concurrency} in flight")
        trace = asyncio.run(
            measure_serving(
                workload,
                replace(target.endpoint, names=target.server.model_names),
                Load(requests=requests, concurrency=concurrency),
                on_progress=lambda done, total: progress.count("requests", done, total),
            )
        )
    return summarise(trace)


def bench_lines(summary: ServingSummary, *, as_json: bool) -> list[str]:
    """The figures as JSON, or as a table with a verdict on the measurement itself."""
    if as_json:
        facts = {
            **summary.metrics,
            "max_concurrency": summary.concurrency,
            "num_prompts": summary.requests,
            "invalid": list(summary.invalid),
            "notes": list(summary.notes),
        }
        return [json.dumps(facts, indent=2, sort_keys=True, allow_nan=False)]
    metrics = summary.metrics
    lines = [f"{summary.completed} of {summary.requests} requests completed, {summary.concurrency} in flight"]
    for label, key in (("requests/s", "request_throughput"), ("output tokens/s", "output_throughput")):
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
