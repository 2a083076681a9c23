"""Tables on two servings: discarded runs, differences of the servers, their own account, GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, Final

from llmgate.gate.serving.cost import kwh_per_million
from llmgate.report.panel_rows import Column, Panel, PanelRow, columns
from llmgate.report.visible import one_line, short_flags, short_path
from llmgate.report.words import count, figure, percent

if TYPE_CHECKING:
    from llmgate.record.arms import Arm, ArmIdentity, ServingArms
    from llmgate.record.serving.trace import DeviceUse, ServerMetrics, ServingTrace

__all__ = ["arm_tables"]

MOST_DISCARDED: Final = 20
JOULES_PER_WATT_HOUR: Final = 3600.0

Reading = tuple[str, Callable[[Sequence["ServerMetrics"]], str]]


def arm_tables(arms: ServingArms) -> Iterator[Panel]:
    """Those that have something to say."""
    if any(run.discarded for run in arms.runs):
        yield _discarded(arms)
    if arms.plan.champion is not None:
        yield _servers(arms.plan.candidate, arms.plan.champion)
    for panel in (_account(arms), _devices(arms)):
        if panel.rows:
            yield panel


def _discarded(arms: ServingArms) -> Panel:
    lost = [run for run in arms.runs if run.discarded]
    return Panel(
        id="discarded-runs",
        title="Discarded runs",
        lead="Made again before anybody looked at their figures.",
        columns=(Column(title="Run"), Column(title="Side"), Column(title="Pair", number=True), Column(title="Why")),
        rows=tuple(
            PanelRow(cells=(f"run {run.position + 1}", run.arm, str(run.pair + 1), one_line(run.discarded)))
            for run in lost[:MOST_DISCARDED]
        ),
        left_out=len(lost[MOST_DISCARDED:]),
    )


IDENTITY_READINGS: Final[tuple[tuple[str, Callable[[ArmIdentity], str]], ...]] = (
    ("Model", lambda it: it.model.name),
    ("Weights", lambda it: (it.model.weights_digest or "unknown (endpoint only)")[:23]),
    ("Engine", lambda it: f"{it.server.engine} {it.server.version or 'of unknown version'}"),
    ("Who started it", lambda it: "llmgate" if it.server.owned else "someone else"),
    ("Endpoint", lambda it: short_path(it.server.url)),
)


def _servers(candidate: ArmIdentity, champion: ArmIdentity) -> Panel:
    """What both arms are, where they differ; else one sentence."""
    facts = [
        *((label, one_line(read(champion)), one_line(read(candidate))) for label, read in IDENTITY_READINGS),
        ("Flags", *_flags(champion.server.flags, candidate.server.flags)),
    ]
    rows = tuple(
        PanelRow(cells=(label, before or "–", after or "–")) for label, before, after in facts if before != after
    )
    same = [label.lower() for label, before, after in facts if before == after]
    alike = f"The same on both sides: {', '.join(same)}." if same else "Nothing is the same on both sides."
    return Panel(
        id="servers",
        title="Differences of the servers",
        lead=alike,
        columns=columns("Fact", "Champion", "Candidate"),
        rows=rows,
    )


def _flags(champion: tuple[str, ...], candidate: tuple[str, ...]) -> tuple[str, str]:
    """What each side has that the other has not; all of both where only their order differs, or which is whose."""
    if champion == candidate:
        return "", ""
    only = (
        tuple(flag for flag in champion if flag not in candidate),
        tuple(flag for flag in candidate if flag not in champion),
    )
    before, after = only if any(only) else (champion, candidate)
    return short_flags(before), short_flags(after)


def _sides(arms: ServingArms) -> tuple[Arm, ...]:
    return ("champion", "candidate") if arms.plan.champion is not None else ("candidate",)


def _traces(arms: ServingArms, side: Arm) -> list[ServingTrace]:
    return [run.trace for run in arms.runs if run.arm == side and not run.discarded]


def _titles(arms: ServingArms, first: str) -> tuple[Column, ...]:
    return (Column(title=first), *columns(*(side.capitalize() for side in _sides(arms)), number=True))


def _account(arms: ServingArms) -> Panel:
    """What the servers' own metrics say, over the runs that count."""
    told = {side: [it.metrics for it in _traces(arms, side) if it.metrics is not None] for side in _sides(arms)}
    rows = []
    for label, read in (*READINGS, *_reasons(told)):
        cells = tuple(read(metrics) for metrics in told.values())
        if any(cells):
            rows.append(PanelRow(cells=(label, *(cell or "–" for cell in cells))))
    return Panel(
        id="server-account",
        title="What the servers say",
        lead="From their own metrics, over the runs that count.",
        columns=_titles(arms, "Figure"),
        rows=tuple(rows),
    )


def _gauge(name: str, *, share: bool = False) -> Callable[[Sequence[ServerMetrics]], str]:
    def read(metrics: Sequence[ServerMetrics]) -> str:
        ranges = [it.gauges[name] for it in metrics if name in it.gauges]
        if not ranges:
            return ""
        mean, most = sum(it.mean for it in ranges) / len(ranges), max(it.max for it in ranges)
        if share:
            return f"{percent(mean)}, at most {percent(most)}"
        return f"{figure(mean)}, at most {figure(most)}"

    return read


