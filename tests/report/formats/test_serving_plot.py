from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.serving_reports import serving_arms, serving_decision

from llmgate.gate.serving.arm_figures import read_arms
from llmgate.report.arm_rows import CurvePoint, CurveView, EcdfLine, EcdfView, PairPoint, PairsView
from llmgate.report.axis import Axis, LogAxis, fitting_axis, ticks_of
from llmgate.report.formats.serving_plot import curve_plot, ecdf_plot, pairs_plot
from llmgate.report.panel_rows import Panel
from llmgate.report.panels.arms import arms_view
from llmgate.report.pieces import State

POSITIVE = st.floats(1e-3, 1e7)
PERCENT = st.floats(-1e4, 1e4)


def pairs_of(values: list[float], lower: float, upper: float, limit: float | None) -> PairsView:
    return PairsView(
        metric="median TTFT",
        unit="%",
        compared=True,
        outcome="PASS",
        state=State.PASS,
        runs=2 * len(values),
        points=tuple(
            PairPoint(number=k + 1, at=2 * k + 0.5, value=value, words=f"pair {k + 1}")
            for k, value in enumerate(values)
        ),
        discarded=(),
        mean=(lower + upper) / 2,
        lower=lower,
        upper=upper,
        limit=limit,
        limit_words="",
        low_is_better=False,
        reading="",
        summary="",
    )


@pytest.mark.parametrize("limited", [True, False])
@settings(deadline=None, max_examples=50)
@given(st.lists(PERCENT, min_size=0, max_size=30), PERCENT, PERCENT)
def test_pairs_are_drawn_inside_the_drawing(limited: bool, values: list[float], a: float, b: float) -> None:
    plot = pairs_plot(pairs_of(values, min(a, b), max(a, b), -5.0 if limited else None))
    assert plot.band is not None
    assert plot.zero is not None
    heights = [plot.zero, plot.mean or 0.0, plot.band.top, plot.band.top + plot.band.height]
    heights += [mark.y for mark in plot.points]
    assert all(-0.01 <= height <= 100.01 for height in heights)
    assert [mark.x for mark in plot.points] == sorted(mark.x for mark in plot.points)
    order = sorted(range(len(values)), key=values.__getitem__)
    tops = [plot.points[k].y for k in order]
    assert tops == sorted(tops, reverse=True)


def test_the_zone_is_above_a_margin_and_below_a_maximum() -> None:
    views = arms_view(read_arms(arms := serving_arms()), serving_decision(arms)).pairs
    margin, _, maximum = map(pairs_plot, views)
    assert margin.zone is not None
    assert margin.limit is not None
    assert margin.zone.top + margin.zone.height == pytest.approx(margin.limit, abs=0.02)
    assert maximum.zone is not None
    assert maximum.zone.top == maximum.limit
    assert maximum.zero is None
    assert [tick.label for tick in margin.runs] == [str(number) for number in range(1, 15)]
    assert len(margin.lost) == 2


def test_many_runs_have_few_labels() -> None:
    plot = pairs_plot(replace(pairs_of([1.0], 0.0, 2.0, None), runs=170))
    assert [tick.label for tick in plot.runs][:2] == ["10", "20"]


def test_without_an_interval_the_points_alone_are_drawn() -> None:
    view = replace(pairs_of([1.0, 2.0], 0.0, 1.0, -5.0), mean=None, lower=None, upper=None)
    plot = pairs_plot(view)
    assert (plot.band, plot.mean) == (None, None)
    assert len(plot.points) == 2


@settings(deadline=None, max_examples=50)
@given(st.lists(POSITIVE, min_size=1, max_size=60))
def test_a_distribution_rises_from_the_left_edge_to_the_right_one(values: list[float]) -> None:
    ordered = sorted(values)
    steps = tuple((value, (k + 1) / len(ordered)) for k, value in enumerate(ordered))
    plot = ecdf_plot(EcdfView(title="", lines=(EcdfLine(side="candidate", steps=steps, words=""),)))
    (path,) = plot.paths
    assert path.d.startswith("M0 1000H")
    assert path.d.endswith("V0H1000")
    across = [int(x) for x in re.findall(r"H(\d+)", path.d)]
    heights = [int(y) for y in re.findall(r"V(\d+)", path.d)]
    assert across == sorted(across)
    assert heights == sorted(heights, reverse=True)
    assert all(0 <= at <= 1000 for at in (*across, *heights))


@settings(deadline=None, max_examples=80)
@given(st.lists(POSITIVE, min_size=1, max_size=20))
def test_an_axis_holds_its_values_and_has_readable_marks(values: list[float]) -> None:
    axis = fitting_axis(values)
    assert isinstance(axis, LogAxis) == (max(values) / min(values) > 20.0)
    assert all(0 <= axis.at(value) <= 100 for value in values)
    ticks = ticks_of(axis)
    assert 1 <= len(ticks) <= 12
    assert [tick.at for tick in ticks] == sorted(tick.at for tick in ticks)


def test_a_plain_axis_begins_at_zero_and_zero_alone_has_one() -> None:
    assert fitting_axis([5.0, 10.0]) == Axis(low=0.0, high=10.5)
    assert fitting_axis([0.0]) == Axis(low=0.0, high=1.0)


def point(throughput: float, latency: float, *, invalid: bool = False) -> CurvePoint:
    return CurvePoint(throughput=throughput, latency_ms=latency, label="1", side="candidate", invalid=invalid)


def test_an_invalid_load_is_not_joined_to_others() -> None:
    view = CurveView(
        title="",
        throughput="output throughput, tok/s",
        latency="p95 TTFT, ms",
        points=(point(100.0, 10.0), point(150.0, 500.0, invalid=True), point(200.0, 30.0)),
        level_ms=200.0,
        table=Panel(id="loads", title="", lead=""),
    )
    plot = curve_plot(view)
    (path,) = plot.paths
    assert path.d.count("L") == 1
    assert plot.points[1].kind == "candidate void"
    assert plot.points[1].words == "candidate, load 1: 150 tok/s, 500 ms, INVALID"
    assert plot.level is not None
    assert plot.points[1].y < plot.level < plot.points[2].y < plot.points[0].y
