"""Latency over throughput where serving was measured at several loads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.wording import figure_name
from llmgate.report.arm_rows import CurvePoint, CurveView
from llmgate.report.panel_rows import Panel, PanelRow, columns
from llmgate.report.pieces import State
from llmgate.report.serving_words import quantity
from llmgate.report.visible import one_line
from llmgate.report.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.report.arm_rows import Side

__all__ = ["CURVE_LATENCY", "curve_of", "curves"]

CURVE_LATENCY: Final = "p95_ttft_ms"
"""What is held against the service level of a curve."""
THROUGHPUTS: Final = (("output_throughput", "tok/s"), ("request_throughput", "req/s"))
LEAST_LOADS: Final = 2
FIGURES: Final = ("Throughput", "Median TTFT", "p95 TTFT", "Median TPOT")


def curves(
    candidate: Sequence[ServingSummary], champion: Sequence[ServingSummary], levels: Mapping[str, float]
) -> Iterator[CurveView]:
    """One curve per name that was measured at several loads.

    Args:
        candidate: Summaries of the candidate's measurements.
        champion: Summaries of the champion's.
        levels: The limit of the latency in ms, by name of the measurement.
    """
    for name in dict.fromkeys(run.name for run in (*candidate, *champion)):
        sides: dict[Side, list[ServingSummary]] = {
            "champion": [run for run in champion if run.name == name],
            "candidate": [run for run in candidate if run.name == name],
        }
        loads = {run.concurrency for runs in sides.values() for run in runs}
        curve = curve_of(name, sides, level_ms=levels.get(name)) if len(loads) >= LEAST_LOADS else None
        if curve is not None:
            yield curve


def curve_of(
    name: str, sides: Mapping[Side, Sequence[ServingSummary]], *, level_ms: float | None = None
) -> CurveView | None:
    """Latency over throughput of measurements at several loads.

    Args:
        name: What was measured.
        sides: Summaries of each side, in any order. One that is invalid is drawn apart and never joined to others.
        level_ms: What the p95 of TTFT must not exceed.

    Returns:
        None if no measurement has both figures.
    """
    key, unit = next(
        (
            (key, unit)
            for key, unit in THROUGHPUTS
            if any(key in run.metrics for runs in sides.values() for run in runs)
        ),
        THROUGHPUTS[0],
    )
    drawn: list[CurvePoint] = []
    rows: list[PanelRow] = []
    for side, runs in sides.items():
        for run in sorted(runs, key=lambda run: (run.concurrency, run.metrics.get(key, 0.0))):
            throughput, latency = run.metrics.get(key), run.metrics.get(CURVE_LATENCY)
            label = f"{count(run.concurrency)} in flight" if run.concurrency else "open loop"
            rows.append(_row(side, label, run, (throughput, unit), level_ms))
            if throughput is None or latency is None or not (math.isfinite(throughput) and math.isfinite(latency)):
                continue
            short = count(run.concurrency) if run.concurrency else quantity(run.metrics.get("request_throughput"), "/s")
            point = CurvePoint(
                throughput=throughput, latency_ms=latency, label=short, side=side, invalid=bool(run.invalid)
            )
            drawn.append(point)
    if not drawn:
        return None
    level = "" if level_ms is None else f" The service level is {quantity(level_ms, 'ms')}."
    return CurveView(
        title=one_line(name, 120),
        throughput=f"{figure_name(key)}, {unit}",
        latency=f"{figure_name(CURVE_LATENCY)}, ms",
        points=tuple(drawn),
        level_ms=level_ms,
        table=Panel(
            id="loads",
            title="Loads",
            lead=f"Latency over throughput at {len(rows)} loads.{level}",
            columns=(*columns("Load", "Side"), *columns(*FIGURES, number=True), *columns("Service level")),
            rows=tuple(rows),
        ),
    )


def _row(
    side: Side, label: str, run: ServingSummary, throughput: tuple[float | None, str], level_ms: float | None
) -> PanelRow:
    latency = run.metrics.get(CURVE_LATENCY)
    if run.invalid:
        state, word = State.NOT_EVALUATED, f"INVALID: {one_line(run.invalid[0])}"
    elif level_ms is None or latency is None:
        state, word = None, "–"
    elif latency <= level_ms:
        state, word = State.PASS, "met"
    else:
        state, word = State.FAIL, "missed"
    cells = (
        *(label, side, quantity(*throughput)),
        *(quantity(run.metrics.get(key), "ms") for key in ("median_ttft_ms", CURVE_LATENCY, "median_tpot_ms")),
    )
    return PanelRow(cells=(*cells, word), state=state)
