"""Why one metric got its verdict, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict
from llmgate.gate.decision.wording import count, percent, points
from llmgate.gate.metrics.chances import more_cases
from llmgate.gate.metrics.label_corrected import JUDGE_ALONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.metrics.intervals import Finding
    from llmgate.gate.metrics.tests import Measured

__all__ = ["metric_reason"]


def metric_reason(measured: Measured, verdict: Verdict, adjusted: Sequence[float], *, tests: int) -> str:
    """Bounds, confidence and limit, in lower case, because it follows the verdict and a colon.

    Args:
        measured: The metric.
        verdict: Its verdict.
        adjusted: Holm-adjusted p-values of `measured.findings`, in their order.
        tests: How many p-values were adjusted together.
    """
    whose = ""
    if measured.findings and measured.corrected:
        whose = f"corrected by {count(measured.labels, 'human label')}: "
    elif measured.findings and measured.judge_alone:
        whose = f"{JUDGE_ALONE}: "
    return f"{whose}{_body(measured, verdict, adjusted, tests)}."


def _body(measured: Measured, verdict: Verdict, adjusted: Sequence[float], tests: int) -> str:
    pairs = measured.pairs
    if pairs is None or not measured.findings:
        return measured.problem.what if measured.problem else "nothing to compare with"
    said = _tested(measured, verdict, adjusted, tests)
    if pairs.errors.count:
        noun = "case" if pairs.champion is None else "pair"
        lost = f"{pairs.errors.count:,} of {count(pairs.expected, noun)} could not be evaluated"
        return f"{said}; {lost}" if verdict is Verdict.FAIL else f"{lost}, so it cannot pass; the others: {said}"
    return said


def _tested(measured: Measured, verdict: Verdict, adjusted: Sequence[float], tests: int) -> str:
    """What each test says; short of a PASS, only the tests that stand in its way."""
    spoken = []
    for finding, p in zip(measured.findings, adjusted, strict=True):
        failed = finding.worse and p <= measured.policy.alpha
        if (verdict is Verdict.FAIL and not failed) or (
            verdict is Verdict.INCONCLUSIVE and finding.passed and not measured.problem
        ):
            continue
        spoken.append(_said(measured, finding, failed=failed) + _further(measured, finding, p, failed, tests))
    return " and ".join(spoken)


def _further(measured: Measured, finding: Finding, p: float, failed: bool, tests: int) -> str:
    if failed or finding.passed:
        return ""
    if finding.worse:
        return f", which is not enough for a FAIL after adjusting for {count(tests, 'test')} (p = {p:.2g})"
    advice = "" if measured.problem else more_cases(measured, finding)
    return f"; {advice}" if advice else ""


def _said(measured: Measured, finding: Finding, *, failed: bool) -> str:
    level = f"{100.0 * (1.0 - measured.policy.alpha):.6g} %"
    if finding is measured.comparison and measured.margin is not None:
        return _difference(finding, measured.margin, level, failed=failed)
    if measured.policy.max is not None:
        return _ceiling(measured, finding, measured.policy.max, level, failed=failed)
    return _rate(finding, measured.policy.min or 0.0, level, failed=failed)


def _difference(finding: Finding, margin: float, level: str, *, failed: bool) -> str:
    lower, upper, tolerance = finding.interval.lower, finding.interval.upper, f"tolerance {points(margin)}"
    loss = points(-lower, margin)
    if failed:
        estimate = points(-finding.interval.estimate, 0.0)
        return f"at least {points(-upper, 0.0)} points worse ({level}), best estimate {estimate}, {tolerance}"
    if finding.passed:
        better = f"at least {points(lower, 0.0)} points better"
        return f"{better if lower > 0.0 else f'at most {loss} points worse'} ({level}), {tolerance}"
    if upper < 0.0:
        return f"between {loss} and {points(-upper, 0.0)} points worse ({level} each), {tolerance}"
    return (
        f"between {loss} points worse and {points(upper, 0.0)} points better ({level} each), so a loss beyond the"
        f" {tolerance} is neither shown nor excluded"
    )


def _rate(finding: Finding, minimum: float, level: str, *, failed: bool) -> str:
    lower, upper = percent(finding.interval.lower, minimum), percent(finding.interval.upper, minimum)
    limit = f"minimum {percent(minimum)}"
    if failed:
        return f"at most {upper} ({level}), {limit}"
    if finding.passed:
        return f"at least {lower} ({level}), {limit}"
    return f"between {lower} and {upper} ({level} each), {limit}"


def _ceiling(measured: Measured, finding: Finding, maximum: float, level: str, *, failed: bool) -> str:
    """The same where less is better: the interval is that of what is wanted, 1 − the rate."""
    lower, upper = (
        percent(measured.shown(bound), maximum) for bound in (finding.interval.upper, finding.interval.lower)
    )
    limit = f"maximum {percent(maximum)}"
    if failed:
        return f"at least {lower} ({level}), {limit}"
    if finding.passed:
        return f"at most {upper} ({level}), {limit}"
    return f"between {lower} and {upper} ({level} each), {limit}"
