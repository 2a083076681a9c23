"""Lengths of answers, compared in both directions: neither longer nor shorter is better, but much of either is drift.

PASS if both one-sided bounds of the mean log ratio lie within ±log(1 + margin); FAIL if not, and the mean is proven to
have changed at all (two-sided, Holm-adjusted with the other gating tests); INCONCLUSIVE otherwise. It is the rule of
every metric, with a second side.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import UndefinedError
from llmgate.gate.decision.types import Verdict
from llmgate.gate.decision.wording import count, points
from llmgate.gate.evidence.feature_metrics import LENGTH_SCALE
from llmgate.gate.metrics.metric import HypothesisTest
from llmgate.gate.metrics.reasons import besides_errors, not_enough
from llmgate.stats.equivalence import equivalence_chance, equivalence_pairs, paired_equivalence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.types import MetricDecision
    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.gate.metrics.metric import MetricTest

__all__ = ["compare_lengths", "length_limits", "length_reason", "lengths_needed", "with_lengths"]

_LEAST_REACH: Final = math.log(10.0)
"""A suite of labels has answers of one length, and still a model could begin to explain itself."""


def compare_lengths(pairs: Pairs, *, margin: float, alpha: float) -> HypothesisTest:
    """Candidate against champion, by the mean logarithm of the ratio of their lengths.

    Two one-sided paired t tests, with clusters by their rule, widened by what stayed unseen: an answer that nobody saw
    may be as much longer or shorter as the longest answer of the suite is longer than the shortest, and at least ten
    times as long or a tenth.

    Args:
        pairs: Scores are log(1 + characters) / 64 (see `output_features`).
        margin: Relative, 0.2 for a fifth longer, or shorter by the same factor.
        alpha: One-sided error rate.

    Returns:
        Its interval is that of the log ratio; `worse` means changed, in whichever direction.

    Raises:
        UndefinedError: If there are no pairs, or too few clusters to decide at alpha.
    """
    if pairs.champion is None:
        raise UndefinedError("there is no champion to compare with")
    if not len(pairs.candidate):
        raise UndefinedError("no pair of answers could be evaluated")
    result = paired_equivalence(
        (pairs.candidate - pairs.champion) * LENGTH_SCALE,
        margin=math.log1p(margin),
        alpha=alpha,
        clusters=pairs.clusters,
        reach=_reach(pairs),
    )
    changed = not result.equivalent and result.p_changed <= alpha
    return HypothesisTest(interval=result.interval, passed=result.equivalent, worse=changed, p=result.p_changed)


def _reach(pairs: Pairs) -> float:
    """How far an answer that nobody saw may be from the champion's, as a log ratio."""
    sides = [pairs.candidate] if pairs.champion is None else [pairs.candidate, pairs.champion]
    longest, shortest = max(float(side.max()) for side in sides), min(float(side.min()) for side in sides)
    return max(_LEAST_REACH, (longest - shortest) * LENGTH_SCALE)


def length_chances(test: MetricTest) -> tuple[float | None, float | None]:
    """P(PASS) if nothing had changed and, at most, at a change of the margin; None where no spread was seen."""
    pairs, comparison, margin, alpha = test.pairs, test.comparison, test.margin, test.policy.alpha
    if pairs is None or comparison is None or margin is None or not comparison.interval.standard_error:
        return None, None
    limit = math.log1p(margin)
    chances = [
        equivalence_chance(
            delta=delta,
            standard_error=comparison.interval.standard_error,
            df=comparison.interval.df or 1,
            margin=limit,
            alpha=alpha,
            pairs=len(pairs.item_ids),
            reach=_reach(pairs),
        )
        for delta in (0.0, limit)
    ]
    return chances[0], max(alpha, chances[1])


def length_limits(margin: float) -> tuple[float, float]:
    """How much shorter and longer answers may become, as relative changes: 0.2 gives −0.167 and 0.2."""
    return 1.0 / (1.0 + margin) - 1.0, margin


def with_lengths(decision: MetricDecision, test: MetricTest) -> MetricDecision:
    """The decision on the length of answers with its numbers, relative changes: 0.04 is 4 % longer."""
    unchanged, lost = length_chances(test)
    decision = replace(decision, pass_if_unchanged=unchanged, pass_if_margin_lost=lost, two_sided=True)
    if test.comparison is None:
        return decision
    interval = test.comparison.interval
    return replace(
        decision,
        method=f"{interval.method}, two one-sided tests of log length ratios",
        delta=math.expm1(interval.estimate),
        lower=math.expm1(interval.lower),
        upper=math.expm1(interval.upper),
    )


def length_reason(test: MetricTest, verdict: Verdict, adjusted: Sequence[float], *, adjusted_for: int) -> str:
    """As `metric_reason`, of the length of answers."""
    pairs, comparison, margin = test.pairs, test.comparison, test.margin
    if pairs is None or comparison is None or margin is None:
        return f"{test.problem.what}." if test.problem else "nothing to compare with."
    reason = _bounds(comparison, margin, test.policy.alpha, verdict)
    if comparison.worse and adjusted and adjusted[0] > test.policy.alpha:
        reason += not_enough(adjusted[0], adjusted_for)
    elif verdict is Verdict.INCONCLUSIVE and not comparison.passed and test.problem is None:
        reason += _more_cases(pairs, comparison, margin, test.policy.alpha)
    return f"{besides_errors(reason, pairs, verdict)}."


def lengths_needed(pairs: Pairs, comparison: HypothesisTest, margin: float, alpha: float) -> int:
    """Cases with which an unchanged model would pass 80 % of the time."""
    n, se = len(pairs.item_ids), comparison.interval.standard_error or 0.0
    return equivalence_pairs(variance=se * se * n, margin=math.log1p(margin), alpha=alpha, reach=_reach(pairs))


def _more_cases(pairs: Pairs, comparison: HypothesisTest, margin: float, alpha: float) -> str:
    needed = lengths_needed(pairs, comparison, margin, alpha)
    if needed <= len(pairs.item_ids):
        return ""
    unit = 10 ** max(0, len(str(needed)) - 2)
    return f"; an unchanged model needs about {count(-(-needed // unit) * unit, 'case')} to pass 80 % of the time"


def _bounds(comparison: HypothesisTest, margin: float, alpha: float, verdict: Verdict) -> str:
    interval = comparison.interval
    level = f"{100.0 * (1.0 - alpha):.6g} %"
    low, high = (_changed(bound, margin) for bound in (interval.lower, interval.upper))
    bounds = f"between {low} and {high}" if low != high else low
    tolerance = f"tolerance (factor {1.0 + margin:.6g})"
    if verdict is Verdict.FAIL:
        now = _changed(interval.estimate, margin)
        return f"answers are {now}, {bounds} ({level} each), outside the {tolerance}"
    if comparison.passed or comparison.worse:
        return f"answers are {bounds} ({level} each), {tolerance}"
    return f"answers are {bounds} ({level} each), so a change beyond the {tolerance} is neither shown nor excluded"


def _changed(log_ratio: float, margin: float) -> str:
    """A log ratio as people say it; decimals are added until it looks different from the limit."""
    change = math.expm1(log_ratio)
    shortest, longest = length_limits(margin)
    if change < 0.0:
        return f"{points(-change, -shortest)} % shorter"
    return f"{points(change, longest)} % longer"
