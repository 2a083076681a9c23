"""What a serving figure's test says, in words: in its reason, and in the sentence of the decision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict
from llmgate.gate.decision.wording import amount, count, figure_name, points
from llmgate.gate.metrics.reasons import not_enough
from llmgate.gate.metrics.serving_scale import lost_margin, relative_change, sign_of
from llmgate.record.policy import Direction
from llmgate.record.serving.policy import unit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.types import MetricDecision
    from llmgate.gate.metrics.metric import HypothesisTest, ServingTest

__all__ = ["not_excluded", "serving_loss", "serving_pass", "serving_reason"]


def serving_reason(
    test: ServingTest, verdict: Verdict, adjusted: Sequence[float], *, adjusted_for: int, more: str = ""
) -> str:
    """Bounds, confidence and limit, in lower case, because it follows the verdict and a colon.

    Args:
        test: The figure.
        verdict: Its verdict.
        adjusted: Holm-adjusted p-values of `test.hypotheses`, in their order.
        adjusted_for: How many p-values were adjusted together.
        more: What a decision would need, for a comparison that has come to none.
    """
    problem = test.problem
    if not test.hypotheses:
        return f"{problem.what}." if problem else "nothing to compare with."
    reasons = []
    for hypothesis, p in zip(test.hypotheses, adjusted, strict=True):
        failed = hypothesis.worse and p <= test.policy.alpha
        if (verdict is Verdict.FAIL and not failed) or (
            verdict is Verdict.INCONCLUSIVE and hypothesis.passed and not problem
        ):
            continue
        compared = hypothesis is test.comparison
        told = _change(test, hypothesis, failed=failed) if compared else _level(test, hypothesis, failed=failed)
        if hypothesis.worse and not failed:
            told += not_enough(p, adjusted_for)
        elif compared and more and not (hypothesis.passed or failed or problem):
            told += f"; {more}"
        reasons.append(told)
    unit = "pair" if test.champion else "run"
    seen = count(len(test.candidate), unit) + (" of runs" if test.champion else "")
    told = f"{figure_name(test.policy.metric)} {' and '.join(reasons)}; {seen}"
    if problem is None:
        return f"{told}."
    return f"{told}; {problem.what}." if verdict is Verdict.FAIL else f"{problem.what}, so it cannot pass; {told}."


def serving_pass(test: ServingTest, hypothesis: HypothesisTest) -> str:
    """What is proven, beside what was asked: to follow the figure's name and a comma."""
    interval, policy = hypothesis.interval, test.policy
    if hypothesis is not test.comparison:
        limit, unit = policy.limit or 0.0, unit_of(policy.metric)
        bound = amount(_in_unit(test, interval.lower), unit, limit)
        if policy.max is not None:
            return f"at most {bound} where {_asked(limit, unit)} is allowed"
        return f"at least {bound} where {_asked(limit, unit)} is required"
    if interval.lower > 0.0:
        return f"at least {_percent(test, interval.lower, 0.0)} {_word(test, interval.lower)}"
    margin = policy.margin or 0.0
    return (
        f"at most {_percent(test, interval.lower, margin)} {_word(test, interval.lower)} where {points(margin)} % is"
        " allowed"
    )


def serving_loss(test: ServingTest, hypothesis: HypothesisTest, metric: MetricDecision, name: str) -> str:
    """What was lost, beside what was allowed; where the estimate alone is no more than that, up to how much.

    Args:
        test: The figure.
        hypothesis: The one that failed.
        metric: Its decision.
        name: What it is called here.
    """
    interval, policy, unit = hypothesis.interval, test.policy, metric.unit
    if hypothesis is not test.comparison:
        limit = policy.limit or 0.0
        asked = "allowed: at most" if policy.max is not None else "required:"
        estimate = amount(_in_unit(test, interval.estimate), unit, limit)
        return f"{name} is {estimate} ({asked} {_asked(limit, unit)})"
    margin = policy.margin or 0.0
    allowed = f"(allowed: {points(margin)} %)"
    if metric.candidate is None or metric.champion is None or -interval.estimate <= lost_margin(policy):
        low, high = _plain(test, interval.upper, 0.0), _percent(test, interval.lower, margin)
        return f"{name} is {low} to {high} {_word(test, interval.lower)} {allowed}"
    moved = "rose" if metric.candidate > metric.champion else "fell"
    before, after = amount(metric.champion, "", metric.candidate), amount(metric.candidate, unit, metric.champion)
    return f"{name} {moved} from {before} to {after}, {_percent(test, interval.estimate, margin)} {allowed}"


