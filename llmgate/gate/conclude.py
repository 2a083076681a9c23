"""One metric, decided: from what was measured to its verdict, once all p-values are adjusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from llmgate.gate.decision import Flip, MetricDecision, Verdict
from llmgate.gate.foresight import pass_chances
from llmgate.gate.reasons import metric_reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmgate.gate.measure import Measured

__all__ = ["conclude", "flips_of"]


def conclude(measured: Measured, adjusted: tuple[float, ...], *, tests: int) -> MetricDecision:
    """The verdict on one metric.

    FAIL if a finding is worse and its adjusted p-value at most alpha; PASS if nothing stands in the way and every
    finding passed; else INCONCLUSIVE.

    Args:
        measured: The metric.
        adjusted: Holm-adjusted p-values of `measured.findings`, in their order.
        tests: How many p-values were adjusted together.
    """
    policy, pairs = measured.policy, measured.pairs
    verdict = _verdict(measured, adjusted)
    main = measured.comparison or measured.floor
    unchanged, lost = pass_chances(measured)
    barred = (f"{measured.problem.what}.",) if measured.problem and not policy.gates else ()
    return MetricDecision(
        suite=policy.suite,
        metric=policy.metric,
        role=policy.role,
        verdict=verdict,
        reference=_reference(measured),
        method=main.interval.method if main else "none",
        alpha=policy.alpha,
        candidate=_mean(pairs.candidate) if pairs else None,
        champion=_mean(pairs.champion) if pairs else None,
        delta=measured.comparison.interval.estimate if measured.comparison else None,
        lower=main.interval.lower if main else None,
        upper=main.interval.upper if main else None,
        margin=measured.margin,
        min=policy.min,
        expected=pairs.expected if pairs else 0,
        evaluated=len(pairs.item_ids) if pairs else 0,
        errors=len(pairs.errors) if pairs else 0,
        better=sum(flip.delta > 0 for flip in flips_of(measured)),
        worse=sum(flip.delta < 0 for flip in flips_of(measured)),
        p_worse=adjusted[0] if adjusted else None,
        pass_if_unchanged=unchanged,
        pass_if_margin_lost=lost,
        reason=metric_reason(measured, verdict, adjusted, tests=tests),
        notes=(*measured.notes, *barred),
    )


def flips_of(measured: Measured) -> tuple[Flip, ...]:
    """The cases whose score changed, by id."""
    pairs = measured.pairs
    if pairs is None or pairs.champion is None:
        return ()
    scores = zip(pairs.item_ids, pairs.champion.tolist(), pairs.candidate.tolist(), strict=True)
    return tuple(
        Flip(suite=measured.policy.suite, case=case, metric=measured.policy.metric, champion=old, candidate=new)
        for case, old, new in scores
        if old != new
    )


def _verdict(measured: Measured, adjusted: tuple[float, ...]) -> Verdict:
    findings = measured.findings
    if any(f.worse and p <= measured.policy.alpha for f, p in zip(findings, adjusted, strict=True)):
        return Verdict.FAIL
    if measured.problem is None and findings and all(f.passed for f in findings):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE


def _reference(measured: Measured) -> Literal["champion", "threshold", "none"]:
    if measured.comparison is not None:
        return "champion"
    return "threshold" if measured.floor is not None else "none"


def _mean(scores: NDArray[np.float64] | None) -> float | None:
    return None if scores is None or len(scores) == 0 else math.fsum(scores) / len(scores)
