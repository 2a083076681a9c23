"""What of serving is logged as numbers: nothing that must not be believed."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest
from support.records import make_record
from support.serving_reports import serving_arms
from support.serving_runs import make_trace

from llmgate.gate.serving.arm_figures import read_arms
from llmgate.session.decide.publish import serving_figures


def test_of_two_arms_the_medians_of_the_candidate_are_logged() -> None:
    arms = serving_arms()
    figures = serving_figures(replace(make_record(), arms=(arms,)))
    runs = [mine.summary.metrics["output_throughput"] for mine, _ in read_arms(arms).pairs if mine is not None]
    assert figures["support/output_throughput"] == pytest.approx(median(runs))


def test_an_arm_with_a_run_that_must_not_be_believed_or_is_missing_has_no_figures() -> None:
    arms = serving_arms()
    last = arms.runs[-1]
    bad = replace(last, trace=replace(last.trace, client_cpu_s=last.trace.duration_s))
    for runs in ((*arms.runs[:-1], bad), arms.runs[:-1]):
        assert serving_figures(replace(make_record(), arms=(replace(arms, runs=runs),))) == {}


def test_a_single_measurement_is_logged_unless_it_is_invalid() -> None:
    trace = make_trace(100.0)
    assert serving_figures(make_record(serving=[trace]))["support/output_throughput"] == pytest.approx(100.0)
    assert serving_figures(make_record(serving=[replace(trace, client_cpu_s=trace.duration_s)])) == {}
