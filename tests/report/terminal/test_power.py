"""A plan in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmgate.gate.power.plan import MetricPower, Power, Threshold
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Role
from llmgate.report.terminal.power import advice, power_lines, preflight_line, shortfall

SHORT = MetricPower(
    suite="support",
    metric="accuracy",
    role=Role.PRIMARY,
    trait=None,
    cases=300,
    clusters=None,
    effective_clusters=None,
    repeats=1,
    looks=1,
    used=None,
    margin=0.03,
    default_margin=False,
    variance=0.1,
    lowest=0.07,
    highest=0.137,
    level=0.8,
    source="run",
    measured_on=300,
    exact=True,
    flips=0.1,
    pass_if_unchanged=0.483,
    pass_if_margin_lost=0.049,
    pass_by_third=None,
    pass_least=0.39,
    pass_most=0.61,
    detectable=0.0449,
    margin_needed=0.0466,
    cases_needed=705,
    repeats_needed=None,
)
ENOUGH = replace(SHORT, pass_if_unchanged=0.91, pass_least=0.84, pass_most=0.96, margin=0.06, cases_needed=200)


def power(*metrics: MetricPower) -> Power:
    return Power(metrics=metrics, wanted=0.8, joint=0.44, joint_least=0.39, joint_most=0.48)


def test_a_metric_in_four_lines() -> None:
    assert list(power_lines(power(SHORT), {})) == [
        "support::accuracy: 300 cases, tolerance 3",
        "  discordance 10.0 % (7.0 % to 13.7 %), from two runs of the same model, 300 cases",
        "  an unchanged model passes 48 % of the time (39 % to 61 % within the bounds of that); a true loss of 4.5 points"
        " is found 80 % of the time",
        "  advice: add 410 cases or accept 5 points",
    ]


def test_looks_clusters_and_attempts_are_named() -> None:
    clustered = replace(SHORT, clusters=40, effective_clusters=11.26, exact=False, looks=5, used=0.713)
    lines = list(power_lines(power(clustered), {}))
    assert lines[0] == "support::accuracy: 300 cases in 40 clusters that tell as much as 11.3 equal ones, tolerance 3"
    assert lines[3] == (
        "  it may stop at 5 looks: of an unchanged model about 71 % of the cases are asked, if this metric alone decides"
        " when to stop"
    )
    equal = replace(clustered, effective_clusters=39.8)
    assert next(power_lines(power(equal), {})) == "support::accuracy: 300 cases in 40 clusters, tolerance 3"
    first = list(power_lines(replace(power(SHORT), reserve=0.1), {}))
    assert first[-1] == (
        "these are the chances of a candidate's first attempt, which has 90 % of alpha; the rest is kept for further ones"
    )
    third = list(power_lines(replace(power(replace(SHORT, pass_by_third=0.56)), reserve=0.1), {}))
    assert third[-1].endswith("which has 90 % of alpha; by the third attempt it is 56 % in all")


def test_lengths_change_by_a_factor() -> None:
    longer = replace(
        SHORT, metric="drift-length", trait=OutputFeature.LENGTH, margin=0.2, variance=0.09, lowest=0.04, highest=0.16,
        exact=False, detectable=0.061, margin_needed=0.139, source="assumed",
    )  # fmt: skip
    lines = list(power_lines(power(longer), {}))
    assert lines[1].startswith("  standard deviation of an answer's length ratio 35.0 % (22.1 % to 49.2 %)")
    assert "answers that are 6.1 % longer, or shorter by that factor, are found 80 % of the time" in lines[2]
    assert "accept 14 %" in lines[-1]
    assert "no change is found" in list(power_lines(power(replace(longer, detectable=None)), {}))[2]
    enough = replace(longer, pass_if_unchanged=0.9)
    assert advice(enough, 0.8) == "enough, if lengths vary by chance by no more than 35.0 %"


def test_a_threshold_has_a_line_of_its_own() -> None:
    lines = list(power_lines(power(replace(SHORT, threshold=Threshold(limit=0.8, passing=0.853, failing=None))), {}))
    assert lines[3] == "  limit 80.0 %: a true rate of 85.3 % passes 80 % of the time, none fails as often"
    lines = list(power_lines(power(replace(SHORT, threshold=Threshold(limit=0.8, passing=None, failing=0.7))), {}))
    assert lines[3] == "  limit 80.0 %: no rate passes 80 % of the time, one of 70.0 % fails as often"


def test_graded_scores_clusters_and_repeats_are_named() -> None:
    metric = replace(
        SHORT, exact=False, clusters=40, repeats=3, default_margin=True, source="repeats", variance=0.04, lowest=0.01,
        highest=0.09, detectable=None,
    )  # fmt: skip
    lines = list(power_lines(power(metric), {}))
    assert lines[0] == "support::accuracy: 300 cases in 40 clusters, 3 answers to each, tolerance 3 by default"
    assert lines[1] == (
        "  standard deviation of a case's difference 20.0 % (10.0 % to 30.0 %), from the repeats of one run, 300 cases;"
        " 10.0 % of scores flip"
    )
    assert lines[2].endswith("; no loss is found 80 % of the time")


def test_together_and_in_their_texts() -> None:
    lines = list(power_lines(power(SHORT, ENOUGH), {"support": (62, 300), "other": (0, 0)}))
    assert lines[-2] == (
        "all 2 gating metrics together pass an unchanged model 44 % of the time if they err independently"
        " (between 39 % and 48 % however they depend on each other)"
    )
    assert lines[-1] == "support: 62 of 300 answers differ in their text (20.7 %)"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "add 410 cases or accept 5 points"),
        ({"repeats_needed": 3}, "add 410 cases, accept 5 points or set repeat: 3"),
        ({"cases_needed": None}, "accept 5 points"),
        ({"cases_needed": None, "margin_needed": None}, "no size and no tolerance would do"),
        ({"cases_needed": 301}, "add 1 case or accept 5 points"),
        ({"cases_needed": 13_345}, "add 14,000 cases or accept 5 points"),
        ({"pass_if_unchanged": 0.8, "pass_least": 0.8}, "enough"),
        ({"pass_if_unchanged": 0.8}, "enough as measured; the 300 cases that tell leave room for 39 %"),
        (
            {"pass_if_unchanged": 0.8, "source": "assumed", "pass_least": None},
            "enough, if no more than 10.0 % of the scores change by chance",
        ),
    ],
)
def test_advice(changes: dict[str, object], says: str) -> None:
    assert advice(replace(SHORT, **changes), 0.8) == says  # type: ignore[arg-type]


def test_before_a_run_it_is_one_line() -> None:
    assert preflight_line(SHORT, 0.8) == (
        "support::accuracy: 300 cases, tolerance 3; an unchanged model would pass 48 % of the time, a true loss of 4.5"
        " points is found 80 % of the time; add 410 cases or accept 5 points"
    )
    assert "\x1b" not in preflight_line(replace(SHORT, suite="a\x1b[31m"), 0.8)


def test_too_little_is_said_once_more() -> None:
    assert shortfall(power(SHORT), strict=False) == (
        "warning: this gate passes an unchanged model 44 % of the time, less than 80 %"
    )
    assert shortfall(power(SHORT), strict=True).startswith("refused: ")
