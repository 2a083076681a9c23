from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.report.words import (
    count,
    figure,
    percent,
    plural,
    points,
    probability,
    relative,
    signed_points,
    tell_apart,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9123, "91.2 %"), (1.0, "100.0 %"), (0.0, "0.0 %"), (-0.0001, "0.0 %"), (None, "–"), (math.nan, "undefined")],
)
def test_percent(value: float | None, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.006, "−0.6"),
        (0.006, "+0.6"),
        (0.0, "0.0"),
        (-0.0004, "0.0"),
        (None, "–"),
        (math.inf, "undefined"),
        (12.0, "+1,200.0"),
    ],
)
def test_signed_points(value: float | None, text: str) -> None:
    assert signed_points(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.03, "3"), (0.025, "2.5"), (0.0, "0"), (0.1, "10"), (None, "–"), (math.nan, "undefined")]
)
def test_points(value: float | None, text: str) -> None:
    assert points(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234, "0.123"), (9.4, "9.40"), (12.34, "12.3"), (5238.4, "5,238"), (math.nan, "undefined"), (0.0, "0.000")],
)
def test_figure(value: float, text: str) -> None:
    assert figure(value) == text


def test_counts() -> None:
    assert (count(12345), plural(1, "case"), plural(2, "case"), plural(0, "entry", "entries")) == (
        "12,345",
        "1 case",
        "2 cases",
        "0 entries",
    )


def test_relative() -> None:
    assert (relative(0.042), relative(None)) == ("+4.2 %", "–")


def test_a_bound_that_only_just_passed_does_not_look_like_the_margin() -> None:
    digits = tell_apart(-0.02996, -0.03)
    assert signed_points(-0.02996, digits) == "−2.996"
    assert tell_apart(-0.021, -0.03) == 1
    assert tell_apart(-0.03, -0.03) == 1
    assert tell_apart(None, -0.03) == 1
    assert tell_apart(-0.03 + 1e-12, -0.03) == 4


@settings(deadline=None)
@given(st.one_of(st.none(), st.floats()))
def test_no_number_prints_as_nan(value: float | None) -> None:
    for text in (percent(value), points(value), signed_points(value), relative(value)):
        assert "nan" not in text.lower()
        assert "inf" not in text.lower()


def test_probability() -> None:
    assert [probability(p) for p in (0.0312, 1e-9, None, math.nan)] == ["p = 0.031", "p = 1e-09", "", "p undefined"]
