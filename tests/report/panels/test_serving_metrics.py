from __future__ import annotations

import math
from typing import Any

import pytest
from support.records import make_metric

from llmgate.gate.decision.types import MetricDecision, Verdict
from llmgate.record.policy import Direction
from llmgate.report.panels.metrics import metric_row
from llmgate.report.pieces import State


def latency(**changes: Any) -> MetricDecision:
    made: dict[str, Any] = {
        "metric": "median_ttft_ms",
        "unit": "ms",
        "direction": Direction.LOWER,
        "candidate": 562.0,
        "champion": 512.0,
        "delta": -0.098,
        "lower": -0.107,
        "upper": -0.089,
        "margin": 0.05,
        "expected": 8,
        "evaluated": 8,
        "better": 0,
        "worse": 8,
    }
    return make_metric(changes.pop("verdict", Verdict.FAIL), **(made | changes))


def test_a_latency_reads_in_its_unit_and_by_pairs() -> None:
    row = metric_row(latency(max=600.0))
    assert (row.metric, row.champion, row.candidate) == ("median TTFT", "512 ms", "562 ms")
    assert (row.difference, row.bounds) == ("9.8 % slower", "8.9 to 10.7 % slower")
    assert (row.limit, row.counts) == ("tolerance 5 %, at most 600 ms", "8 of 8 pairs")
    assert row.changes == "0 better, 8 worse"
    assert row.interval is not None
    assert (row.interval.kind, row.interval.limit) == ("change", -5.0)
    assert (row.interval.lower, row.interval.point) == pytest.approx((-10.7, -9.8))


def test_a_limit_alone_counts_runs_and_is_drawn_as_what_is_left_to_it() -> None:
    row = metric_row(
        latency(reference="threshold", champion=None, delta=None, lower=471.0, upper=489.0, margin=None, max=500.0)
    )
    assert (row.champion, row.difference, row.bounds) == ("–", "–", "471 to 489 ms")
    assert (row.limit, row.counts) == ("at most 500 ms", "8 of 8 runs")
    assert row.interval is not None
    assert (row.interval.kind, row.interval.limit) == ("reserve", 0.0)
    assert (row.interval.lower, row.interval.upper) == pytest.approx((2.2, 5.8))
    assert row.interval.point == pytest.approx(-12.4)


def test_what_was_not_measured_is_no_number_and_never_looks_decided() -> None:
    row = metric_row(
        latency(
            verdict=Verdict.INCONCLUSIVE, reference="none", candidate=None, champion=None, delta=None, lower=None,
            upper=None, margin=None, evaluated=0, errors=8, better=0, worse=0,
        )
    )  # fmt: skip
    assert (row.champion, row.candidate, row.difference, row.bounds) == ("–", "–", "–", "no interval")
    assert (row.state, row.limit, row.interval) == (State.NOT_EVALUATED, "not tested", None)
    assert row.counts == "0 of 8 pairs"


@pytest.mark.parametrize("bound", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_not_drawn(bound: float) -> None:
    assert metric_row(latency(lower=bound)).interval is None
