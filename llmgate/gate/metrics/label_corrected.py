"""A judged metric with people's labels on part of its cases: what is gated is what people would say of all of them.

The judge's error need not cancel in a difference, so a judge's score alone says nothing certain about people's. With
labels on a random part of the cases the estimate is PPI++ (see `stats.corrected`), whatever the judge is worth: one
that says nothing gets no weight, and the labels decide alone. So such a metric needs no trust in its judge.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.decision.wording import count
from llmgate.gate.metrics.intervals import against_margin, against_minimum
from llmgate.stats.clusters.facts import FEW_EFFECTIVE, facts_of
from llmgate.stats.corrected import guarded_weight, ppi_bounded
from llmgate.stats.labelled.stratified import LabelledPart, stratified_bounds
from llmgate.stats.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmgate.gate.evidence.pairing import Pairs
    from llmgate.gate.metrics.metric import HypothesisTest
    from llmgate.record.labels import AnswerLabels
    from llmgate.stats.interval import Interval

__all__ = [
    "FEWEST_CLUSTERS",
    "FEWEST_LABELS",
    "JUDGE_ALONE",
    "compare_corrected",
    "compare_corrected_with_minimum",
    "correction_note",
    "drawing_note",
    "labelled_cases",
    "labels_for",
]

FEWEST_LABELS: Final = 50
"""Bounds hold from 30 labels on: of 45 pairs of real systems (benchmarks/few_labels.py) one-sided 95 % bounds held
people's difference in 94.9 to 96.0 % of draws with 30 to 300 labels. But at 30 they lie 13 points off, at 50 nine."""
FEWEST_CLUSTERS: Final = 30
"""Of clusters with labels; below that, what the labels say of clusters does not carry a second estimate."""

JUDGE_ALONE: Final = "judge score, not human quality"
"""What is said of every judged figure that no label corrects."""


def labelled_cases(pairs: Pairs) -> int:
    """On how many cases people's word is known."""
    return 0 if pairs.human is None else int(np.sum(~np.isnan(pairs.human)))


def compare_corrected(pairs: Pairs, *, margin: float, alpha: float) -> HypothesisTest:
    """Candidate against champion, as people would see it.

    Raises:
        UndefinedError: If there is no champion, or there are too few labels or clusters with labels.
    """
    if pairs.champion is None or pairs.human is None:
        raise UndefinedError("there are no labelled pairs to compare")
    interval = _corrected(pairs, pairs.candidate - pairs.champion, pairs.human, alpha=alpha, floor=-1.0, ceiling=1.0)
    return against_margin(interval, margin)


def compare_corrected_with_minimum(pairs: Pairs, *, minimum: float, alpha: float) -> HypothesisTest:
    """The rate that people would give the candidate, against a minimum.

    Raises:
        UndefinedError: As `compare_corrected`, a champion is not needed.
    """
    own = pairs.human_own
    if own is None:
        raise UndefinedError("people labelled no answer of the candidate")
    excess = _corrected(
        pairs, pairs.candidate - minimum, own - minimum, alpha=alpha, floor=-minimum, ceiling=1.0 - minimum
    )
    # The estimate is unbiased, not bounded: it may step over the ends of the range.
    lower, estimate, upper = (
        min(1.0, max(0.0, bound + minimum)) for bound in (excess.lower, excess.estimate, excess.upper)
    )
    interval = replace(excess, lower=lower, estimate=estimate, upper=upper)
    return against_minimum(excess, interval)


def labels_for(margin: float, *, alpha: float) -> int:
    """Fewest labels with which a loss of `margin` could be excluded at all: if not one of them found a difference.

    With n labels the score bound then is −z²/(n + z²), whatever the judge says.

    Args:
        margin: In (0, 1).
        alpha: One-sided error rate.
    """
    z = ndtri(1.0 - alpha)
    return math.floor(z * z * (1.0 - margin) / margin) + 1


