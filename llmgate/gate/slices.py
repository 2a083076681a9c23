"""Parts of the cases, compared one by one: a loss in a slice fails the candidate, a gain in one proves nothing.

Every value of every slice field is tested against "not worse" on every gating metric; as for a metric, a loss that is
proven to be within the margin is no FAIL. The p-values are adjusted by Holm over all slices of the run, after and apart
from those of the metrics: looking into slices makes an unchanged model FAIL in at most `slice_alpha` of runs more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.decision import SliceDecision
from llmgate.gate.estimate import compare
from llmgate.stats.multiplicity import holm
from llmgate.stats.proportion import p_below
from llmgate.stats.sums import mean_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.estimate import Finding
    from llmgate.gate.measure import Measured
    from llmgate.gate.pairing import Pairs
    from llmgate.record.policy import Policy, SlicePolicy

__all__ = ["decide_slices"]


def decide_slices(measured: Sequence[Measured], policy: Policy) -> tuple[SliceDecision, ...]:
    """Test every slice of every gating metric that was compared with a champion.

    Args:
        measured: The metrics.
        policy: Names the slice fields.

    Returns:
        One entry per metric, field and value with enough cases, in that order. A slice whose cases all belong to one
        cluster has no known spread and is left out.
    """
    tested = [
        (one, field, value, pairs, finding)
        for one in measured
        if one.policy.gates and one.comparison is not None
        for field in policy.slices
        if field.suite == one.policy.suite
        for value, pairs, finding in _tested(one, field)
    ]
    adjusted = holm([_p(pairs, finding) for _, _, _, pairs, finding in tested])
    return tuple(
        SliceDecision(
            suite=one.policy.suite,
            metric=one.policy.metric,
            field=field.field,
            value=value,
            cases=len(pairs.item_ids),
            candidate=one.shown(mean_of(pairs.candidate)),
            champion=one.shown(mean_of(pairs.champion)) if pairs.champion is not None else 0.0,
            delta=finding.interval.estimate,
            lower=finding.interval.lower,
            upper=finding.interval.upper,
            method=finding.interval.method,
            p_worse=p,
            failed=not finding.passed and finding.interval.estimate < 0.0 and p <= policy.slice_alpha,
        )
        for (one, field, value, pairs, finding), p in zip(tested, adjusted, strict=True)
    )


def _tested(one: Measured, field: SlicePolicy) -> Iterator[tuple[str, Pairs, Finding]]:
    oriented = one.oriented
    labels = None if oriented is None else oriented.slices.get(field.field)
    if oriented is None or labels is None or one.margin is None:
        return
    sizes = np.bincount(labels.codes[labels.codes >= 0], minlength=len(labels.names))
    for value in sorted(labels.names):
        code = labels.names.index(value)
        if sizes[code] < field.min_cases:
            continue
        pairs = oriented.where(labels.codes == code)
        try:
            yield value, pairs, compare(pairs, margin=one.margin, alpha=one.policy.alpha)
        except UndefinedError:
            continue


def _p(pairs: Pairs, finding: Finding) -> float:
    """Far in the tail, where many slices are adjusted for, the normal approximation claims too much: exact McNemar."""
    p = finding.p
    if pairs.simple and pairs.champion is not None:
        better, worse = int(np.sum(pairs.candidate > pairs.champion)), int(np.sum(pairs.candidate < pairs.champion))
        if better + worse:
            p = max(p, p_below(better, better + worse, rate=0.5))
    return p
