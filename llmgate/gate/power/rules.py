"""The rule of one metric's gate, from its size and its spread: what `plan` asks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.gate.metrics.length import LEAST_REACH
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import MetricPolicy
from llmgate.stats.equivalence import equivalence_chance
from llmgate.stats.planning.clustered import effective_clusters
from llmgate.stats.planning.looks import StagedRule
from llmgate.stats.planning.power import Chances, t_chances
from llmgate.stats.planning.rules import TangoRule, TRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.record.looks import LookPlan
    from llmgate.record.schema import PlannedCase
    from llmgate.stats.planning.rules import ComparisonRule

__all__ = [
    "ASSUMED_DISCORDANCE",
    "ASSUMED_LENGTH_SD",
    "ASSUMED_TRAIT_CHANGE",
    "Design",
    "LengthRule",
    "PlannedSpread",
    "assumed_spread",
    "cluster_sizes",
    "fractions_of",
    "rule_of",
]

ASSUMED_DISCORDANCE: Final = 0.1
"""Where nothing was measured: in between what greedy decoding and a retrained model show."""
ASSUMED_TRAIT_CHANGE: Final = 0.02
"""The same of refusals and formats, which few answers of a model that works change."""
ASSUMED_LENGTH_SD: Final = 0.3
"""Of the logarithm of the ratio of two lengths: two answers to one question, each worded anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The size of one metric's gate.

    Attributes:
        policy: What is gated.
        cases: n.
        clusters: G, None where every case stands for itself.
        repeats: K.
        effective: n²/Σz², the number of equal clusters that tell as much; None takes them as equal.
        fractions: Shares of the cases at which the suite may stop, ascending to 1; empty where it may not.
    """

    policy: MetricPolicy
    cases: int
    clusters: int | None = None
    repeats: int = 1
    effective: float | None = None
    fractions: tuple[float, ...] = ()

    def resized(self, cases: int) -> Design:
        """The same suite with another number of cases, and as many clusters as belong to them."""
        if self.clusters is None:
            return replace(self, cases=cases)
        clusters = max(2, round(self.clusters * cases / self.cases))
        effective = None if self.effective is None else min(float(clusters), self.effective * cases / self.cases)
        return replace(self, cases=cases, clusters=clusters, effective=effective)

    @property
    def telling(self) -> float | None:
        """The effective number of clusters; None without clusters."""
        return self.clusters if self.effective is None or self.clusters is None else self.effective


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSpread:
    """How much one case's difference varies if nothing has changed.

    Attributes:
        variance: With clusters times the design effect; of lengths that of the log ratio.
        level: See `loss`.
        design_effect: See `TRule`.
        reach: Of lengths, see `Noise`.
    """

    variance: float
    level: float | None = None
    design_effect: float = 1.0
    reach: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthRule:
    """Lengths of answers, equivalent within a factor: the guardrail of `drift: length`.

    Attributes:
        variance: Of the logarithm of one answer's length ratio.
        pairs: n.
        df: n − 1, or G − 1 with clusters.
        alpha: One-sided error rate.
        reach: How far an answer that nobody saw may be from the champion's, as a log ratio.
        fail_alpha: See `tango_chances`.
    """

    variance: float
    pairs: int
    df: int
    alpha: float
    reach: float
    fail_alpha: float | None = None

    def chances(self, *, delta: float, margin: float) -> Chances:
        """What happens if answers are truly longer by the share `delta`, or shorter by the factor 1/(1 − delta).

        Raises:
            UndefinedError: If a number is outside its range.
        """
        change, limit = math.copysign(math.log1p(abs(delta)), delta), math.log1p(margin)
        error = math.sqrt(max(self.variance, 1e-12) / self.pairs)
        passed = equivalence_chance(
            delta=change,
            standard_error=error,
            df=self.df,
            margin=limit,
            alpha=self.alpha,
            pairs=self.pairs,
            reach=self.reach,
        )
        # A change is proven by a two-sided test, widened by what stayed unseen; by which side it passes is decided by
        # the nearer margin alone. As shares of the reach, log ratios are scores in [−1, 1].
        failing = self.alpha if self.fail_alpha is None else self.fail_alpha
        changed = t_chances(
            delta=-abs(change) / self.reach,
            standard_error=error / self.reach,
            df=self.df,
            margin=min(limit / self.reach, 0.9999),
            alpha=self.alpha,
            fail_alpha=failing / 2.0,
            pairs=self.pairs,
        )
        return Chances(passed=passed, failed=min(1.0 - passed, changed.failed))


def rule_of(
    design: Design, spread: PlannedSpread, *, exact: bool, alpha: float, fail_alpha: float | None
) -> ComparisonRule:
    """The comparison of one metric with the champion's, planned.

    Args:
        design: Its size.
        spread: How much differences vary.
        exact: Whether scores are right or wrong, of independent cases asked once.
        alpha: One-sided error rate of this attempt, over all looks.
        fail_alpha: See `tango_chances`.
    """
    units = design.cases if design.telling is None else design.telling
    df = max(1, math.floor(units + 1e-9) - 1)
    if design.policy.trait is OutputFeature.LENGTH:
        reach = LEAST_REACH if spread.reach is None else spread.reach
        return LengthRule(
            variance=spread.variance, pairs=design.cases, df=df, alpha=alpha, reach=reach, fail_alpha=fail_alpha
        )
    rule: TangoRule | TRule
    if exact:
        rule = TangoRule(
            pairs=design.cases, discordance=spread.variance, alpha=alpha, fail_alpha=fail_alpha, level=spread.level
        )
    else:
        rule = TRule(
            variance=spread.variance,
            pairs=design.cases,
            df=df,
            alpha=alpha,
            fail_alpha=fail_alpha,
            level=spread.level,
            design_effect=spread.design_effect,
            clusters=design.telling,
        )
    return StagedRule(rule=rule, fractions=design.fractions) if len(design.fractions) > 1 else rule


def assumed_spread(policy: MetricPolicy, discordance: float | None) -> PlannedSpread:
    """Where nothing was measured.

    Args:
        policy: The metric.
        discordance: What was given; None assumes one. Of lengths it says nothing.
    """
    if policy.trait is OutputFeature.LENGTH:
        return PlannedSpread(variance=ASSUMED_LENGTH_SD**2)
    assumed = ASSUMED_DISCORDANCE if policy.trait is None else ASSUMED_TRAIT_CHANGE
    return PlannedSpread(variance=assumed if discordance is None else discordance)


def cluster_sizes(cases: Sequence[PlannedCase]) -> tuple[int, float] | None:
    """The number of clusters and the effective one; None where every case stands for itself."""
    sizes: dict[str, int] = {}
    alone = 0
    for case in cases:
        if case.cluster is None:
            alone += 1
        else:
            sizes[case.cluster] = sizes.get(case.cluster, 0) + 1
    groups = len(sizes) + alone
    if groups == len(cases):
        return None
    return groups, effective_clusters([*sizes.values(), *([1] * alone)])


def fractions_of(looks: Iterable[LookPlan], suite: str) -> tuple[float, ...]:
    """The shares of its cases at which a suite may stop; empty where it may not."""
    plan = next((plan for plan in looks if plan.suite == suite), None)
    return () if plan is None else tuple(size / plan.planned for size in plan.cases)
