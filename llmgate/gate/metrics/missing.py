"""What is missing is counted against the candidate, as badly as it can be: a PASS has to hold all the same.

Never a PASS that the full data would not give: however the missing scores turn out, every hypothesis of the metric
passes, by the method that would then be chosen, and no slice fails. A FAIL is only ever made by what was observed, and
nothing that is missing takes it back. More than the policy's share of missing cases bars a PASS whatever they may be.

There is a proof for right-or-wrong scores, for the t interval and for clusters (see `stats.completions`). Where the
bootstrap might be chosen, where labels correct the scores, for output features, in suites that may stop early, and
where a case is not even listed or may have an assert that must never fail, what is missing bars a PASS.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.decision.wording import count, verb
from llmgate.gate.metrics.intervals import (
    FEW_CASES,
    TOLERATED_SKEW_ERROR,
    compare,
    compare_with_minimum,
)
from llmgate.gate.metrics.slices import SliceCases, compare_slice, slice_p
from llmgate.record.policy import Inference
from llmgate.stats.clusters.subsets import least_groups
from llmgate.stats.completions import Completions
from llmgate.stats.multiplicity import holm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from llmgate.gate.decision.types import Problem
    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.gate.metrics.metric import MetricTest
    from llmgate.record.policy import Policy

__all__ = ["bar_lost_slices", "barred", "count_missing"]

_NO_BOUND = "the method for these scores has no bound for what is missing"
_LOST = "counted against the candidate, it does not pass"


def count_missing(test: MetricTest) -> MetricTest:
    """A metric whose missing scores bar no PASS, if it passes whatever they are; else the same with the reason why not.

    Args:
        test: A metric whose problem is that scores are missing, or that there is nothing to compare with.
    """
    problem, pairs = test.problem, test.pairs
    if (
        test.policy.trait is not None
        or problem is None
        or pairs is None
        or not (pairs.errors.count and test.hypotheses and test.policy.gates)
    ):
        return test
    if (
        pairs.everyone is None
        or pairs.errors.count > test.policy.missing * pairs.expected
        or not all(h.passed for h in test.hypotheses)
    ):
        return test
    why = _in_the_way(test, pairs)
    if why:
        return replace(test, problem=_worded(problem, pairs, f"; {why}"))
    told = f" and {verb(pairs.errors.count, 'is', 'are')} counted against the candidate, which passes even so"
    return replace(test, problem=None, counted=replace(_worded(problem, pairs, told), counted=True))


def barred(test: MetricTest, why: str) -> MetricTest:
    """A metric whose missing scores bar a PASS after all, if it has any.

    Args:
        test: The metric.
        why: To follow a semicolon.
    """
    if test.counted is None or test.pairs is None:
        return test
    problem = replace(_worded(test.counted, test.pairs, f"; {why}"), counted=False)
    return replace(test, counted=None, problem=test.problem or problem)


def bar_lost_slices(tests: Sequence[MetricTest], policy: Policy) -> tuple[MetricTest, ...]:
    """The metrics of a run; what is missing bars a PASS if a slice might fail by it.

    Args:
        tests: The metrics.
        policy: Names the slice fields.
    """
    if not any(test.counted for test in tests) or not _slice_may_fail(tests, policy):
        return tuple(tests)
    return tuple(barred(test, "counted against the candidate, a slice may be lost") for test in tests)


def _worded(problem: Problem, pairs: Pairs, told: str) -> Problem:
    noun = "case" if pairs.champion is None else "pair"
    lost = f"{pairs.errors.count:,} of {count(pairs.expected, noun)} could not be evaluated"
    return replace(problem, what=f"{lost}{told}: {pairs.errors}")


def _in_the_way(test: MetricTest, pairs: Pairs) -> str:
    """Why a metric might not pass if nothing were missing; empty if it passes whatever is missing."""
    if test.policy.inference is Inference.BENCHMARK:
        return "what answers to a missing case would vary by is not known"
    oriented = test.oriented
    everyone = None if oriented is None else oriented.everyone
    if pairs.errors.uncountable or everyone is None:
        return pairs.errors.uncountable or _NO_BOUND
    if test.corrected:
        return _NO_BOUND
    if test.margin is not None:
        ends = differences(everyone)
        why = _compared(everyone, ends, margin=test.margin, alpha=test.policy.alpha)
        if why:
            return why
    if test.policy.floor is not None:
        return _with_minimum(everyone, minimum=test.policy.floor, alpha=test.policy.alpha)
    return ""


def _compared(everyone: Pairs, ends: Completions, *, margin: float, alpha: float) -> str:
    if maybe_simple(everyone) and not compare(at_worst(everyone), margin=margin, alpha=alpha).passed:
        return _LOST
    if maybe_graded(everyone):
        if not surely_student(ends, alpha=alpha):
            return _NO_BOUND
        if not ends.least_lower(alpha=alpha, floor=-1.0) > -margin:
            return _LOST
    return ""


def _with_minimum(everyone: Pairs, *, minimum: float, alpha: float) -> str:
    if maybe_simple(everyone) and not compare_with_minimum(at_worst(everyone), minimum=minimum, alpha=alpha).passed:
        return _LOST
    if maybe_graded(everyone):
        low, high = _ends(everyone.candidate)
        ends = Completions(lowest=low - minimum, highest=high - minimum, clusters=everyone.clusters)
        if not surely_student(ends, alpha=alpha):
            return _NO_BOUND
        if not ends.least_lower(alpha=alpha, floor=-minimum) >= 0.0:
            return _LOST
    return ""


def at_worst(everyone: Pairs) -> Pairs:
    """All cases, with missing scores wrong for the candidate and right for the champion."""
    champion = everyone.champion
    return replace(
        everyone,
        candidate=_ends(everyone.candidate)[0],
        champion=None if champion is None else _ends(champion)[1],
    )


def maybe_simple(everyone: Pairs) -> bool:
    """Whether the missing scores may be such that exact methods for rates would be chosen."""
    return at_worst(everyone).simple


def maybe_graded(everyone: Pairs) -> bool:
    """Whether they may be such that methods for graded scores would be."""
    return not (everyone.right_or_wrong and maybe_simple(everyone))


def differences(everyone: Pairs) -> Completions:
    """Between which ends each difference lies, candidate − champion."""
    low, high = _ends(everyone.candidate)
    theirs = (np.zeros(1), np.zeros(1)) if everyone.champion is None else _ends(everyone.champion)
    return Completions(lowest=low - theirs[1], highest=high - theirs[0], clusters=everyone.clusters)


def surely_student(ends: Completions, *, alpha: float) -> bool:
    """Whether `compare` takes the interval of t, or that of clusters, however the missing scores turn out."""
    if ends.clusters is not None:
        return ends.decidable(alpha=alpha)
    return len(ends.lowest) >= FEW_CASES and ends.most_skew_error(alpha=alpha) <= TOLERATED_SKEW_ERROR * alpha


def _ends(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.where(np.isnan(scores), 0.0, scores), np.where(np.isnan(scores), 1.0, scores)


def _slice_may_fail(tests: Sequence[MetricTest], policy: Policy) -> bool:
    """Whether a slice might be lost however the missing scores turn out, slices that are now too small included."""
    found = list(_slices(tests, policy))
    adjusted = holm([p for _, p in found])
    return any(fails and p <= policy.slice_alpha for (fails, _), p in zip(found, adjusted, strict=True))


def _slices(tests: Sequence[MetricTest], policy: Policy) -> Iterator[tuple[bool, float]]:
    """Of every slice that would be tested if nothing were missing: may it fail, and its least p-value."""
    parts = SliceCases()
    for test in tests:
        if not test.policy.gates or test.comparison is None:
            continue
        oriented = test.oriented
        whole = oriented if oriented is None or oriented.everyone is None else oriented.everyone
        for field in policy.slices:
            if field.suite != test.policy.suite:
                continue
            for _, pairs in parts.within(test, whole, field):
                if incomplete(pairs):
                    yield from _incomplete_slice(test, pairs)
                elif hypothesis := compare_slice(test, pairs):
                    lost = not hypothesis.passed and hypothesis.interval.estimate < 0.0
                    yield lost, slice_p(pairs, hypothesis)


def incomplete(pairs: Pairs) -> bool:
    """Whether a score is missing."""
    sides = (pairs.candidate,) if pairs.champion is None else (pairs.candidate, pairs.champion)
    return any(bool(np.any(np.isnan(side))) for side in sides)


def _incomplete_slice(test: MetricTest, pairs: Pairs) -> Iterator[tuple[bool, float]]:
    margin, alpha = test.margin, test.level
    ends, least = differences(pairs), list[float]()
    if margin is None or (pairs.clusters is not None and ends.groups < least_groups(alpha)):
        return  # So few clusters decide nothing, so it would not be tested.
    lost = ends.least_mean < 0.0 and bool(_compared(pairs, ends, margin=margin, alpha=alpha))
    if maybe_simple(pairs):
        worst = at_worst(pairs)
        try:
            least.append(slice_p(worst, compare(worst, margin=margin, alpha=alpha)))
        except UndefinedError:
            return
    if maybe_graded(pairs):
        least.append(ends.least_p(ceiling=1.0, student=surely_student(ends, alpha=alpha)))
    yield lost, min(least)