def _counter(name: str) -> Callable[[Sequence[ServerMetrics]], str]:
    def read(metrics: Sequence[ServerMetrics]) -> str:
        grown = [value for it in metrics if (value := _growth(it, name)) is not None]
        return count(round(sum(grown))) if grown else ""

    return read


def _growth(metrics: ServerMetrics, name: str) -> float | None:
    """Of a counter, whose exposed name may end in `_total`."""
    return metrics.counters.get(name, metrics.counters.get(f"{name}_total"))


def _hits(metrics: Sequence[ServerMetrics]) -> str:
    pairs = [(_growth(it, "vllm:prefix_cache_hits"), _growth(it, "vllm:prefix_cache_queries")) for it in metrics]
    known = [(hits, asked) for hits, asked in pairs if hits is not None and asked]
    return percent(sum(hits for hits, _ in known) / sum(asked for _, asked in known)) if known else ""


def _mean(name: str) -> Callable[[Sequence[ServerMetrics]], str]:
    def read(metrics: Sequence[ServerMetrics]) -> str:
        grown = [it.histograms[name] for it in metrics if name in it.histograms]
        total = sum(it.count for it in grown)
        return f"{figure(1e3 * sum(it.sum for it in grown) / total)} ms" if total else ""

    return read


READINGS: Final[tuple[Reading, ...]] = (
    ("Running requests, mean", _gauge("vllm:num_requests_running")),
    ("Waiting requests, mean", _gauge("vllm:num_requests_waiting")),
    ("KV cache in use, mean", _gauge("vllm:kv_cache_usage_perc", share=True)),
    ("Preemptions", _counter("vllm:num_preemptions")),
    ("Prefix cache hits", _hits),
    ("Time in the queue, mean", _mean("vllm:request_queue_time_seconds")),
    ("Time to first token, mean", _mean("vllm:time_to_first_token_seconds")),
    ("Time between tokens, mean", _mean("vllm:inter_token_latency_seconds")),
)


def _reasons(told: dict[Arm, list[ServerMetrics]]) -> Iterator[Reading]:
    """Gauges of waiting requests by reason: the reason stands in braces."""
    prefix = "vllm:num_requests_waiting_by_reason{"
    names = dict.fromkeys(
        name for metrics in told.values() for it in metrics for name in it.gauges if name.startswith(prefix)
    )
    for name in names:
        yield f"Waiting for {one_line(name.removeprefix(prefix).rstrip('}'), 60)}, mean", _gauge(name)


def _devices(arms: ServingArms) -> Panel:
    """GPUs over the runs that count, each side's in its column."""
    sides = _sides(arms)
    traces = {side: _traces(arms, side) for side in sides}
    indices = sorted({it.index for of_side in traces.values() for trace in of_side for it in trace.devices})
    rows: list[PanelRow] = []
    for index in indices:
        uses = {
            side: [it for trace in of_side for it in trace.devices if it.index == index]
            for side, of_side in traces.items()
        }
        name = next(it.name for of_side in uses.values() for it in of_side)
        for label, read in DEVICE_READINGS:
            cells = tuple(read(of_side) if of_side else "" for of_side in uses.values())
            if any(cells):
                rows.append(
                    PanelRow(cells=(f"GPU {index} ({one_line(name, 60)}): {label}", *(it or "–" for it in cells)))
                )
    energy = tuple(_per_token(of_side) for of_side in traces.values())
    if any(energy):
        rows.append(PanelRow(cells=("Energy per million output tokens", *(it or "–" for it in energy))))
    return Panel(
        id="gpus",
        title="GPUs",
        lead="By NVML, over the runs that count.",
        columns=_titles(arms, "Figure"),
        rows=tuple(rows),
    )


def _memory(uses: Sequence[DeviceUse]) -> str:
    return f"{max(it.memory_gib for it in uses):.1f} of {uses[0].memory_total_gib:.1f} GiB"


def _power(uses: Sequence[DeviceUse]) -> str:
    known = [it.power_w for it in uses if it.power_w is not None]
    return f"{figure(sum(known) / len(known))} W" if known else ""


def _utilisation(uses: Sequence[DeviceUse]) -> str:
    known = [it.utilisation for it in uses if it.utilisation is not None]
    return percent(sum(known) / len(known)) if known else ""


def _energy(uses: Sequence[DeviceUse]) -> str:
    known = [it.energy_j for it in uses if it.energy_j is not None]
    return f"{figure(sum(known) / JOULES_PER_WATT_HOUR)} Wh" if known and len(known) == len(uses) else ""


DEVICE_READINGS: Final[tuple[tuple[str, Callable[[Sequence[DeviceUse]], str]], ...]] = (
    ("memory, most", _memory),
    ("power, mean", _power),
    ("utilisation, mean", _utilisation),
    ("energy", _energy),
)


def _per_token(traces: Sequence[ServingTrace]) -> str:
    """The median over the runs of which it is known."""
    known = [kwh for trace in traces if (kwh := kwh_per_million(trace)) is not None]
    return f"{figure(median(known))} kWh" if known else ""
