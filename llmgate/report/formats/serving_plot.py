"""Geometry of the drawings of two servings: positions in percent of the drawing, downwards as a browser counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.report.arm_rows import CurveView, EcdfView, PairsView
from llmgate.report.axis import Axis, LogAxis, Tick, fitting_axis, ticks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.report.arm_rows import ArmsView, CurvePoint, EcdfLine

__all__ = [
    "Band",
    "CurvePlot",
    "EcdfPlot",
    "Mark",
    "PairsPlot",
    "Path",
    "curve_plot",
    "drawn_arms",
    "ecdf_plot",
    "pairs_plot",
]

CANVAS: Final = 1000
"""A path is drawn on as many units as this, in both directions: paths know no percentages."""
MOST_RUN_TICKS: Final = 20
SHARES: Final = (0, 25, 50, 75, 100)
WIDE: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point with what it says."""

    x: float
    y: float
    words: str
    label: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A stretch of the vertical axis: from `top` downwards."""

    top: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A line of one side, for the `d` of a path on a canvas of 1000 by 1000."""

    side: str
    d: str
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsPlot:
    """All pairs of one figure. `zone` is where the interval has to lie; a line that is None is not there."""

    view: PairsView
    points: tuple[Mark, ...]
    lost: tuple[Mark, ...]
    band: Band | None
    zone: Band | None
    mean: float | None
    zero: float | None
    limit: float | None
    runs: tuple[Tick, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EcdfPlot:
    """Distributions of both sides on one axis."""

    view: EcdfView
    paths: tuple[Path, ...]
    ticks: tuple[Tick, ...]
    shares: tuple[Tick, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePlot:
    """Latency over throughput."""

    view: CurveView
    paths: tuple[Path, ...]
    points: tuple[Mark, ...]
    level: float | None
    across: tuple[Tick, ...]
    upwards: tuple[Tick, ...]


def drawn_arms(arms: Sequence[ArmsView]) -> list[tuple[ArmsView, list[PairsPlot], list[EcdfPlot]]]:
    """Each view with its drawings."""
    return [(it, [pairs_plot(pairs) for pairs in it.pairs], [ecdf_plot(ecdf) for ecdf in it.ecdfs]) for it in arms]


def pairs_plot(view: PairsView) -> PairsPlot:
    """The pairs from left to right as they were made, more being further up."""
    lines = [value for value in (view.mean, view.lower, view.upper, view.limit) if value is not None]
    values = [point.value for point in view.points]
    known = [*lines, *values, *([0.0] if view.compared else [])] or [0.0, 1.0]
    low, high = min(known), max(known)
    pad = (high - low) * 0.15 or max(abs(high) * 0.1, 0.5)
    axis = Axis(low=low - pad, high=high + pad)
    band = None if view.lower is None or view.upper is None else _band(axis, view.lower, view.upper)
    zone = None
    if view.limit is not None:
        zone = _band(axis, axis.low, view.limit) if view.low_is_better else _band(axis, view.limit, axis.high)
    return PairsPlot(
        view=view,
        points=tuple(
            Mark(x=_run_at(point.at, view.runs), y=_y(axis, point.value), words=point.words, label=str(point.number))
            for point in view.points
        ),
        lost=tuple(Mark(x=_run_at(run.at, view.runs), y=96.0, words=run.words) for run in view.discarded),
        band=band,
        zone=zone,
        mean=None if view.mean is None else _y(axis, view.mean),
        zero=_y(axis, 0.0) if view.compared else None,
        limit=None if view.limit is None else _y(axis, view.limit),
        runs=tuple(_run_ticks(view.runs)),
        ticks=tuple(_upwards(axis.ticks(signed=True) if view.compared else ticks_of(axis))),
    )


def _run_at(position: float, runs: int) -> float:
    return round((position + 0.5) / max(runs, 1) * 100, 2)


def _run_ticks(runs: int) -> Iterator[Tick]:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if runs / step <= MOST_RUN_TICKS or step == 1000)
    for number in range(1, runs + 1):
        if step == 1 or number % step == 0:
            yield Tick(at=_run_at(number - 1, runs), label=str(number))


def _y(axis: Axis | LogAxis, value: float) -> float:
    return round(100 - axis.at(value), 2)


def _band(axis: Axis, low: float, high: float) -> Band:
    top = _y(axis, high)
    return Band(top=top, height=round(_y(axis, low) - top, 2))


def _upwards(ticks: Sequence[Tick]) -> Iterator[Tick]:
    for tick in ticks:
        yield Tick(at=round(100 - tick.at, 2), label=tick.label, zero=tick.zero)


def ecdf_plot(view: EcdfView) -> EcdfPlot:
    """Step curves; the axis is logarithmic where the values spread far."""
    values = [value for line in view.lines for value, _ in line.steps]
    axis = _ecdf_axis(values)
    return EcdfPlot(
        view=view,
        paths=tuple(Path(side=line.side, d=_steps(line, axis), words=line.words) for line in view.lines),
        ticks=ticks_of(axis),
        shares=tuple(Tick(at=100.0 - share, label=f"{share} %") for share in SHARES),
    )


def _ecdf_axis(values: Sequence[float]) -> Axis | LogAxis:
    low, high = min(values), max(values)
    if low <= 0 or high / low > WIDE:
        return fitting_axis(values, wide=WIDE)
    pad = (high - low) * 0.08 or high * 0.1
    return Axis(low=max(0.0, low - pad), high=high + pad)


def _steps(line: EcdfLine, axis: Axis | LogAxis) -> str:
    """From the left edge at 0 to the right edge at 1."""
    parts = [f"M0 {CANVAS}"]
    for value, share in line.steps:
        parts.append(f"H{axis.at(value) * CANVAS / 100:.0f}V{CANVAS * (1 - share):.0f}")
    return "".join(parts) + f"H{CANVAS}"


def curve_plot(view: CurveView) -> CurvePlot:
    """Throughput to the right, latency upwards; the points of each side joined in the order of their load."""
    across = fitting_axis([point.throughput for point in view.points], wide=WIDE)
    heights = [point.latency_ms for point in view.points]
    upwards = fitting_axis([*heights, *([view.level_ms] if view.level_ms else [])], wide=WIDE)
    marks = tuple(
        Mark(
            x=across.at(point.throughput),
            y=_y(upwards, point.latency_ms),
            words=_said(point, view),
            label=point.label,
            kind=f"{point.side}{' void' if point.invalid else ''}",
        )
        for point in view.points
    )
    paths = []
    for side in ("champion", "candidate"):
        at = [
            f"{mark.x * CANVAS / 100:.0f} {mark.y * CANVAS / 100:.0f}"
            for mark, point in zip(marks, view.points, strict=True)
            if point.side == side and not point.invalid
        ]
        if at:
            paths.append(Path(side=side, d=f"M{'L'.join(at)}"))
    return CurvePlot(
        view=view,
        paths=tuple(paths),
        points=marks,
        level=None if view.level_ms is None else _y(upwards, view.level_ms),
        across=ticks_of(across),
        upwards=tuple(_upwards(ticks_of(upwards))),
    )


def _said(point: CurvePoint, view: CurveView) -> str:
    invalid = ", INVALID" if point.invalid else ""
    return (
        f"{point.side}, load {point.label}: {point.throughput:,.4g} {view.throughput.rpartition(', ')[2]}, "
        f"{point.latency_ms:,.4g} ms{invalid}"
    )
