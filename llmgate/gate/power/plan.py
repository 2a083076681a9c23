"""Before the run: what a gate of this size can decide, metric by metric and together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from llmgate.gate.evidence.feature_metrics import LENGTH_SCALE
from llmgate.gate.evidence.gather import feeds
from llmgate.gate.metrics.tests import default_margin
from llmgate.gate.power.rules import Design, PlannedSpread, assumed_spread, cluster_sizes, fractions_of, rule_of
from llmgate.gate.power.serving import ServingNoise, ServingPower, hypotheses_of, plan_serving
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Aggregate, Direction, MetricPolicy, Role
from llmgate.stats.planning.attempts import SHARED_CHAMPION, pass_by_attempt
from llmgate.stats.planning.detectable import (
    DEFAULT_POWER,
    minimum_detectable_effect,
    minimum_detectable_rate,
    passing_rate,
    smallest_margin,
    smallest_number,
)
from llmgate.stats.planning.looks import StagedRule
from llmgate.stats.planning.rules import RateRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmgate.gate.evidence.evidence import Noise
    from llmgate.gate.power.serving import ServingDesign
    from llmgate.record.looks import LookPlan
    from llmgate.record.policy import Policy
    from llmgate.record.schema import PlannedCase
    from llmgate.stats.planning.rules import ComparisonRule

__all__ = ["MetricPower", "Power", "Threshold", "designs_of", "plan_power"]

_MOST_REPEATS = 16

Source = Literal["repeats", "run", "history", "given", "assumed"]


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
        trait: The output feature that it is about, None for what asserts feed.
        clusters: G, None where every case stands for itself.
        effective_clusters: n²/Σz², None without clusters.
        repeats: K.
        looks: How often the suite looks; 1 where it does not stop early.
        used: Expected share of the cases that is asked of an unchanged model if this metric alone decides when the run
            ends; None without looks.
        margin: Of the gate.
        default_margin: Whether the policy sets none.
        variance: Of one case's difference if nothing has changed; of right-or-wrong scores the discordance, of lengths
            the variance of the logarithm of their ratio.
        lowest: Lower 95 % bound of it; None where it was not measured.
        highest: Upper 95 % bound of it.
        level: The champion's mean score, which a loss takes from; None where nothing tells.
        source: Where it comes from.
        measured_on: How many cases told it.
        exact: Whether the scores are right or wrong, so that all is an exact sum.
        flips: How often two scores of the same case differ; None where it was not measured.
        pass_if_unchanged: P(PASS | δ = 0).
        pass_if_margin_lost: P(PASS | δ = −margin), with the discordance that such a loss adds.
        pass_by_third: P(PASS at one of three attempts | δ = 0); None where nothing is reserved for further ones, or
            nothing tells how much of the spread is chance that further answers average out.
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
    trait: OutputFeature | None
    cases: int
    clusters: int | None
    effective_clusters: float | None
    repeats: int
    looks: int
    used: float | None
    margin: float
    default_margin: bool
    variance: float
    lowest: float | None
    highest: float | None
    level: float | None
    source: Source
    measured_on: int | None
    exact: bool
    flips: float | None
    pass_if_unchanged: float
    pass_if_margin_lost: float
    pass_by_third: float | None
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
        reserve: Share of alpha that is kept for further attempts, which the chances do without.
    """

    metrics: tuple[MetricPower, ...]
    wanted: float
    joint: float
    joint_least: float
    joint_most: float
    serving: tuple[ServingPower, ...] = ()
    reserve: float = 0.0

    @property
    def gating(self) -> int:
        """How many metrics and figures are compared with the champion's."""
        return len(self.metrics) + sum(figure.comparison is not None for figure in self.serving)

    @property
    def enough(self) -> bool:
        """Whether every metric, and all of them together, pass an unchanged model as often as wanted."""
        return self.gating > 0 and self.joint >= self.wanted


