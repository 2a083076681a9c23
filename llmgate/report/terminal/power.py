"""What a gate can decide, in words: sizes, chances and advice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.record.output_features import OutputFeature
from llmgate.report.terminal.chances import chance
from llmgate.report.terminal.power_serving import serving_lines
from llmgate.report.visible import full_name, one_line
from llmgate.report.words import count, percent, plural, points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmgate.gate.power.plan import MetricPower, Power

__all__ = ["advice", "power_lines", "preflight_line", "shortfall"]

SOURCES = {
    "repeats": "from the repeats of one run",
    "run": "from two runs of the same model",
    "history": "from past releases",
    "given": "as given",
    "assumed": "assumed; measure it with --aa or --history",
}


def power_lines(power: Power, texts: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """Some lines per metric and figure, what they come to, and how often the server words the same answer differently.

    Args:
        power: What the gate can decide.
        texts: Suite to how many texts differ between two runs of the same model, of how many.
    """
    for metric in power.metrics:
        yield from _metric_lines(metric, power.wanted)
    for figure in power.serving:
        yield from serving_lines(figure, power.wanted)
    if power.gating > 1:
        yield (
            f"all {power.gating} gating metrics together pass an unchanged model {chance(power.joint)} of the"
            f" time if they err independently (between {chance(power.joint_least)} and"
            f" {chance(power.joint_most)} however they depend on each other)"
        )
    yield from _of_attempts(power)
    for suite, (differ, compared) in texts.items():
        if compared:
            share = percent(differ / compared)
            answers = f"{count(differ)} of {plural(compared, 'answer')}"
            yield f"{one_line(suite, 120)}: {answers} differ in their text ({share})"


def shortfall(power: Power, *, strict: bool) -> str:
    """What is to be said where the gate passes an unchanged model too rarely."""
    lead = "refused" if strict else "warning"
    rate = f"{chance(power.joint)} of the time, less than {chance(power.wanted)}"
    return f"{lead}: this gate passes an unchanged model {rate}"


def preflight_line(metric: MetricPower, wanted: float) -> str:
    """One line before a run starts."""
    return (
        f"{full_name(metric.suite, metric.metric)}: {plural(metric.cases, 'case')}, tolerance {_tolerance(metric)};"
        " an unchanged model would"
        f" pass {chance(metric.pass_if_unchanged)} of the time, {_loss(metric, wanted)}; {advice(metric, wanted)}"
    )


def advice(metric: MetricPower, wanted: float) -> str:
    """What to do about one metric, in one sentence without a final full stop."""
    if metric.pass_if_unchanged < wanted:
        ways = []
        if metric.cases_needed is not None and metric.cases_needed > metric.cases:
            ways.append(f"add {plural(_round_up(metric.cases_needed - metric.cases), 'case')}")
        if metric.margin_needed is not None:
            unit = "%" if metric.trait is OutputFeature.LENGTH else "points"
            ways.append(f"accept {points(math.ceil(200.0 * metric.margin_needed) / 200.0)} {unit}")
        if metric.repeats_needed is not None:
            ways.append(f"set repeat: {metric.repeats_needed}")
        if not ways:
            return "no size and no tolerance would do"
        return " or ".join((", ".join(ways[:-1]), ways[-1])) if len(ways) > 1 else ways[0]
    if metric.source == "assumed":
        if metric.trait is OutputFeature.LENGTH:
            return f"enough, if lengths vary by chance by no more than {_spread_of(metric, metric.variance)}"
        return f"enough, if no more than {percent(metric.variance)} of the scores change by chance"
    if metric.pass_least is not None and metric.pass_least < wanted:
        return (
            f"enough as measured; the {plural(metric.measured_on or 0, 'case')} that tell leave room for"
            f" {chance(metric.pass_least)}"
        )
    return "enough"


def _metric_lines(metric: MetricPower, wanted: float) -> Iterator[str]:
    default = " by default" if metric.default_margin else ""
    clusters = "" if metric.clusters is None else f" in {_clusters(metric)}"
    repeats = "" if metric.repeats == 1 else f", {metric.repeats} answers to each"
    size = f"{plural(metric.cases, 'case')}{clusters}{repeats}"
    yield f"{full_name(metric.suite, metric.metric)}: {size}, tolerance {_tolerance(metric)}{default}"
    yield f"  {_spread(metric)}"
    between = ""
    if metric.pass_least is not None and metric.pass_most is not None:
        between = f" ({chance(metric.pass_least)} to {chance(metric.pass_most)} within the bounds of that)"
    passes = f"passes {chance(metric.pass_if_unchanged)} of the time{between}"
    yield f"  an unchanged model {passes}; {_loss(metric, wanted)}"
    yield from _looks(metric)
    if metric.threshold is not None:
        yield f"  {_threshold(metric, wanted)}"
    yield f"  advice: {advice(metric, wanted)}"


def _tolerance(metric: MetricPower) -> str:
    return f"{points(metric.margin)} %" if metric.trait is OutputFeature.LENGTH else points(metric.margin)


def _clusters(metric: MetricPower) -> str:
    """Unequal ones tell as much as fewer that are equal."""
    groups = plural(metric.clusters or 0, "cluster")
    effective = metric.effective_clusters
    if effective is None or metric.clusters is None or effective > 0.95 * metric.clusters:
        return groups
    return f"{groups} that tell as much as {effective:.1f} equal ones"


def _looks(metric: MetricPower) -> Iterator[str]:
    if metric.used is not None:
        yield (
            f"  it may stop at {plural(metric.looks, 'look')}: of an unchanged model about {percent(metric.used, 0)} of"
            " the cases are asked, if this metric alone decides when to stop"
        )


def _of_attempts(power: Power) -> Iterator[str]:
    if not power.reserve:
        return
    first = f"a candidate's first attempt, which has {percent(1.0 - power.reserve, 0)} of alpha"
    thirds = [metric.pass_by_third for metric in power.metrics if metric.pass_by_third is not None]
    if len(thirds) < len(power.metrics) or power.serving:
        yield f"these are the chances of {first}; the rest is kept for further ones"
    else:
        yield f"these are the chances of {first}; by the third attempt it is {chance(math.prod(thirds))} in all"


def _spread(metric: MetricPower) -> str:
    bounds = ""
    if metric.lowest is not None and metric.highest is not None:
        bounds = f" ({_spread_of(metric, metric.lowest)} to {_spread_of(metric, metric.highest)})"
    what = "discordance" if metric.exact else "standard deviation of a case's difference"
    if metric.trait is OutputFeature.LENGTH:
        what = "standard deviation of an answer's length ratio"
    cases = "" if metric.measured_on is None else f", {plural(metric.measured_on, 'case')}"
    flips = (
        ""
        if metric.flips is None or metric.exact or metric.trait is not None
        else f"; {percent(metric.flips)} of scores flip"
    )
    return f"{what} {_spread_of(metric, metric.variance)}{bounds}, {SOURCES[metric.source]}{cases}{flips}"


def _spread_of(metric: MetricPower, variance: float) -> str:
    if metric.trait is OutputFeature.LENGTH:
        return percent(math.expm1(math.sqrt(variance)))
    return percent(variance if metric.exact else math.sqrt(variance))


def _loss(metric: MetricPower, wanted: float) -> str:
    if metric.detectable is None:
        what = "no change" if metric.trait is OutputFeature.LENGTH else "no loss"
        return f"{what} is found {chance(wanted)} of the time"
    if metric.trait is OutputFeature.LENGTH:
        longer = percent(math.ceil(1000.0 * metric.detectable) / 1000.0)
        return f"answers that are {longer} longer, or shorter by that factor, are found {chance(wanted)} of the time"
    loss = points(math.ceil(1000.0 * metric.detectable) / 1000.0)
    return f"a true loss of {loss} points is found {chance(wanted)} of the time"


def _threshold(metric: MetricPower, wanted: float) -> str:
    threshold = metric.threshold
    if threshold is None:
        return ""
    passing = "no rate passes" if threshold.passing is None else f"a true rate of {percent(threshold.passing)} passes"
    failing = "none fails" if threshold.failing is None else f"one of {percent(threshold.failing)} fails"
    return f"limit {percent(threshold.limit)}: {passing} {chance(wanted)} of the time, {failing} as often"


def _round_up(cases: int) -> int:
    """To two digits: more would pretend to know."""
    unit: int = 10 ** max(0, len(str(cases)) - 2)
    return -(-cases // unit) * unit
