"""A plan of serving in words."""

from __future__ import annotations

from dataclasses import replace

from support.serving_runs import make_arms, noisy

from llmgate.gate.power.plan import Power
from llmgate.gate.power.serving import (
    ServingChances,
    ServingDesign,
    ServingLimit,
    ServingNoise,
    ServingPower,
    plan_serving,
)
from llmgate.record.policy import Role
from llmgate.record.serving.plan import ServingSpec
from llmgate.record.serving.policy import ServingPolicy
from llmgate.report.terminal.power import power_lines
from llmgate.report.terminal.power_serving import serving_lines, serving_preflight

CHANCES = ServingChances(
    margin=0.05,
    slowdown=0.08,
    pass_if_unchanged=0.58,
    pass_least=0.31,
    pass_most=0.83,
    pass_if_lost=0.05,
    found=0.911,
    missed=0.002,
    detectable=0.0669,
    pairs_to_pass=14,
    pairs_to_find=7,
)
FIGURE = ServingPower(
    suite="support",
    metric="output_throughput",
    role=Role.PRIMARY,
    pairs=8,
    latency=False,
    run_cv=0.05,
    lowest=0.033,
    highest=0.102,
    source="run",
    measured_on=8,
    comparison=CHANCES,
    threshold=None,
)
GATE = ServingPolicy(suite="support", metric="output_throughput")


def test_a_figure_in_four_lines() -> None:
    assert list(serving_lines(FIGURE, 0.8)) == [
        "support::serving::output_throughput: 8 pairs of runs, tolerance 5.0 %",
        "  runs vary by 5.0 % (3.3 % to 10.2 %), from an earlier measurement, 8 pairs",
        "  an unchanged model passes 58 % of the time (31 % to 83 % within the bounds of that); a slowdown of 6.7 % is"
        " found 80 % of the time; one of 8.0 % is found 91 % and passes less than 1 % of the time; 7 pairs find it 80 %"
        " of the time",
        "  advice: set pairs: 14, make runs longer, or keep the machine quiet",
    ]


def test_a_limit_alone_has_no_chances_but_figures() -> None:
    limit = ServingLimit(limit=500.0, passing=476.1, failing=532.6)
    lines = list(serving_lines(replace(FIGURE, comparison=None, threshold=limit, latency=True), 0.8))
    assert lines == [
        "support::serving::output_throughput: 8 pairs of runs",
        "  runs vary by 5.0 % (3.3 % to 10.2 %), from an earlier measurement, 8 pairs",
        "  limit at most 500: a true 476.1 passes 80 % of the time, 532.6 fails as often",
    ]
    none = replace(limit, passing=None, failing=None)
    assert "limit at least 500: no figure passes 80 % of the time, none fails as often" in "\n".join(
        serving_lines(replace(FIGURE, threshold=none), 0.8)
    )


def test_advice_and_what_cannot_be_found() -> None:
    def last(**changes: object) -> str:
        return list(serving_lines(replace(FIGURE, comparison=replace(CHANCES, **changes)), 0.8))[-1]  # type: ignore[arg-type]

    assert last(pass_if_unchanged=0.9, pass_least=0.85) == "  advice: enough"
    assert "enough as measured; the 8 pairs that tell leave room for 31 %" in last(pass_if_unchanged=0.9)
    assert last(pairs_to_pass=None) == "  advice: no number of pairs would do"
    never = replace(
        CHANCES, detectable=None, pairs_to_find=None, pass_if_unchanged=0.9, pass_least=None, pass_most=None
    )
    text = "\n".join(serving_lines(replace(FIGURE, comparison=never, source="assumed", measured_on=None), 0.8))
    assert "no slowdown is found 80 % of the time" in text
    assert "of the time, which no number of pairs finds" in text
    assert "assumed; measure it" in text
    assert "advice: enough, if runs vary by no more than 5.0 %" in text


def test_the_word_before_runs_are_measured() -> None:
    spec = ServingSpec(pairs=8, gates=(GATE, replace(GATE, metric="median_ttft_ms", role=Role.WATCH)))
    (line,) = serving_preflight(spec, None)
    assert line == (
        "support::serving::output_throughput: 8 pairs of runs find a slowdown of 6.7 % four times out of five, if runs"
        " vary by 5.0 %, which is assumed; an unchanged model would pass 58 % of the time; set pairs: 14, make runs"
        " longer, or keep the machine quiet"
    )
    earlier = make_arms(noisy(100.0, 8, cv=0.01, seed=1), noisy(100.0, 8, cv=0.01, seed=2))
    (line,) = serving_preflight(spec, earlier)
    assert "as in the last measurement; an unchanged model would pass" in line
    assert line.endswith("; enough")
    (later,) = serving_preflight(spec, None, others=5)
    assert "find a slowdown of 9.8 %" in later
    assert serving_preflight(replace(spec, gates=(replace(GATE, margin=None, min=10.0),)), None) == []


def test_figures_stand_beside_metrics() -> None:
    serving = plan_serving([ServingDesign(policy=GATE, pairs=8)] * 2, ServingNoise(cv=0.05))
    power = Power(metrics=(), wanted=0.8, joint=0.34, joint_least=0.16, joint_most=0.58, serving=serving)
    lines = list(power_lines(power, {}))
    assert lines[0] == "support::serving::output_throughput: 8 pairs of runs, tolerance 5.0 %"
    assert lines[-1].startswith("all 2 gating metrics together pass an unchanged model 34 % of the time")
