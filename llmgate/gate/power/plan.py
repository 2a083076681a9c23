"""Before the run: what a gate of this size can decide, metric by metric and together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from llmgate.gate.evidence.gather import feeds
from llmgate.gate.metrics.tests import default_margin
from llmgate.gate.power.serving import ServingNoise, ServingPower, hypotheses_of, plan_serving
from llmgate.record.policy import Aggregate, Direction, MetricPolicy, Role
from llmgate.stats.planning.detectable import (
    DEFAULT_POWER,
    minimum_detectable_effect,
    minimum_detectable_rate,
    passing_rate,
    smallest_margin,
    smallest_number,
)
from llmgate.stats.planning.rules import RateRule, TangoRule, TRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmgate.gate.evidence.evidence import Noise
    from llmgate.gate.power.serving import ServingDesign
    from llmgate.record.policy import Policy
    from llmgate.record.schema import PlannedCase
    from llmgate.stats.planning.rules import ComparisonRule

__all__ = ["ASSUMED_DISCORDANCE", "Design", "MetricPower", "Power", "Threshold", "designs_of", "plan_power"]

ASSUMED_DISCORDANCE = 0.1
"""Where nothing was measured: in between what greedy decoding and a retrained model show."""
_MOST_REPEATS = 16

Source = Literal["repeats", "run", "history", "given", "assumed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The size of one metric's gate.

    Attributes:
        policy: What is gated.
        cases: n.
        clusters: G, None where every case stands for itself.
        repeats: K.
    """

    policy: MetricPolicy
    cases: int
    clusters: int | None = None
    repeats: int = 1

    def resized(self, cases: int) -> Design:
        """The same suite with another number of cases, and as many clusters as belong to them."""
        clusters = None if self.clusters is None else max(2, round(self.clusters * cases / self.cases))
        return replace(self, cases=cases, clusters=clusters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What is to be expected of `min:` (`max:`), in the metric's own direction.

    Attributes:
        limit: The threshold.
        passing: The true rate from which on it passes with the wanted probability; None if there is none.
        failing: The true rate from which on it fails with the wanted probability; None if there is none.
    """

    limit: float
    passing: float | None
    failing: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPower:
    """What the gate of one metric can do. All numbers are fractions.

    Attributes:
        cases: n.
        clusters: G, None where every case stands for itself.
        repeats: K.
        margin: Of the gate.
        default_margin: Whether the policy sets none.
        variance: Of one case's difference if nothing has changed; of right-or-wrong scores the discordance.
        lowest: Lower 95 % bound of it; None where it was not measured.
        highest: Upper 95 % bound of it.
        source: Where it comes from.
        measured_on: How many cases told it.
        exact: Whether the scores are right or wrong, so that all is an exact sum.
        flips: How often two scores of the same case differ; None where it was not measured.
        pass_if_unchanged: P(PASS | δ = 0).
        pass_least: The least of it within the bounds of the variance: at `highest`, but where there are too few cases
            for a PASS without luck.
        pass_most: The most of it.
        detectable: The true loss that gets a FAIL with the wanted probability; None if there is none.
        margin_needed: The margin with which an unchanged model passes with the wanted probability; None if none does.
        cases_needed: The number of cases with which it does; None if ten million do not.
        repeats_needed: The number of repeats with which it does, where chance is all that differs; None if none does.
        threshold: Of `min:` or `max:`, None without one.
    """

    suite: str
    metric: str
    role: Role
    cases: int
    clusters: int | None
    repeats: int
    margin: float
    default_margin: bool
    variance: float
    lowest: float | None
    highest: float | None
    source: Source
    measured_on: int | None
    exact: bool
    flips: float | None
    pass_if_unchanged: float
    pass_least: float | None
    pass_most: float | None
    detectable: float | None
    margin_needed: float | None
    cases_needed: int | None
    repeats_needed: int | None
    threshold: Threshold | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What the whole gate can do: it passes only if every gating metric does.

    Attributes:
        metrics: One per gating metric.
        wanted: The probability that was asked for.
        joint: P(PASS | nothing changed) of all metrics together if they err independently.
        joint_least: The least that it can be, whatever their dependence: 1 − Σ(1 − p).
        joint_most: The most that it can be: the smallest p.
        serving: One per gating figure of serving.
    """

    metrics: tuple[MetricPower, ...]
    wanted: float
    joint: float
    joint_least: float
    joint_most: float
    serving: tuple[ServingPower, ...] = ()

    @property
    def gating(self) -> int:
        """How many metrics and figures are compared with the champion's."""
        return len(self.metrics) + sum(figure.comparison is not None for figure in self.serving)

    @property
    def enough(self) -> bool:
        """Whether every metric, and all of them together, pass an unchanged model as often as wanted."""
        return self.gating > 0 and self.joint >= self.wanted


def designs_of(cases: Iterable[PlannedCase], policy: Policy) -> tuple[Design, ...]:
    """The sizes of all gating metrics."""
    planned = list(cases)
    designs = []
    for metric in policy.metrics:
        feeding = [case for case in planned if feeds(case, metric)]
        if metric.gates and feeding:
            keys = [case.cluster for case in feeding]
            groups = len({key for key in keys if key is not None}) + keys.count(None)
            designs.append(
                Design(
                    policy=metric,
                    cases=len(feeding),
                    clusters=groups if groups < len(feeding) else None,
                    repeats=max(case.repeats for case in feeding),
                )
            )
    return tuple(designs)


def plan_power(
    designs: Sequence[Design],
    noise: Iterable[Noise],
    *,
    discordance: float | None = None,
    wanted: float = DEFAULT_POWER,
    serving: Sequence[ServingDesign] = (),
    runs: ServingNoise | None = None,
) -> Power:
    """What a gate can decide, from its size and from how much scores change if nothing has changed.

    Args:
        designs: The gating metrics.
        noise: What was measured.
        discordance: Share of scores that differ, for metrics of which nothing was measured; None assumes 10 %.
        wanted: The probability with which an unchanged model is to pass.
        serving: The gating figures of serving; they stand in one family of hypotheses with the metrics.
        runs: How much their runs vary; None for what is assumed.

    Raises:
        UndefinedError: If a number is outside its range.
    """
    known = {(spread.suite, spread.metric): spread for spread in noise}
    hypotheses = sum(1 + (design.policy.floor is not None) for design in designs)
    hypotheses += hypotheses_of(design.policy for design in serving)
    metrics = tuple(
        _plan(design, known.get((design.policy.suite, design.policy.metric)), discordance, wanted, hypotheses)
        for design in designs
    )
    figures = plan_serving(serving, runs or ServingNoise(), hypotheses=hypotheses, wanted=wanted)
    chances = [metric.pass_if_unchanged for metric in metrics]
    chances += [figure.comparison.pass_if_unchanged for figure in figures if figure.comparison is not None]
    return Power(
        metrics=metrics,
        wanted=wanted,
        joint=math.prod(chances),
        joint_least=max(0.0, 1.0 - math.fsum(1.0 - chance for chance in chances)),
        joint_most=min(chances, default=1.0),
        serving=figures,
    )


def _plan(
    design: Design, noise: Noise | None, discordance: float | None, wanted: float, hypotheses: int
) -> MetricPower:
    policy, margin = design.policy, design.policy.margin
    if margin is None:
        margin, _ = default_margin(design.cases)
    given = ASSUMED_DISCORDANCE if discordance is None else discordance
    by_chance = noise is not None and noise.source != "history"
    # Chance averages out over the repeats that are planned; what differs between releases does not.
    scale = noise.repeats / design.repeats if noise is not None and by_chance else 1.0
    variance, lowest, highest = (
        (given, None, None)
        if noise is None
        else tuple(min(1.0, scale * value) for value in (noise.variance, noise.lowest, noise.highest))
    )
    binary = policy.aggregate is Aggregate.ALL if noise is None else noise.binary
    exact = design.clusters is None and design.repeats == 1 and binary

    def rule(spread: float, size: Design = design, fail_alpha: float | None = None) -> ComparisonRule:
        return _rule(size, spread, exact=exact and size.repeats == 1, fail_alpha=fail_alpha)

    def passes(spread: float, size: Design = design) -> float:
        return rule(spread, size).chances(delta=0.0, margin=margin).passed

    unchanged = passes(variance)
    short = unchanged < wanted
    return MetricPower(
        suite=policy.suite,
        metric=policy.metric,
        role=policy.role,
        cases=design.cases,
        clusters=design.clusters,
        repeats=design.repeats,
        margin=margin,
        default_margin=policy.margin is None,
        variance=variance,
        lowest=lowest,
        highest=highest,
        source=noise.source if noise is not None else "assumed" if discordance is None else "given",
        measured_on=None if noise is None else noise.cases,
        exact=exact,
        flips=None if noise is None else noise.flips,
        pass_if_unchanged=unchanged,
        pass_least=None if highest is None or lowest is None else min(unchanged, passes(highest), passes(lowest)),
        pass_most=None if highest is None or lowest is None else max(unchanged, passes(highest), passes(lowest)),
        detectable=minimum_detectable_effect(
            rule(variance, fail_alpha=policy.alpha / max(1, hypotheses)), margin=margin, power=wanted
        ),
        margin_needed=smallest_margin(rule(variance), power=wanted),
        cases_needed=smallest_number(lambda n: passes(variance, design.resized(n)), power=wanted),
        repeats_needed=_repeats(design, variance, wanted, passes) if short and by_chance else None,
        threshold=_threshold(design, wanted),
    )


def _rule(design: Design, variance: float, *, exact: bool, fail_alpha: float | None) -> ComparisonRule:
    alpha = design.policy.alpha
    if exact:
        return TangoRule(pairs=design.cases, discordance=variance, alpha=alpha, fail_alpha=fail_alpha)
    units = design.cases if design.clusters is None else design.clusters
    return TRule(variance=variance, pairs=design.cases, df=max(1, units - 1), alpha=alpha, fail_alpha=fail_alpha)


def _repeats(design: Design, variance: float, wanted: float, passes: Callable[[float, Design], float]) -> int | None:
    for repeats in range(design.repeats + 1, _MOST_REPEATS + 1):
        if passes(variance * design.repeats / repeats, replace(design, repeats=repeats)) >= wanted:
            return repeats
    return None


def _threshold(design: Design, wanted: float) -> Threshold | None:
    """Cases are taken as right or wrong and independent: an answer before there are data, and no more."""
    policy = design.policy
    limit = policy.min if policy.max is None else policy.max
    if limit is None or policy.floor is None:
        return None
    rule = RateRule(trials=design.cases, minimum=policy.floor, alpha=policy.alpha)
    passing, failing = passing_rate(rule, power=wanted), minimum_detectable_rate(rule, power=wanted)
    lower = policy.direction is Direction.LOWER
    return Threshold(
        limit=limit,
        passing=passing if passing is None or not lower else 1.0 - passing,
        failing=failing if failing is None or not lower else 1.0 - failing,
    )