def designs_of(cases: Iterable[PlannedCase], policy: Policy, looks: Sequence[LookPlan] = ()) -> tuple[Design, ...]:
    """The sizes of all gating metrics, output features that gate among them.

    Args:
        cases: All that are planned.
        policy: What gates.
        looks: When suites may stop early.
    """
    planned = list(cases)
    designs = []
    for metric in policy.metrics:
        feeding = [case for case in planned if feeds(case, metric)]
        if metric.gates and feeding:
            groups, effective = cluster_sizes(feeding) or (None, None)
            designs.append(
                Design(
                    policy=metric,
                    cases=len(feeding),
                    clusters=groups,
                    repeats=max(case.repeats for case in feeding),
                    effective=effective,
                    fractions=fractions_of(looks, metric.suite),
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
    reserve: float = 0.0,
) -> Power:
    """What a gate can decide, from its size and from how much scores change if nothing has changed.

    Args:
        designs: The gating metrics.
        noise: What was measured.
        discordance: Share of scores that differ, for metrics of which nothing was measured; None assumes 10 %.
        wanted: The probability with which an unchanged model is to pass.
        serving: The gating figures of serving; they stand in one family of hypotheses with the metrics.
        runs: How much their runs vary; None for what is assumed.
        reserve: Share of alpha that is kept for further attempts: the first has the rest.

    Raises:
        UndefinedError: If a number is outside its range.
    """
    known = {(spread.suite, spread.metric): spread for spread in noise}
    hypotheses = sum(1 + (design.policy.floor is not None) for design in designs)
    hypotheses += hypotheses_of(design.policy for design in serving)
    asked = _Asked(discordance=discordance, wanted=wanted, hypotheses=hypotheses, reserve=reserve)
    metrics = tuple(_plan(design, known.get((design.policy.suite, design.policy.metric)), asked) for design in designs)
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
        reserve=reserve,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """As for `plan_power`."""

    discordance: float | None
    wanted: float
    hypotheses: int
    reserve: float


def _plan(design: Design, noise: Noise | None, asked: _Asked) -> MetricPower:
    policy, margin, wanted = design.policy, design.policy.margin, asked.wanted
    if margin is None:
        margin, _ = default_margin(design.cases)
    by_chance = noise is not None and noise.source != "history"
    spread, lowest, highest = _spreads(design, noise, asked.discordance)
    binary = policy.aggregate is Aggregate.ALL if noise is None else noise.binary
    exact = design.clusters is None and design.repeats == 1 and binary
    alpha = policy.alpha * (1.0 - asked.reserve)

    def rule(spread: PlannedSpread, size: Design = design, fail_alpha: float | None = None) -> ComparisonRule:
        return rule_of(size, spread, exact=exact and size.repeats == 1, alpha=alpha, fail_alpha=fail_alpha)

    def passes(spread: PlannedSpread, size: Design = design) -> float:
        return rule(spread, size).chances(delta=0.0, margin=margin).passed

    unchanged = passes(spread)
    within = [unchanged, *(passes(bound) for bound in (lowest, highest) if bound is not None)]
    short = unchanged < wanted
    staged = rule(spread)
    return MetricPower(
        suite=policy.suite,
        metric=policy.metric,
        role=policy.role,
        trait=policy.trait,
        cases=design.cases,
        clusters=design.clusters,
        effective_clusters=design.telling,
        repeats=design.repeats,
        looks=max(1, len(design.fractions)),
        used=staged.used(delta=0.0, margin=margin) if isinstance(staged, StagedRule) else None,
        margin=margin,
        default_margin=policy.margin is None,
        variance=spread.variance,
        lowest=None if lowest is None else lowest.variance,
        highest=None if highest is None else highest.variance,
        level=spread.level,
        source=noise.source if noise is not None else _unmeasured(policy, asked.discordance),
        measured_on=None if noise is None else noise.cases,
        exact=exact,
        flips=None if noise is None else noise.flips,
        pass_if_unchanged=unchanged,
        pass_if_margin_lost=rule(spread).chances(delta=-margin, margin=margin).passed,
        pass_by_third=pass_by_attempt(
            unchanged, attempts=3, reserve=asked.reserve, alpha=policy.alpha, correlation=SHARED_CHAMPION
        )
        if by_chance and asked.reserve
        else None,
        pass_least=None if noise is None else min(within),
        pass_most=None if noise is None else max(within),
        detectable=minimum_detectable_effect(
            rule(spread, fail_alpha=alpha / max(1, asked.hypotheses)), margin=margin, power=wanted
        ),
        margin_needed=smallest_margin(rule(spread), power=wanted),
        cases_needed=smallest_number(lambda n: passes(spread, design.resized(n)), power=wanted),
        repeats_needed=_repeats(design, spread, wanted, passes) if short and by_chance else None,
        threshold=_threshold(design, wanted, alpha),
    )


def _unmeasured(policy: MetricPolicy, discordance: float | None) -> Literal["given", "assumed"]:
    return "assumed" if discordance is None or policy.trait is OutputFeature.LENGTH else "given"


def _spreads(
    design: Design, noise: Noise | None, discordance: float | None
) -> tuple[PlannedSpread, PlannedSpread | None, PlannedSpread | None]:
    """The spread, and its bounds where it was measured."""
    if noise is None:
        return assumed_spread(design.policy, discordance), None, None
    # Chance averages out over the repeats that are planned; what differs between releases does not.
    scale = 1.0 if noise.source == "history" else noise.repeats / design.repeats
    unit, most = (LENGTH_SCALE**2, math.inf) if design.policy.trait is OutputFeature.LENGTH else (1.0, 1.0)
    spread, lowest, highest = (
        PlannedSpread(
            variance=min(most, unit * scale * variance),
            level=noise.level,
            design_effect=noise.design_effect,
            reach=noise.reach,
        )
        for variance in (noise.variance, noise.lowest, noise.highest)
    )
    return spread, lowest, highest


def _repeats(
    design: Design, spread: PlannedSpread, wanted: float, passes: Callable[[PlannedSpread, Design], float]
) -> int | None:
    for repeats in range(design.repeats + 1, _MOST_REPEATS + 1):
        narrower = replace(spread, variance=spread.variance * design.repeats / repeats)
        if passes(narrower, replace(design, repeats=repeats)) >= wanted:
            return repeats
    return None


def _threshold(design: Design, wanted: float, alpha: float) -> Threshold | None:
    """Cases are taken as right or wrong and independent: an answer before there are data, and no more."""
    policy = design.policy
    limit = policy.min if policy.max is None else policy.max
    if limit is None or policy.floor is None:
        return None
    rule = RateRule(trials=design.cases, minimum=policy.floor, alpha=alpha)
    passing, failing = passing_rate(rule, power=wanted), minimum_detectable_rate(rule, power=wanted)
    lower = policy.direction is Direction.LOWER
    return Threshold(
        limit=limit,
        passing=passing if passing is None or not lower else 1.0 - passing,
        failing=failing if failing is None or not lower else 1.0 - failing,
    )
