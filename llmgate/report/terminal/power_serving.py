"""What a gate of serving can decide, in words: pairs of runs, chances and advice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.gate.power.serving import ServingDesign, ServingNoise, hypotheses_of, plan_serving
from llmgate.gate.serving.arms_spread import spreads_of_arms
from llmgate.report.terminal.chances import chance
from llmgate.report.visible import full_name
from llmgate.report.words import percent, plural
from llmgate.stats.planning.detectable import DEFAULT_POWER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.gate.power.serving import ServingChances, ServingPower
    from llmgate.record.arms import ServingArms
    from llmgate.record.serving.plan import ServingSpec

__all__ = ["SERVING_SOURCES", "serving_advice", "serving_lines", "serving_preflight"]

SERVING_SOURCES = {
    "run": "from an earlier measurement",
    "history": "from earlier measurements",
    "given": "as given",
    "assumed": "assumed; measure it, and name the run with --aa or --history",
}


def serving_preflight(spec: ServingSpec, earlier: ServingArms | None, *, others: int = 0) -> list[str]:
    """A line per figure that is compared, before runs are measured.

    Args:
        spec: What is to be measured.
        earlier: The last measurement of two arms of this suite, None if there is none: then runs are taken to vary by
            5 %.
        others: Hypotheses of the same gate besides these, those on scores.
    """
    gates = [gate for gate in spec.gates if gate.gates]
    plans = plan_serving(
        [ServingDesign(policy=gate, pairs=spec.pairs) for gate in gates],
        ServingNoise(spreads=spreads_of_arms(gates, () if earlier is None else (earlier,))),
        hypotheses=others + hypotheses_of(gates),
    )
    return [_preflight(plan, plan.comparison) for plan in plans if plan.comparison is not None]


def serving_lines(plan: ServingPower, wanted: float) -> Iterator[str]:
    """Some lines on one figure.

    Args:
        plan: What its gate can decide.
        wanted: The probability that was asked for.
    """
    comparison, threshold = plan.comparison, plan.threshold
    margin = "" if comparison is None else f", tolerance {percent(comparison.margin)}"
    yield f"{_name(plan)}: {plural(plan.pairs, 'pair')} of runs{margin}"
    bounds = ""
    if plan.lowest is not None and plan.highest is not None:
        bounds = f" ({percent(plan.lowest)} to {percent(plan.highest)})"
    told = "" if plan.measured_on is None else f", {plural(plan.measured_on, 'pair')}"
    yield f"  runs vary by {percent(plan.run_cv)}{bounds}, {SERVING_SOURCES[plan.source]}{told}"
    if comparison is not None:
        yield f"  {_chances(comparison, wanted)}"
    if threshold is not None:
        better = "at most" if plan.latency else "at least"
        passing = "no figure passes" if threshold.passing is None else f"a true {threshold.passing:,.4g} passes"
        failing = "none fails" if threshold.failing is None else f"{threshold.failing:,.4g} fails"
        yield f"  limit {better} {threshold.limit:,.4g}: {passing} {chance(wanted)} of the time, {failing} as often"
    if comparison is not None:
        yield f"  advice: {serving_advice(plan, comparison, wanted)}"


def serving_advice(plan: ServingPower, comparison: ServingChances, wanted: float) -> str:
    """What to do about one figure, in one sentence without a final full stop."""
    if comparison.pass_if_unchanged < wanted:
        if comparison.pairs_to_pass is None:
            return "no number of pairs would do"
        return f"set pairs: {comparison.pairs_to_pass}, make runs longer, or keep the machine quiet"
    if plan.source == "assumed":
        return f"enough, if runs vary by no more than {percent(plan.run_cv)}"
    if comparison.pass_least is not None and comparison.pass_least < wanted:
        pairs = plural(plan.measured_on or 0, "pair")
        return f"enough as measured; the {pairs} that tell leave room for {chance(comparison.pass_least)}"
    return "enough"


def _name(plan: ServingPower) -> str:
    return full_name(plan.suite, f"serving::{plan.metric}")


def _preflight(plan: ServingPower, comparison: ServingChances) -> str:
    spread = f"runs vary by {percent(plan.run_cv)}"
    known = f"{spread} as in the last measurement" if plan.measured_on is not None else f"{spread}, which is assumed"
    found = (
        "find no slowdown"
        if comparison.detectable is None
        else f"find a slowdown of {percent(_up(comparison.detectable))} four times out of five"
    )
    return (
        f"{_name(plan)}: {plural(plan.pairs, 'pair')} of runs {found}, if {known}; an unchanged model would pass"
        f" {chance(comparison.pass_if_unchanged)} of the time; {serving_advice(plan, comparison, DEFAULT_POWER)}"
    )


def _chances(comparison: ServingChances, wanted: float) -> str:
    between = ""
    if comparison.pass_least is not None and comparison.pass_most is not None:
        within = f"{chance(comparison.pass_least)} to {chance(comparison.pass_most)}"
        between = f" ({within} within the bounds of that)"
    found = (
        f"no slowdown is found {chance(wanted)} of the time"
        if comparison.detectable is None
        else f"a slowdown of {percent(_up(comparison.detectable))} is found {chance(wanted)} of the time"
    )
    pairs = (
        ", which no number of pairs finds"
        if comparison.pairs_to_find is None
        else f"; {plural(comparison.pairs_to_find, 'pair')} find it {chance(wanted)} of the time"
    )
    return (
        f"an unchanged model passes {chance(comparison.pass_if_unchanged)} of the time{between}; {found};"
        f" one of {percent(comparison.slowdown)} is found {chance(comparison.found)} and passes"
        f" {chance(comparison.missed)} of the time{pairs}"
    )


def _up(slowdown: float) -> float:
    """To a tenth of a per cent, so that no more is promised than is so."""
    return math.ceil(1000.0 * slowdown - 1e-9) / 1000.0