def correction_note(pairs: Pairs, *, margin: float | None = None, alpha: float = 0.05) -> str:
    """How many labels, how far off the judge was on them, and how much of it is left, for the report.

    Args:
        pairs: The cases.
        margin: What has to be excluded, None where nothing is compared.
        alpha: One-sided error rate.
    """
    if pairs.human is None:
        return ""
    judge = pairs.candidate if pairs.champion is None else pairs.candidate - pairs.champion
    known = ~np.isnan(pairs.human)
    labels = int(known.sum())
    if labels < FEWEST_LABELS:
        return ""
    if pairs.stratified:
        return (
            f"People labelled {labels:,} of {count(len(known), 'case')}, drawn by whether the judge finds the sides"
            f" different, and the bounds are about what they would say of all.{_too_few_for(margin, labels, alpha)}"
        )
    weight = guarded_weight(
        judge[known],
        pairs.human[known],
        len(known) - labels,
        floor=-1.0 if pairs.champion is not None else 0.0,
        ceiling=1.0,
    )
    off = 100.0 * (float(np.mean(judge[known])) - float(np.mean(pairs.human[known])))
    return (
        f"People labelled {labels:,} of {count(len(known), 'case')}, and the bounds are about what they would say"
        f" of all. The judge alone is {off:+.1f} points off on the labelled ones, and counts with a weight of"
        f" {weight:.2f}.{_too_few_for(margin, labels, alpha)}"
    )


def _too_few_for(margin: float | None, labels: int, alpha: float) -> str:
    if margin is None or labels >= (needed := labels_for(margin, alpha=alpha)):
        return ""
    return (
        f" So few cannot exclude a loss of {100.0 * margin:g} points, even if people found no difference on any:"
        f" that takes {needed:,} labels at least."
    )


def drawing_note(sheet: AnswerLabels) -> str:
    """By which seed the labelled cases were drawn."""
    chosen = ", which somebody chose" if sheet.drawn_by_choice else ""
    return f"The labelled cases were drawn by seed {sheet.seed}{chosen}; labels sha256:{sheet.digest}."


def _corrected(
    pairs: Pairs,
    judge: NDArray[np.float64],
    human: NDArray[np.float64],
    *,
    alpha: float,
    floor: float,
    ceiling: float,
) -> Interval:
    known = ~np.isnan(human)
    labels = int(known.sum())
    if labels < FEWEST_LABELS:
        raise UndefinedError(
            f"people labelled {count(labels, 'case')}, which are too few to correct a judge: it takes {FEWEST_LABELS}",
            fix="Label more cases",
        )
    clusters = pairs.clusters
    if pairs.stratified:
        return _stratified(pairs, human, known, alpha=alpha, floor=floor, ceiling=ceiling)
    if clusters is not None and (groups := len(np.unique(clusters[known]))) < FEWEST_CLUSTERS:
        raise UndefinedError(
            f"the labelled cases belong to {count(groups, 'cluster')}, which are too few to correct a judge: it takes"
            f" {FEWEST_CLUSTERS}",
            fix="Label cases of more clusters",
        )
    if clusters is not None and (facts := facts_of(clusters[known].tolist(), alpha=alpha)).few:
        raise UndefinedError(
            f"the labelled cases are spread over clusters as unequal as {facts.effective:.1f} equal ones"
            f" ({facts.largest_share:.0%} in one), which are too few to correct a judge: it takes {FEW_EFFECTIVE:g}",
            fix="Label cases of more clusters",
        )
    return ppi_bounded(
        judge[known],
        human[known],
        judge[~known],
        alpha=alpha,
        floor=floor,
        ceiling=ceiling,
        clusters_labelled=None if clusters is None else clusters[known].tolist(),
        clusters_unlabelled=None if clusters is None else clusters[~known].tolist(),
    )


def _stratified(
    pairs: Pairs,
    human: NDArray[np.float64],
    known: NDArray[np.bool_],
    *,
    alpha: float,
    floor: float,
    ceiling: float,
) -> Interval:
    """Where cases were drawn by the judge's difference: people's mean of each part, weighed by its share."""
    if pairs.champion is None or pairs.clusters is not None:
        raise UndefinedError(
            "labels that were drawn by the judge's difference need a champion and cases without clusters",
            fix="Draw anew with `llmgate labels sample`, without --stratify",
        )
    sign = np.sign(pairs.candidate - pairs.champion)
    parts = [
        LabelledPart(values=human[known & (sign == side)], size=int(np.sum(sign == side))) for side in (-1.0, 0.0, 1.0)
    ]
    return stratified_bounds(parts, alpha=alpha, floor=floor, ceiling=ceiling)
