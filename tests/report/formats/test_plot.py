from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import make_metric
from support.reports import look, make_serving

from llmgate.report.formats.plot import forests, serving_plot
from llmgate.report.panels.metrics import metric_row
from llmgate.report.panels.serving import serving_tables

FRACTION = st.floats(-1.0, 1.0)


def test_positions_follow_the_numbers() -> None:
    (forest,) = forests(look("pass").metrics)
    first = forest.lanes[0]
    assert first.limit is not None
    assert first.zero is not None
    assert first.limit < first.lower < first.point < first.zero < first.upper
    assert first.width == pytest.approx(first.upper - first.lower)
    assert {lane.zero for lane in forest.lanes} == {first.zero}


def test_thresholds_have_their_own_axis() -> None:
    (forest,) = forests(look("no-champion").metrics)
    (lane,) = forest.lanes
    assert forest.kind == "rate"
    assert lane.zero is None
    assert lane.limit is not None
    assert lane.limit < lane.lower


@settings(deadline=None)
@given(FRACTION, FRACTION, FRACTION, st.one_of(st.none(), st.floats(0.001, 0.999)))
def test_everything_is_drawn_inside_the_drawing(a: float, b: float, c: float, margin: float | None) -> None:
    lower, point, upper = sorted((a, b, c))
    row = metric_row(make_metric(delta=point, lower=lower, upper=upper, margin=margin))
    (forest,) = forests([row])
    (lane,) = forest.lanes
    assert lane.zero is not None
    assert 0 <= lane.lower <= lane.point <= lane.upper <= 100
    assert all(0 <= position <= 100 for position in (lane.zero, lane.limit or 0.0))
    assert 1 <= len(forest.ticks) <= 9
    assert [tick.at for tick in forest.ticks] == sorted(tick.at for tick in forest.ticks)


def test_a_metric_without_an_interval_is_left_to_the_table() -> None:
    assert forests([metric_row(make_metric(lower=None, upper=None))]) == ()


def test_better_points_right_for_rates_and_times() -> None:
    (table,) = serving_tables([make_serving(5500.0, 100.0)], [make_serving(5000.0, 128.0)])
    plot = serving_plot(table)
    assert plot is not None
    assert all(bar.better and bar.start >= plot.zero - 0.01 for bar in plot.bars)


def test_a_change_beyond_the_axis_is_clipped_and_said() -> None:
    (table,) = serving_tables([make_serving(50.0, 1280.0)], [make_serving(5000.0, 128.0)])
    plot = serving_plot(table)
    assert plot is not None
    clipped = {bar.row.label for bar in plot.bars if bar.clipped}
    assert clipped == {"Time to first token, median (ms)", "Time to first token, p99 (ms)"}
    assert all(0 <= bar.start <= bar.start + bar.width <= 100.01 for bar in plot.bars)


def test_nothing_comparable_is_not_plotted() -> None:
    (table,) = serving_tables([make_serving(invalid=("lag",))], [make_serving()])
    assert serving_plot(table) is None
