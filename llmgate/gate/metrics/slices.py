"""Parts of the cases, compared one by one: a loss in a slice fails the candidate, a gain in one proves nothing.

Every value of every slice field is tested against "not worse" on every gating metric; as for a metric, a loss that is
proven to be within the margin is no FAIL. The p-values are adjusted by Holm over all slices of the run, after and apart
from those of the metrics: looking into slices makes an unchanged model FAIL in at most `slice_alpha` of runs more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.decision.types import SliceDecision
from llmgate.gate.metrics.intervals import compare
from llmgate.gate.metrics.label_corrected import compare_corrected
from llmgate.record.output_features import OutputFeature
from llmgate.stats.multiplicity import holm
from llmgate.stats.proportion import p_below
from llmgate.stats.sums import mean_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.gate.metrics.metric import HypothesisTest, MetricTest
    from llmgate.record.policy import Policy, SlicePolicy
    from llmgate.record.scores import Labels

__all__ = ["SliceCases", "compare_slice", "decide_slices", "slice_p"]


def decide_slices(tests: Sequence[MetricTest], policy: Policy) -> tuple[SliceDecision, ...]:
    """Test every slice of every gating metric that was compared with a champion.

    Args:
        tests: The metrics.
        policy: Names the slice fields.

    Returns:
        One entry per metric, field and value with enough cases, in that order. A slice whose cases belong to too few
        clusters to decide anything is left out; so is, of a metric that labels correct, one with too few labels.
    """
    parts = SliceCases()
    tested = [
        (test, field, value, pairs, hypothesis)
        for test in tests
        if test.policy.gates and test.comparison is not None
        for field in policy.slices
        if field.suite == test.policy.suite
        for value, pairs, hypothesis in _tested(test, field, parts)
    ]
    adjusted = holm([slice_p(pairs, hypothesis) for _, _, _, pairs, hypothesis in tested])
    return tuple(
        SliceDecision(
            suite=test.policy.suite,
            metric=test.policy.metric,
            field=field.field,
            value=value,
            cases=len(pairs.item_ids),
            candidate=test.shown(mean_of(pairs.candidate)),
            champion=test.shown(mean_of(pairs.champion)) if pairs.champion is not None else 0.0,
            delta=hypothesis.interval.estimate,
            lower=hypothesis.interval.lower,
            upper=hypothesis.interval.upper,
            method=hypothesis.interval.method,
            p_worse=p,
            failed=not hypothesis.passed and hypothesis.interval.estimate < 0.0 and p <= policy.slice_alpha,
        )
        for (test, field, value, pairs, hypothesis), p in zip(tested, adjusted, strict=True)
    )


class SliceCases:
    """Which cases have which value, remembered for the metrics that share their cases."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Labels, tuple[tuple[str, NDArray[np.int64]], ...]]] = {}

    def of(self, labels: Labels) -> tuple[tuple[str, NDArray[np.int64]], ...]:
        """Each value, sorted, with the indices of its cases."""
        if id(labels) not in self._known:
            order = np.argsort(labels.codes, kind="stable")
            bounds = np.searchsorted(labels.codes[order], np.arange(len(labels.names) + 1))
            values = sorted(range(len(labels.names)), key=labels.names.__getitem__)
            parts = tuple((labels.names[code], order[bounds[code] : bounds[code + 1]]) for code in values)
            # The labels are kept as well, so that their identity cannot be given to others.
            self._known[id(labels)] = (labels, parts)
        return self._known[id(labels)][1]

    def within(self, test: MetricTest, oriented: Pairs | None, field: SlicePolicy) -> Iterator[tuple[str, Pairs]]:
        """Each value of a field with its cases, where there are enough of them.

        Args:
            test: The metric.
            oriented: Its cases, or some of them, turned so that more is better.
            field: The slice field.
        """
        labels = None if oriented is None else oriented.slices.get(field.field)
        if oriented is None or labels is None or test.policy.trait is OutputFeature.LENGTH:
            return  # Neither longer nor shorter is a loss.
        bare = (
            replace(oriented, slices={}) if test.corrected else replace(oriented, slices={}, human=None, human_own=None)
        )
        for value, indices in self.of(labels):
            if len(indices) >= field.min_cases:
                yield value, bare.at(indices)


def _tested(test: MetricTest, field: SlicePolicy, parts: SliceCases) -> Iterator[tuple[str, Pairs, HypothesisTest]]:
    for value, pairs in parts.within(test, test.oriented, field):
        hypothesis = compare_slice(test, pairs)
        if hypothesis is not None:
            yield value, pairs, hypothesis


def compare_slice(test: MetricTest, pairs: Pairs) -> HypothesisTest | None:
    """A metric's comparison within a slice, None if it has too few clusters or labels to tell."""
    if test.margin is None:
        return None
    run = compare_corrected if test.corrected else compare
    try:
        return run(pairs, margin=test.margin, alpha=test.policy.alpha)
    except UndefinedError:
        return None


def slice_p(pairs: Pairs, hypothesis: HypothesisTest) -> float:
    """Far in the tail, where many slices are adjusted for, the normal approximation claims too much: exact McNemar."""
    p = hypothesis.p
    if pairs.simple and pairs.champion is not None and pairs.human is None:
        better, worse = int(np.sum(pairs.candidate > pairs.champion)), int(np.sum(pairs.candidate < pairs.champion))
        if better + worse:
            p = max(p, p_below(better, better + worse, rate=0.5))
    return p
