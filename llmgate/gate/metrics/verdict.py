"""One metric, decided: from what was measured to its verdict, once all p-values are adjusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from llmgate.gate.decision.types import Flip, MetricDecision, Verdict
from llmgate.gate.metrics.chances import pass_chances
from llmgate.gate.metrics.length import length_decision
from llmgate.gate.metrics.reasons import metric_reason
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Direction
from llmgate.stats.standard_error import clustered_standard_error, standard_error
from llmgate.stats.sums import mean_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.gate.metrics.intervals import Finding
    from llmgate.gate.metrics.tests import Measured

__all__ = ["FLIPS_LISTED", "Spread", "conclude", "flips_of", "spread_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Standard errors of the mean difference, as fractions; None where there is no such thing.

    Attributes:
        se: Over independent pairs.
        se_clustered: With whole clusters as the unit.
        clusters: How many there are.
    """

    se: float | None = None
    se_clustered: float | None = None
    clusters: int | None = None


def spread_of(pairs: Pairs | None) -> Spread:
    """Of the differences of pairs; nothing without a champion, for fewer than two pairs or fewer than two clusters."""
    if pairs is None or pairs.champion is None or len(pairs.candidate) < 2:
        return Spread()
    differences = pairs.candidate - pairs.champion
    se = standard_error(differences)
    if pairs.clusters is None:
        return Spread(se=se)
    clusters = int(pairs.clusters.max()) + 1
    clustered = clustered_standard_error(differences, pairs.clusters) if clusters > 1 else None
    return Spread(se=se, se_clustered=clustered, clusters=clusters)


FLIPS_LISTED = 1_000
"""Of one metric; a decision on a million items is to be read by people and diffed by tools."""


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
    if policy.trait is OutputFeature.LENGTH:
        return length_decision(measured, verdict, adjusted, tests=tests)
    main = measured.comparison or measured.floor
    lower, upper = _bounds(measured, main)
    unchanged, lost = pass_chances(measured)
    better, worse = _changes(measured.oriented)
    spread = spread_of(pairs)
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
        lower=lower,
        upper=upper,
        margin=measured.margin,
        min=policy.min,
        max=policy.max,
        direction=policy.direction,
        expected=pairs.expected if pairs else 0,
        evaluated=len(pairs.item_ids) if pairs else 0,
        errors=pairs.errors.count if pairs else 0,
        better=better,
        worse=worse,
        se=spread.se,
        se_clustered=spread.se_clustered,
        clusters=spread.clusters,
        p_worse=adjusted[0] if adjusted else None,
        pass_if_unchanged=unchanged,
        pass_if_margin_lost=lost,
        chances_from=measured.noise.source if measured.noise and unchanged is not None else "comparison",
        reason=metric_reason(measured, verdict, adjusted, tests=tests),
        notes=(*measured.notes, *barred),
        judged=policy.judged,
        labels=measured.labels,
        labels_digest=measured.labels_digest,
        admission=measured.admission,
    )


def flips_of(measured: Measured) -> tuple[Flip, ...]:
    """The cases whose score changed, by id; of more than `FLIPS_LISTED` those that lost most (gained least)."""
    pairs, oriented = measured.pairs, measured.oriented
    if pairs is None or pairs.champion is None or oriented is None or oriented.champion is None:
        return ()
    if measured.policy.trait is OutputFeature.LENGTH:
        return ()  # Nearly every answer has another length, and none is better for it.
    deltas = oriented.candidate - oriented.champion
    changed = np.flatnonzero(deltas)
    if len(changed) > FLIPS_LISTED:
        # The last one that fits, and of those that lost as much the first by id.
        limit = np.partition(deltas[changed], FLIPS_LISTED - 1)[FLIPS_LISTED - 1]
        more, equal = changed[deltas[changed] < limit], changed[deltas[changed] == limit]
        changed = np.sort(np.concatenate((more, equal[: FLIPS_LISTED - len(more)])))
    return tuple(
        Flip(
            suite=measured.policy.suite,
            case=pairs.item_ids[i],
            metric=measured.policy.metric,
            champion=float(pairs.champion[i]),
            candidate=float(pairs.candidate[i]),
            direction=measured.policy.direction,
        )
        for i in changed.tolist()
    )


def _bounds(measured: Measured, main: Finding | None) -> tuple[float | None, float | None]:
    """Of the difference, with more being better; of the rate as the metric counts it."""
    if main is None:
        return None, None
    if measured.comparison is None and measured.policy.direction is Direction.LOWER:
        return measured.shown(main.interval.upper), measured.shown(main.interval.lower)
    return main.interval.lower, main.interval.upper


def _changes(pairs: Pairs | None) -> tuple[int, int]:
    """How many scores are better and worse than the champion's."""
    if pairs is None or pairs.champion is None:
        return 0, 0
    return int(np.sum(pairs.candidate > pairs.champion)), int(np.sum(pairs.candidate < pairs.champion))


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
    return None if scores is None or len(scores) == 0 else mean_of(scores)
