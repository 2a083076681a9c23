"""What people are told about the attempts of a candidate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.gate.decision.attempt_types import AttemptBound, AttemptDecision
from llmgate.gate.decision.wording import count, percent, points
from llmgate.gate.metrics.metric import MetricTest
from llmgate.stats import special
from llmgate.stats.sequential.shares import attempt_shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmgate.gate.attempts.counting import Attempts
    from llmgate.gate.metrics.attempt_point import AttemptPoint
    from llmgate.gate.metrics.metric import ServingTest

__all__ = ["attempt_decision"]


def attempt_decision(
    attempts: Attempts, tests: Sequence[MetricTest | ServingTest], *, answers: Mapping[str, int] | None = None
) -> AttemptDecision | None:
    """Which attempt it is, and what it has to reach; None where nothing is reserved and it is the first.

    Args:
        attempts: All of them.
        tests: The metrics and serving figures of this one.
        answers: By suite how many answers each case got at an attempt, where that is more than one.
    """
    if attempts.number == 1 and not attempts.reserve:
        return None
    gating = [test for test in tests if test.policy.gates]
    bounds = tuple(_bound(test, test.attempt) for test in gating if test.attempt is not None)
    counted = sum(number * (answers or {}).get(suite, 1) for suite, number in attempts.answers.items())
    decision = AttemptDecision(
        number=attempts.number,
        reserve=attempts.reserve,
        earlier=tuple(attempt.verdict for attempt in attempts.past),
        digests=tuple(attempt.digest for attempt in attempts.past),
        shares=attempt_shares(attempts.number, reserve=attempts.reserve),
        bounds=bounds,
        answers=counted,
    )
    return replace(decision, sentence=_sentence(decision, gating))


def _bound(test: MetricTest | ServingTest, point: AttemptPoint) -> AttemptBound:
    alpha = test.policy.alpha
    return AttemptBound(
        suite=test.policy.suite,
        metric=test.policy.metric,
        alpha=alpha,
        spent=tuple(share * alpha for share in point.shares),
        first=point.first(alpha),
        z=point.bound(alpha),
        pooled=point.pooled,
        correlation=point.correlation,
        information=point.information,
    )


def _sentence(decision: AttemptDecision, gating: Sequence[MetricTest | ServingTest]) -> str:
    this = f"Attempt {decision.number} of this candidate"
    if not decision.reserve:
        return f"{this}. Nothing is reserved for further attempts, so only the first could pass."
    if decision.number == 1:
        alone = _range(-special.ndtri(bound.alpha) for bound in decision.bounds)
        kept = f"{percent(decision.reserve)} of the error rate is kept for further ones"
        return f"{this}: {kept}; {_bounds(decision.bounds)} instead of {alone}."
    together = [bound for bound in decision.bounds if bound.pooled]
    apart = [bound for bound in decision.bounds if not bound.pooled]
    parts = [f"{this}."]
    if together:
        first = _range(bound.first for bound in together)
        parts.append(f"All {count(decision.answers, 'answer')} count together; {_bounds(together)} instead of {first}.")
    if apart:
        names = ", ".join(f"{bound.suite}::{bound.metric}" for bound in apart[:3]) + (", …" if len(apart) > 3 else "")
        first = _range(bound.first for bound in apart)
        parts.append(f"Of {names} only this attempt's figures count; {_bounds(apart)} instead of {first}.")
    most = percent(max(bound.alpha for bound in decision.bounds)) if decision.bounds else ""
    if most:
        often = f"However often it is tried, {_loss(gating)} passes in at most {most}"
        parts.append(f"{often}, as far as this ledger knows.")
    parts.append("New cases or planned repeats help more.")
    return " ".join(parts)


def _bounds(bounds: Sequence[AttemptBound]) -> str:
    different = {f"{bound.z:.2f}" for bound in bounds}
    return f"bound{'s' if len(different) > 1 else ''} {_range(bound.z for bound in bounds)}"


def _range(values: Iterable[float]) -> str:
    found = sorted(values)
    if not found:
        return "none"
    low, high = f"{found[0]:.2f}", f"{found[-1]:.2f}"
    return low if low == high else f"{low} to {high}"


def _loss(gating: Sequence[MetricTest | ServingTest]) -> str:
    """What must not pass, in words."""
    losses = {
        test.margin
        for test in gating
        if isinstance(test, MetricTest) and test.comparison is not None and test.margin is not None
    }
    if len(gating) == 1 and len(losses) == 1 and not gating[0].hypotheses[1:]:
        return f"a true {points(losses.pop())}-point loss"
    return "a true loss of a gate's margin"
