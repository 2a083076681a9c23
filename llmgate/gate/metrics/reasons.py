"""Why one metric got its verdict, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict
from llmgate.gate.decision.wording import count, percent, points, verb
from llmgate.gate.metrics.chances import more_cases
from llmgate.gate.metrics.label_corrected import JUDGE_ALONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.gate.metrics.metric import HypothesisTest, MetricTest

__all__ = ["besides_errors", "metric_reason", "not_enough"]


def metric_reason(test: MetricTest, verdict: Verdict, adjusted: Sequence[float], *, adjusted_for: int) -> str:
    """Bounds, confidence and limit, in lower case, because it follows the verdict and a colon.

    Args:
        test: The metric.
        verdict: Its verdict.
        adjusted: Holm-adjusted p-values of `test.hypotheses`, in their order.
        adjusted_for: How many p-values were adjusted together.
    """
    whose = ""
    if test.hypotheses and test.corrected:
        whose = f"corrected by {count(test.labels, 'human label')}: "
    elif test.hypotheses and test.judge_alone:
        whose = f"{JUDGE_ALONE}: "
    return f"{whose}{_body(test, verdict, adjusted, adjusted_for)}."


def _body(test: MetricTest, verdict: Verdict, adjusted: Sequence[float], adjusted_for: int) -> str:
    pairs = test.pairs
    if pairs is None or not test.hypotheses:
        return test.problem.what if test.problem else "nothing to compare with"
    return besides_errors(_tested(test, verdict, adjusted, adjusted_for), pairs, verdict)


def besides_errors(reason: str, pairs: Pairs, verdict: Verdict) -> str:
    """A reason with how many cases could not be evaluated, where there are any."""
    if not pairs.errors.count:
        return reason
    noun = "case" if pairs.champion is None else "pair"
    lost = f"{pairs.errors.count:,} of {count(pairs.expected, noun)} could not be evaluated"
    if verdict is Verdict.PASS:
        return f"{reason}; {lost} and {verb(pairs.errors.count, 'is', 'are')} counted against the candidate"
    return f"{reason}; {lost}" if verdict is Verdict.FAIL else f"{lost}, so it cannot pass; the others: {reason}"


def not_enough(p: float, adjusted_for: int) -> str:
    """Why what is proven at its own alpha is no FAIL, to follow the bounds."""
    return f", which is not enough for a FAIL after adjusting for {count(adjusted_for, 'test')} (p = {p:.2g})"


def _tested(test: MetricTest, verdict: Verdict, adjusted: Sequence[float], adjusted_for: int) -> str:
    """What each test says; short of a PASS, only the tests that stand in its way."""
    reasons = []
    for hypothesis, p in zip(test.hypotheses, adjusted, strict=True):
        failed = hypothesis.worse and p <= test.policy.alpha
        if (verdict is Verdict.FAIL and not failed) or (
            verdict is Verdict.INCONCLUSIVE and hypothesis.passed and not test.problem
        ):
            continue
        reasons.append(_bounds(test, hypothesis, failed=failed) + _further(test, hypothesis, p, failed, adjusted_for))
    return " and ".join(reasons)


def _further(test: MetricTest, hypothesis: HypothesisTest, p: float, failed: bool, adjusted_for: int) -> str:
    if failed or hypothesis.passed:
        return ""
    if hypothesis.worse:
        return not_enough(p, adjusted_for)
    advice = "" if test.problem else more_cases(test, hypothesis)
    return f"; {advice}" if advice else ""


def _bounds(test: MetricTest, hypothesis: HypothesisTest, *, failed: bool) -> str:
    level = f"{100.0 * (1.0 - test.policy.alpha):.6g} %"
    if hypothesis is test.comparison and test.margin is not None:
        return _difference(hypothesis, test.margin, level, failed=failed)
    return _rate(test, hypothesis, level, failed=failed)


def _difference(hypothesis: HypothesisTest, margin: float, level: str, *, failed: bool) -> str:
    lower, upper, tolerance = hypothesis.interval.lower, hypothesis.interval.upper, f"tolerance {points(margin)}"
    loss = points(-lower, margin)
    if failed:
        estimate = points(-hypothesis.interval.estimate, 0.0)
        return f"at least {points(-upper, 0.0)} points worse ({level}), best estimate {estimate}, {tolerance}"
    if hypothesis.passed:
        better = f"at least {points(lower, 0.0)} points better"
        return f"{better if lower > 0.0 else f'at most {loss} points worse'} ({level}), {tolerance}"
    if upper < 0.0:
        return f"between {loss} and {points(-upper, 0.0)} points worse ({level} each), {tolerance}"
    return (
        f"between {loss} points worse and {points(upper, 0.0)} points better ({level} each), so a loss beyond the"
        f" {tolerance} is neither shown nor excluded"
    )


def _rate(test: MetricTest, hypothesis: HypothesisTest, level: str, *, failed: bool) -> str:
    """As the metric counts it; the interval is that of what is wanted, 1 − the rate where less is better."""
    maximum = test.policy.max
    limit, name = (test.policy.min or 0.0, "minimum") if maximum is None else (maximum, "maximum")
    bounds = sorted(test.shown(bound) for bound in (hypothesis.interval.lower, hypothesis.interval.upper))
    lower, upper = (percent(bound, limit) for bound in bounds)
    if not (failed or hypothesis.passed):
        return f"between {lower} and {upper} ({level} each), {name} {percent(limit)}"
    # What fails a minimum, as what passes a maximum, is a bound from above.
    proven = f"at most {upper}" if failed == (maximum is None) else f"at least {lower}"
    return f"{proven} ({level}), {name} {percent(limit)}"