def not_excluded(test: ServingTest, hypothesis: HypothesisTest, name: str) -> str:
    """What the runs cannot rule out, or cannot show: a sentence."""
    policy, seen = test.policy, count(len(test.candidate), "pair" if test.champion else "run")
    seen += " of runs" if test.champion else ""
    if hypothesis is test.comparison:
        more = "more" if policy.direction is Direction.LOWER else "less"
        return f"{seen} cannot rule out {points(policy.margin or 0.0)} % {more} {name}."
    asked = f"at {'most' if policy.max is not None else 'least'} {_asked(policy.limit or 0.0, unit_of(policy.metric))}"
    return f"{seen} cannot show that {name} is {asked}."


def _change(test: ServingTest, hypothesis: HypothesisTest, *, failed: bool) -> str:
    interval, margin = hypothesis.interval, test.policy.margin or 0.0
    level, tolerance = f"{100.0 * (1.0 - test.policy.alpha):.6g} %", f"tolerance {points(margin)} %"
    loss, lost = _percent(test, interval.lower, margin), _word(test, interval.lower)
    if failed:
        new, old = (math.fsum(map(math.log, side)) / len(side) for side in (test.candidate, test.champion))
        unit = unit_of(test.policy.metric)
        figures = f"{amount(math.exp(old), '', math.exp(new))} → {amount(math.exp(new), unit, math.exp(old))}"
        estimate = f"{_percent(test, interval.estimate, margin)} {lost} ({figures})"
        return f"is {estimate}, between {_plain(test, interval.upper, 0.0)} and {loss} ({level} each), {tolerance}"
    if hypothesis.passed:
        if interval.lower > 0.0:
            return f"at least {_percent(test, interval.lower, 0.0)} {lost} ({level}), {tolerance}"
        return f"at most {loss} {lost} ({level}), {tolerance}"
    if interval.upper < 0.0:
        return f"between {_plain(test, interval.upper, 0.0)} and {loss} {lost} ({level} each), {tolerance}"
    gain = f"{_percent(test, interval.upper, 0.0)} {_word(test, interval.upper)}"
    return (
        f"between {loss} {lost} and {gain} ({level} each), so a loss beyond the {tolerance} is neither shown nor"
        " excluded"
    )


def _level(test: ServingTest, hypothesis: HypothesisTest, *, failed: bool) -> str:
    policy, unit = test.policy, unit_of(test.policy.metric)
    limit, level = policy.limit or 0.0, f"{100.0 * (1.0 - policy.alpha):.6g} %"
    asked = f"{_asked(limit, unit)} {'allowed' if policy.max is not None else 'required'}"
    interval = hypothesis.interval
    low, high = sorted(_in_unit(test, bound) for bound in (interval.lower, interval.upper))
    if not (failed or hypothesis.passed):
        return f"between {amount(low, '', limit)} and {amount(high, unit, limit)} ({level} each), {asked}"
    # What fails a minimum, as what passes a maximum, is a bound from above.
    above = failed == (policy.max is None)
    return f"at {'most' if above else 'least'} {amount(high if above else low, unit, limit)} ({level}), {asked}"


def _in_unit(test: ServingTest, turned: float) -> float:
    """A turned logarithm of a figure over its limit as the figure."""
    return (test.policy.limit or 0.0) * math.exp(sign_of(test.policy) * turned)


def _asked(limit: float, unit: str) -> str:
    return f"{limit:,.10g} {unit}"


def _word(test: ServingTest, turned: float) -> str:
    """Whether it is `higher` or `lower`; what is better for throughput is worse for latency."""
    return "higher" if (turned > 0.0) == (test.policy.direction is Direction.HIGHER) else "lower"


def _plain(test: ServingTest, turned: float, limit: float) -> str:
    return points(abs(relative_change(test.policy, turned)), limit)


def _percent(test: ServingTest, turned: float, limit: float) -> str:
    return f"{_plain(test, turned, limit)} %"
