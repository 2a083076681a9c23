from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from support.reports import make_serving

from llmgate.report.panels.load_curve import curve_of, curves

if TYPE_CHECKING:
    from llmgate.gate.serving.summary import ServingSummary


def load(concurrency: int, throughput: float, p95: float, **changes: object) -> ServingSummary:
    metrics = {"output_throughput": throughput, "p95_ttft_ms": p95, "median_ttft_ms": p95 / 2}
    return replace(make_serving(concurrency=concurrency, metrics=metrics), **changes)  # type: ignore[arg-type]


SWEEP = (load(8, 900.0, 700.0), load(1, 200.0, 50.0), load(4, 800.0, 180.0))


def test_points_stand_in_the_order_of_the_load_with_what_the_level_says() -> None:
    curve = curve_of("chat", {"candidate": SWEEP}, level_ms=500.0)
    assert curve is not None
    assert [(point.label, point.throughput, point.latency_ms) for point in curve.points] == [
        ("1", 200.0, 50.0),
        ("4", 800.0, 180.0),
        ("8", 900.0, 700.0),
    ]
    assert (curve.throughput, curve.latency) == ("output throughput, tok/s", "p95 TTFT, ms")
    assert [row.cells[-1] for row in curve.table.rows] == ["met", "met", "missed"]


def test_an_invalid_load_is_marked_and_never_meets_the_level() -> None:
    curve = curve_of("chat", {"candidate": (SWEEP[1], load(2, 300.0, 60.0, invalid=("lag",)))}, level_ms=500.0)
    assert curve is not None
    assert [point.invalid for point in curve.points] == [False, True]
    assert curve.table.rows[1].cells[-1] == "INVALID: lag"


def test_one_load_is_no_curve_and_neither_are_loads_without_figures() -> None:
    assert list(curves(SWEEP[:1], (), {})) == []
    bare = [replace(run, metrics={}) for run in SWEEP]
    assert curve_of("chat", {"candidate": bare}) is None


def test_several_runs_of_one_load_are_no_sweep() -> None:
    assert list(curves([SWEEP[0]] * 3, [SWEEP[0]], {})) == []


def test_both_sides_and_names_are_kept_apart() -> None:
    other = [replace(run, name="other") for run in SWEEP]
    first, second = curves([*SWEEP, *other], SWEEP, {"other": 100.0})
    assert {point.side for point in first.points} == {"champion", "candidate"}
    assert {point.side for point in second.points} == {"candidate"}
    assert (first.level_ms, second.level_ms) == (None, 100.0)
