"""One metric, decided: from its test to its verdict, once all p-values are adjusted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from llmgate.gate.decision.types import Flip, MetricDecision, Verdict
from llmgate.gate.metrics.chances import pass_chances
from llmgate.gate.metrics.clusters import cluster_facts_of, cluster_notes
from llmgate.gate.metrics.length import length_reason, with_lengths
from llmgate.gate.metrics.reasons import metric_reason
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Direction
from llmgate.stats.standard_error import clustered_standard_error, standard_error
from llmgate.stats.sums import mean_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.gate.metrics.metric import HypothesisTest, MetricTest, ServingTest

__all__ = ["FLIPS_LISTED", "conclude", "flips_of", "reference_of", "standard_errors_of", "verdict_on"]

FLIPS_LISTED = 1_000
"""Of one metric; a decision on a million items is to be read by people and diffed by tools."""


def conclude(test: MetricTest, adjusted: tuple[float, ...], *, adjusted_for: int) -> MetricDecision:
    """The verdict on one metric.

    FAIL if a hypothesis is worse and its adjusted p-value at most alpha; PASS if nothing stands in the way and every
    hypothesis passed; else INCONCLUSIVE.

    Args:
        test: The metric.
        adjusted: Holm-adjusted p-values of `test.hypotheses`, in their order.
        adjusted_for: How many p-values were adjusted together.
    """
    policy, pairs = test.policy, test.pairs
    verdict = verdict_on(test, adjusted)
    lengths = policy.trait is OutputFeature.LENGTH
    main = test.comparison or test.floor
    barred = (f"{test.problem.what}.",) if test.problem and not policy.gates else ()
    facts = cluster_facts_of(test)
    decision = MetricDecision(
        suite=policy.suite,
        metric=policy.metric,
        role=policy.role,
        verdict=verdict,
        reference=reference_of(test),
        method=main.interval.method if main else "none",
        alpha=policy.alpha,
        margin=test.margin,
        min=policy.min,
        max=policy.max,
        direction=policy.direction,
        expected=pairs.expected if pairs else 0,
        evaluated=len(pairs.item_ids) if pairs else 0,
        errors=pairs.errors.count if pairs else 0,
        p_worse=adjusted[0] if adjusted else None,
        reason=(length_reason if lengths else metric_reason)(test, verdict, adjusted, adjusted_for=adjusted_for),
        notes=(*test.notes, *cluster_notes(facts), *barred),
        cluster_facts=facts,
    )
    return with_lengths(decision, test) if lengths else _with_scores(decision, test)


def _with_scores(decision: MetricDecision, test: MetricTest) -> MetricDecision:
    pairs, comparison = test.pairs, test.comparison
    lower, upper = _bounds(test, comparison or test.floor)
    unchanged, lost = pass_chances(test.planned)
    better, worse = _changes(test.oriented)
    se, se_clustered, clusters = standard_errors_of(pairs)
    return replace(
        decision,
        candidate=_mean(pairs.candidate) if pairs else None,
        champion=_mean(pairs.champion) if pairs else None,
        delta=comparison.interval.estimate if comparison else None,
        lower=lower,
        upper=upper,
        better=better,
        worse=worse,
        se=se,
        se_clustered=se_clustered,
        clusters=clusters,
        pass_if_unchanged=unchanged,
        pass_if_margin_lost=lost,
        chances_from=test.noise.source if test.noise and unchanged is not None else "comparison",
        judged=test.policy.judged,
        labels=test.labels,
        labels_digest=test.labels_digest,
        admission=test.admission,
    )


def flips_of(test: MetricTest) -> tuple[Flip, ...]:
    """The cases whose score changed, by id; of more than `FLIPS_LISTED` those that lost most (gained least)."""
    pairs, oriented = test.pairs, test.oriented
    if pairs is None or pairs.champion is None or oriented is None or oriented.champion is None:
        return ()
    if test.policy.trait is OutputFeature.LENGTH:
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
            suite=test.policy.suite,
            case=pairs.item_ids[i],
            metric=test.policy.metric,
            champion=float(pairs.champion[i]),
            candidate=float(pairs.candidate[i]),
            direction=test.policy.direction,
        )
        for i in changed.tolist()
    )


def standard_errors_of(pairs: Pairs | None) -> tuple[float | None, float | None, int | None]:
    """Standard errors of the mean difference, as fractions; None where there is no such thing.

    Returns:
        Over independent pairs; with whole clusters as the unit; how many clusters there are.
    """
    if pairs is None or pairs.champion is None or len(pairs.candidate) < 2:
        return None, None, None
    differences = pairs.candidate - pairs.champion
    se = standard_error(differences)
    if pairs.clusters is None:
        return se, None, None
    clusters = int(pairs.clusters.max()) + 1
    return se, clustered_standard_error(differences, pairs.clusters) if clusters > 1 else None, clusters


def _bounds(test: MetricTest, main: HypothesisTest | None) -> tuple[float | None, float | None]:
    """Of the difference, with more being better; of the rate as the metric counts it."""
    if main is None:
        return None, None
    if test.comparison is None and test.policy.direction is Direction.LOWER:
        return test.shown(main.interval.upper), test.shown(main.interval.lower)
    return main.interval.lower, main.interval.upper


def _changes(pairs: Pairs | None) -> tuple[int, int]:
    """How many scores are better and worse than the champion's."""
    if pairs is None or pairs.champion is None:
        return 0, 0
    return int(np.sum(pairs.candidate > pairs.champion)), int(np.sum(pairs.candidate < pairs.champion))


def verdict_on(test: MetricTest | ServingTest, adjusted: Sequence[float]) -> Verdict:
    """FAIL, PASS or INCONCLUSIVE, by the rule that `conclude` states."""
    hypotheses = test.hypotheses
    if any(h.worse and p <= test.policy.alpha for h, p in zip(hypotheses, adjusted, strict=True)):
        return Verdict.FAIL
    if test.problem is None and hypotheses and all(h.passed for h in hypotheses):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE


def reference_of(test: MetricTest | ServingTest) -> Literal["champion", "threshold", "none"]:
    """What its main hypothesis is about."""
    if test.comparison is not None:
        return "champion"
    return "threshold" if test.floor is not None else "none"


def _mean(scores: NDArray[np.float64] | None) -> float | None:
    return None if scores is None or len(scores) == 0 else mean_of(scores)
