from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import make_metric

from llmgate.record.policy import Direction
from llmgate.report.serving_words import (
    bracketed,
    change,
    change_bounds,
    gain_of,
    quantity,
    quantity_bounds,
    short_limit,
    unit_limit,
)

HIGHER, LOWER = Direction.HIGHER, Direction.LOWER


def test_a_latency_that_grows_is_slower_and_a_throughput_that_falls_is_less() -> None:
    assert change(-0.098, HIGHER) == "−9.8 %"
    assert change(-0.098, LOWER) == "9.8 % slower"
    assert change(0.02, LOWER) == "2.0 % faster"
    assert change(0.0, LOWER) == "0.0 %"
    assert change(None, LOWER) == "–"
    assert change(math.nan, LOWER) == "undefined"


@pytest.mark.parametrize(
    ("lower", "upper", "throughput", "latency"),
    [
        (-0.107, -0.089, "−10.7 to −8.9 %", "8.9 to 10.7 % slower"),
        (0.03, 0.05, "+3.0 to +5.0 %", "3.0 to 5.0 % faster"),
        (-0.012, 0.004, "−1.2 to +0.4 %", "1.2 % slower to 0.4 % faster"),
    ],
)
def test_bounds_say_which_way(lower: float, upper: float, throughput: str, latency: str) -> None:
    metric = make_metric(unit="tok/s", lower=lower, upper=upper, margin=0.05)
    assert change_bounds(metric) == throughput
    assert change_bounds(make_metric(unit="ms", direction=LOWER, lower=lower, upper=upper, margin=0.05)) == latency


def test_in_brackets_the_bounds_of_a_latency_count_in_the_direction_of_the_word() -> None:
    assert bracketed(make_metric(unit="req/s", delta=-0.098, lower=-0.107, upper=-0.089)) == "−9.8 % [−10.7, −8.9]"
    slower = make_metric(unit="ms", direction=LOWER, delta=-0.004, lower=-0.012, upper=0.004)
    assert bracketed(slower) == "0.4 % slower [−0.4, 1.2]"
    faster = make_metric(unit="ms", direction=LOWER, delta=0.02, lower=-0.01, upper=0.05)
    assert bracketed(faster) == "2.0 % faster [−1.0, 5.0]"
    assert bracketed(make_metric(unit="ms", direction=LOWER, delta=-0.1, lower=None, upper=None)) == "10.0 % slower"


def test_a_bound_is_told_apart_from_the_limit_that_it_misses_by_little() -> None:
    metric = make_metric(unit="tok/s", lower=-0.05004, upper=-0.0001, margin=0.05)
    assert change_bounds(metric) == "−5.004 to −0.01 %"
    assert quantity_bounds(498.0, 500.3, "ms", 500.0) == "498 to 500.3 ms"


def test_limits_stand_as_they_were_written() -> None:
    assert unit_limit(make_metric(unit="ms", max=512.5)) == "at most 512.5 ms"
    assert unit_limit(make_metric(unit="tok/s", min=1000.0)) == "at least 1,000 tok/s"
    assert unit_limit(make_metric(unit="tok/s")) == ""
    assert short_limit(make_metric(unit="ms", max=500.0, margin=0.1)) == "−10 %, ≤ 500"
    assert short_limit(make_metric(unit="ms", reference="none", margin=None)) == "–"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_undefined(value: float) -> None:
    assert quantity(value, "ms") == "undefined"
    assert quantity(None, "ms") == "–"


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_a_gain_is_above_zero_exactly_if_the_candidate_is_better(candidate: float, champion: float) -> None:
    assert (gain_of(candidate, champion, HIGHER) > 0) == (candidate / champion > 1)
    assert gain_of(candidate, champion, LOWER) == -gain_of(candidate, champion, HIGHER)
