"""One serving figure, decided: from its test to its verdict, once all p-values are adjusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.types import NOTHING_TO_COMPARE, MetricDecision, Problem
from llmgate.gate.metrics.chances import rounded_up
from llmgate.gate.metrics.metric import ServingTest
from llmgate.gate.metrics.serving_scale import lost_margin, relative_change, sign_of
from llmgate.gate.metrics.serving_words import serving_reason
from llmgate.gate.metrics.verdict import reference_of, verdict_on
from llmgate.record.policy import Direction
from llmgate.record.serving.policy import unit_of
from llmgate.stats.planning.power import required_pairs, t_chances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.metrics.metric import HypothesisTest
    from llmgate.record.serving.policy import ServingPolicy

__all__ = ["conclude_serving", "not_measured", "pairs_to_add"]

NOT_MEASURED: Final = "serving gates, and was not measured on two arms"
MEASURE: Final = "Run it without --no-bench; name the champion with --baseline"

POWER: Final = 0.8
MOST_PAIRS: Final = 1_000
"""Beyond so many pairs nobody measures, and the number helps nobody."""


def not_measured(policy: ServingPolicy, *, champion: bool) -> ServingTest:
    """A figure without a measurement.

    Args:
        policy: What is asked.
        champion: Whether there is a champion. The first run of all has nothing to compare with, and needs none.
    """
    what, fix = NOT_MEASURED, MEASURE
    if policy.limit is None and not (champion and policy.margin is not None):
        limit = "max:" if policy.direction is Direction.LOWER else "min:"
        what = NOTHING_TO_COMPARE
        fix = f"Name the champion's run with --baseline, or record the first one with --as-baseline, or set {limit}"
    return ServingTest(policy=policy, problem=Problem(where=policy.where, what=what, fix=fix))


def conclude_serving(test: ServingTest, adjusted: Sequence[float], *, adjusted_for: int) -> MetricDecision:
    """The verdict on one serving figure, by the rule of every metric.

    Args:
        test: The figure.
        adjusted: Holm-adjusted p-values of `test.hypotheses`, in their order.
        adjusted_for: How many p-values were adjusted together.
    """
    policy, comparison = test.policy, test.comparison
    verdict = verdict_on(test, adjusted)
    main = comparison or test.floor
    delta, lower, upper = _bounds(test)
    unchanged, lost = _chances(test)
    sign = sign_of(policy)
    ahead = [sign * (new - old) for new, old in zip(test.candidate, test.champion, strict=False)]
    barred = (f"{test.problem.what}.",) if test.problem and not policy.gates else ()
    return MetricDecision(
        suite=policy.suite,
        metric=policy.metric,
        role=policy.role,
        verdict=verdict,
        reference=reference_of(test),
        method=main.interval.method + (" of log ratios" if comparison else " of logarithms") if main else "none",
        alpha=policy.alpha,
        candidate=_geometric_mean(test.candidate),
        champion=_geometric_mean(test.champion),
        delta=delta,
        lower=lower,
        upper=upper,
        margin=policy.margin if comparison else None,
        min=policy.min,
        max=policy.max,
        direction=policy.direction,
        expected=test.pairs,
        evaluated=len(test.candidate),
        errors=test.pairs - len(test.candidate),
        better=sum(difference > 0.0 for difference in ahead),
        worse=sum(difference < 0.0 for difference in ahead),
        se=comparison.interval.standard_error if comparison else None,
        p_worse=adjusted[0] if adjusted else None,
        pass_if_unchanged=unchanged,
        pass_if_margin_lost=lost,
        chances_from="comparison",
        reason=serving_reason(test, verdict, adjusted, adjusted_for=adjusted_for, more=_more_pairs(test)),
        notes=(*test.notes, *barred),
        unit=unit_of(policy.metric),
    )


def pairs_to_add(test: ServingTest, hypothesis: HypothesisTest) -> int:
    """How many more pairs of runs a decision needs, 0 where this many should do or no number would.

    Of a comparison as many as let an unchanged server pass 80 % of the time; where these are there, and of a limit,
    as many as decide if what was observed is true.
    """
    have = len(test.candidate)
    needed = _for_unchanged(test, hypothesis) if hypothesis is test.comparison else 0
    if needed <= have:
        needed = _for_observed(test, hypothesis)
    return rounded_up(needed - have) if have < needed <= MOST_PAIRS else 0


def _more_pairs(test: ServingTest) -> str:
    """As `pairs_to_add`, for the reason of a comparison; empty where it is not the size."""
    comparison = test.comparison
    if comparison is None:
        return ""
    needed = _for_unchanged(test, comparison)
    if not len(test.candidate) < needed <= MOST_PAIRS:
        return ""
    return f"an unchanged server needs about {needed:,} pairs to pass 80 % of the time"


def _for_unchanged(test: ServingTest, comparison: HypothesisTest) -> int:
    have, variance = len(test.candidate), _variance(test, comparison)
    if _passing(test, variance, have) >= POWER:
        return have
    low, high = have, min(2 * have, MOST_PAIRS + 1)
    while high <= MOST_PAIRS and _passing(test, variance, high) < POWER:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _passing(test, variance, middle) >= POWER else (middle, high)
    return high


def _for_observed(test: ServingTest, hypothesis: HypothesisTest) -> int:
    estimate = hypothesis.interval.estimate
    limit = -lost_margin(test.policy) if hypothesis is test.comparison else 0.0
    room = estimate - limit if estimate > limit else -estimate
    if not 0.0 < room < 1.0:
        return 0
    return required_pairs(variance=_variance(test, hypothesis), margin=room, alpha=test.level, power=POWER)


def _variance(test: ServingTest, hypothesis: HypothesisTest) -> float:
    """Of one pair's logarithm."""
    return (hypothesis.interval.standard_error or 0.0) ** 2 * len(test.candidate)


def _passing(test: ServingTest, variance: float, pairs: int, *, delta: float = 0.0) -> float:
    """P(PASS) of a comparison: that of `stats.planning.rules.TRule`, unbounded, whose module needs scipy."""
    return t_chances(
        delta=delta,
        standard_error=math.sqrt(variance / pairs),
        df=pairs - 1,
        margin=lost_margin(test.policy),
        alpha=test.level,
        pairs=None,
    ).passed


def _chances(test: ServingTest) -> tuple[float | None, float | None]:
    """P(PASS) of the comparison if nothing had changed and, at most, if the margin were lost."""
    if test.comparison is None:
        return None, None
    variance, pairs = _variance(test, test.comparison), len(test.candidate)
    lost = _passing(test, variance, pairs, delta=-lost_margin(test.policy))
    return _passing(test, variance, pairs), max(test.policy.alpha, lost)


def _bounds(test: ServingTest) -> tuple[float | None, float | None, float | None]:
    """Change and its bounds of a comparison; of a limit alone only the bounds, in the figure's unit."""
    policy = test.policy
    if test.comparison is not None:
        interval = test.comparison.interval
        delta, lower, upper = (
            relative_change(policy, turned) for turned in (interval.estimate, interval.lower, interval.upper)
        )
        return delta, lower, upper
    if test.floor is None or policy.limit is None:
        return None, None, None
    ends = [
        policy.limit * math.exp(sign_of(policy) * x) for x in (test.floor.interval.lower, test.floor.interval.upper)
    ]
    return None, min(ends), max(ends)


def _geometric_mean(figures: Sequence[float]) -> float | None:
    return math.exp(math.fsum(map(math.log, figures)) / len(figures)) if figures else None
