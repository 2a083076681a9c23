"""`llmgate bench --sweep`: the largest load at which service levels hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmgate.bench.workload.build import check_workload
from llmgate.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, UsageError
from llmgate.gate.serving.knee import Holding, Search
from llmgate.record.policy_words import Direction
from llmgate.record.serving.policy import ServingPolicy
from llmgate.session.commands.bench import opened, run_once
from llmgate.session.commands.bench_load import prompts_for
from llmgate.session.serving.sweep import at_load, load_in_words, sweep
from llmgate.suite.form.serving import turned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.record.serving.plan import ServingSpec
    from llmgate.session.progress import Progress
    from llmgate.session.serving.measuring import Eyes
    from llmgate.session.serving.sweep import Sweep, SweepKind, SweptLoad
    from llmgate.session.settings import Settings

__all__ = ["bench_sweep", "read_slos", "sweep_exit", "sweep_facts", "sweep_lines"]

COLUMNS: Final = (
    ("req/s", "request_throughput", 2),
    ("tok/s", "output_throughput", 1),
    ("TTFT p95", "p95_ttft_ms", 1),
    ("TPOT p95", "p95_tpot_ms", 1),
    ("goodput", "request_goodput", 2),
)


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


def read_slos(texts: Sequence[str], *, suite: str) -> tuple[ServingPolicy, ...]:
    """Service levels as policies: `p95_ttft_ms=500`, `output_throughput=100`.

    Raises:
        UsageError: If one is no figure with a number, or a figure stands twice.
    """
    levels: dict[str, ServingPolicy] = {}
    for text in texts:
        name, equals, value = text.replace(":", "=").partition("=")
        figure = turned(name.strip())
        try:
            limit = float(value)
        except ValueError as error:
            what = f"{text!r} has no number" if equals else f"{text!r} has no limit"
            raise UsageError(what, where="--slo", fix="Write p95_ttft_ms=500") from error
        if figure in levels:
            raise UsageError(f"{figure} is given twice", where="--slo", fix="Remove one of them")
        # The policy says which way is better, and refuses what is no figure.
        better = ServingPolicy(suite=suite, metric=figure).direction
        levels[figure] = ServingPolicy(
            suite=suite,
            metric=figure,
            margin=None,
            max=limit if better is Direction.LOWER else None,
            min=limit if better is Direction.HIGHER else None,
        )
    return tuple(levels.values())


def sweep_exit(found: Sweep) -> int:
    """0 if a load holds, 1 if the smallest one misses, 3 if the runs do not say."""
    if found.knee.load is not None:
        return EXIT_PASS
    return EXIT_FAIL if found.knee.misses is not None else EXIT_INCONCLUSIVE


def sweep_lines(found: Sweep) -> list[str]:
    """A row per load, then the answer."""
    columns = [column for column in COLUMNS if any(each.runs.mean(column[1]) is not None for each in found.loads)]
    head = "in flight" if found.kind == "concurrency" else "req/s due"
    lines = [f"{head:>9}{'requests':>10}" + "".join(f"{title:>10}" for title, _, _ in columns) + "  "]
    for each in found.loads:
        cells = [_cell(each, name, digits) for _, name, digits in columns]
        lines.append(
            f"{each.load:>9g}{each.requests:>10}" + "".join(f"{cell:>10}" for cell in cells) + f"  {_word(each)}"
        )
    levels = ", ".join(
        f"{level.metric} {'≤' if level.max is not None else '≥'} {level.limit:g}" for level in found.search.levels
    )
    knee = found.knee
    answer = "none" if knee.load is None else load_in_words(knee.load, found.kind)
    lines.append(f"Largest load with {levels}: {answer} ({knee.reason})")
    lines += [f"note: {_discarded(each)}" for each in found.loads if each.discarded]
    return [line.rstrip() for line in lines]


def sweep_facts(found: Sweep) -> dict[str, Any]:
    """All of it as JSON, figures with the keys of `vllm bench serve`."""
    return {
        "sweep": found.kind,
        "slo": {level.metric: level.limit for level in found.search.levels},
        "alpha": {level.metric: level.alpha for level in found.search.levels},
        "runs": found.search.runs,
        "knee": {
            "load": found.knee.load,
            "above": found.knee.above,
            "misses": found.knee.misses,
            "undecided": list(found.knee.undecided),
            "reason": found.knee.reason,
        },
        "loads": [
            {
                "load": each.load,
                "requests": each.requests,
                "holds": str(each.holding),
                "runs": [dict(figures) for figures in each.runs.figures],
                "invalid": list(each.runs.invalid),
                "failed": each.runs.failed,
                "discarded": list(each.discarded),
            }
            for each in found.loads
        ],
    }


def _cell(each: SweptLoad, name: str, digits: int) -> str:
    value = each.runs.mean(name)
    return "-" if value is None else f"{value:.{digits}f}"


def _word(each: SweptLoad) -> str:
    if each.runs.failed:
        return "misses: requests failed"
    if len(each.runs.invalid) and each.holding is Holding.UNDECIDED:
        return f"undecided: {len(each.runs.invalid)} invalid"
    return str(each.holding)


def _discarded(each: SweptLoad) -> str:
    times = "a run was" if len(each.discarded) == 1 else f"{len(each.discarded)} runs were"
    return f"{times} made again at {each.load:g}: {each.discarded[0]}"
