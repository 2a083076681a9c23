"""`llmgate bench --html`: a page for a browser of whatever was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.serving.summary import ServingSummary
from llmgate.record.disk import write_atomic
from llmgate.report.formats.serving_page import serving_page
from llmgate.report.panels.load_curve import CURVE_LATENCY
from llmgate.report.panels.serving_page import comparison_page, measurement_page
from llmgate.session.serving.sweep import Sweep
from llmgate.session.serving.sweep_told import sweep_answer

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.gate.decision.types import Decision
    from llmgate.record.arms import ServingArms
    from llmgate.report.serving_rows import ServingPage
    from llmgate.session.serving.sweep import SweptLoad

__all__ = ["page_of", "write_page"]


def write_page(path: Path, measured: ServingSummary | Sweep | tuple[Decision, ServingArms]) -> None:
    """Write the page of what was measured.

    Args:
        path: Its file.
        measured: One measurement, measurements at several loads, or two servings with their decision.

    Raises:
        RecordError: If the file cannot be written.
    """
    write_atomic(path, serving_page(page_of(measured)).encode(), private=False)


def page_of(measured: ServingSummary | Sweep | tuple[Decision, ServingArms]) -> ServingPage:
    """What the page says."""
    if isinstance(measured, ServingSummary):
        return measurement_page(measured.name, [measured])
    if isinstance(measured, Sweep):
        return _swept(measured)
    return comparison_page(*measured)


def _swept(found: Sweep) -> ServingPage:
    """Latency over throughput at every load, with the service level of the p95 of TTFT where it has one."""
    limits = {level.metric: level.limit for level in found.search.levels}
    return measurement_page(
        found.search.levels[0].suite,
        [_averaged(each, found) for each in found.loads],
        level_ms=limits.get(CURVE_LATENCY),
        sentence=f"{sweep_answer(found)}.",
    )


def _averaged(each: SweptLoad, found: Sweep) -> ServingSummary:
    """A load's figures, averaged over its valid runs; INVALID if there is none."""
    names = {name for figures in each.runs.figures for name in figures}
    means = {name: mean for name in names if (mean := each.runs.mean(name)) is not None}
    failed = (f"requests failed in {each.runs.failed} of {each.runs.runs} runs",) if each.runs.failed else ()
    return ServingSummary(
        name=found.search.levels[0].suite,
        concurrency=int(each.load) if found.kind == "concurrency" else 0,
        requests=each.requests,
        completed=each.requests,
        metrics=means,
        invalid=() if each.runs.figures and not failed else (*failed, *each.runs.invalid) or ("no run is valid",),
        notes=(*each.discarded, *(f"a run is INVALID: {reason}" for reason in each.runs.invalid)),
    )
