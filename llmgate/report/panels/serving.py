"""Serving figures of both sides; an invalid run never shows a plain number."""

from __future__ import annotations

import math
import re
import statistics
from typing import TYPE_CHECKING

from llmgate.report.rows import ServingCell, ServingRow, ServingTable
from llmgate.report.visible import one_line
from llmgate.report.words import figure, plural, relative

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.serving.summary import ServingSummary

__all__ = ["serving_tables"]

Workload = tuple[str, int]

RATES = {
    "request_throughput": "Requests per second",
    "request_goodput": "Requests per second within the service level",
    "output_throughput": "Output tokens per second",
    "total_token_throughput": "Tokens per second, in and out",
    "steady_request_throughput": "Requests per second, steady part",
    "steady_output_throughput": "Output tokens per second, steady part",
}
TIMES = {
    "ttft": "Time to first token",
    "tpot": "Time per output token",
    "itl": "Time between tokens",
    "e2el": "Whole request",
}
STATISTICS = ("median", "p90", "p95", "p99", "mean")
MAIN = ("request_throughput", "output_throughput", "median_ttft_ms", "p99_ttft_ms", "median_tpot_ms", "p99_tpot_ms")


def serving_tables(candidate: Sequence[ServingSummary], champion: Sequence[ServingSummary]) -> tuple[ServingTable, ...]:
    """One table per workload and concurrency, in the candidate's order, then what only the champion has.

    Several valid runs of one side are shown by their median: the run is the unit, its requests share its noise.
    A side with an invalid run is not compared.

    Args:
        candidate: Summaries of the candidate's measurements.
        champion: Summaries of the champion's, empty without one.
    """
    workloads: dict[Workload, None] = dict.fromkeys((run.name, run.concurrency) for run in (*candidate, *champion))
    return tuple(_table(workload, _of(candidate, workload), _of(champion, workload)) for workload in workloads)


def _of(runs: Sequence[ServingSummary], workload: Workload) -> list[ServingSummary]:
    return [run for run in runs if (run.name, run.concurrency) == workload]


def _table(workload: Workload, candidate: list[ServingSummary], champion: list[ServingSummary]) -> ServingTable:
    keys = sorted({key for run in (*candidate, *champion) for key in run.metrics}, key=_order)
    return ServingTable(
        name=one_line(workload[0], 120),
        concurrency=workload[1],
        rows=tuple(_row(key, candidate, champion) for key in keys if _label(key)),
        invalid=(*_against("candidate", candidate), *_against("champion", champion)),
        notes=(*_notes("candidate", candidate), *_notes("champion", champion)),
    )


def _notes(side: str, runs: list[ServingSummary]) -> Iterator[str]:
    """Remarks on the runs of a side; those that differ in numbers alone are one, with how many runs say so."""
    alike: dict[str, list[str]] = {}
    for run in runs:
        for note in (*run.notes, *_lost(run)):
            alike.setdefault(re.sub(r"\d+", "#", note), []).append(one_line(note))
    for notes in alike.values():
        others = len(set(notes)) - 1
        more = f" (the first of {plural(len(notes), 'run')} of which this is said)" if others else ""
        yield f"{side}: {notes[0]}{more}"


def _lost(run: ServingSummary) -> tuple[str, ...]:
    lost = run.requests - run.completed
    return (f"{plural(lost, 'request')} of {run.requests:,} got no full answer",) if lost else ()


def _against(side: str, runs: list[ServingSummary]) -> list[str]:
    return [
        f"{side}, run {index} of {len(runs)}: {one_line(reason)}"
        for index, run in enumerate(runs, start=1)
        for reason in run.invalid
    ]


def _label(key: str) -> str:
    if key in RATES:
        return RATES[key]
    statistic, _, rest = key.partition("_")
    time = TIMES.get(rest.removesuffix("_ms"))
    return f"{time}, {statistic} (ms)" if time and rest.endswith("_ms") and statistic in STATISTICS else ""


def _order(key: str) -> tuple[bool, int, str]:
    names = [*RATES, *(f"{statistic}_{time}_ms" for time in TIMES for statistic in STATISTICS)]
    return key not in names, names.index(key) if key in names else 0, key


def _row(key: str, candidate: list[ServingSummary], champion: list[ServingSummary]) -> ServingRow:
    after, cell_after = _cell(key, candidate)
    before, cell_before = _cell(key, champion)
    change = after / before - 1 if before and after else None
    return ServingRow(
        label=_label(key),
        champion=cell_before,
        candidate=cell_after,
        change="" if change is None else f"{relative(change)} ({_direction(key, change)})",
        gain=None if change is None else change if key in RATES else -change,
        main=key in MAIN,
    )


def _cell(key: str, runs: list[ServingSummary]) -> tuple[float | None, ServingCell | None]:
    """The median over a side's runs, None unless every run counts and has the figure; and how it is shown."""
    if not runs:
        return None, None
    valid = [run for run in runs if not run.invalid]
    values = [run.metrics[key] for run in valid if key in run.metrics]
    finite = [value for value in values if math.isfinite(value) and value >= 0]
    shown = figure(statistics.median(finite)) if finite else ""
    if len(valid) < len(runs) or len(finite) < len(values):
        invalid = f"INVALID: {len(runs) - len(valid) + len(values) - len(finite)} of {plural(len(runs), 'run')}"
        return None, ServingCell(text=f"{invalid}; the others: {shown}" if finite else invalid, invalid=True)
    if len(finite) < len(runs):
        return None, ServingCell(text=f"{shown} ({len(finite)} of {len(runs)} runs)" if finite else "not measured")
    return statistics.median(finite), ServingCell(
        text=shown + (f" (median of {len(runs)} runs)" if len(runs) > 1 else "")
    )


def _direction(key: str, change: float) -> str:
    if change == 0:
        return "same"
    return "better" if (change > 0) == (key in RATES) else "worse"
