"""How a judge's error differs between systems and kinds of answers, with bounds that hold for all of them together.

With e = judge's score − people's on one answer, the bias of a system is the mean of its e, and that of a difference of
two systems the difference of theirs: a judge that misses a tenth of everybody's right answers moves no comparison, one
that misses a third of the long ones decides for whoever is brief. κ sees both alike. Pure.

The bound is that of `stats.labelled.residual` on sums over questions (clusters, where there are), each e weighed by
one over the answers of its system; the error rate is shared among all pairs of systems and both sides (Bonferroni). An
answer without a verdict has the e that makes the bound widest. A judge that never errs is as little known to be
unbiased as its labels are many.

What it cannot say: how the judge will take to a system that is not like those in the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from llmgate.record.judges.admission import BiasFigures, Figure, LabelledItem, PairBias, SystemBias, TraitBias
from llmgate.stats.labelled.residual import Residuals, score_bounds

if TYPE_CHECKING:
    from llmgate.stats.interval import Interval

__all__ = ["MOST_SYSTEMS", "measure_bias"]

MOST_SYSTEMS: Final = 60
"""More pairs than these have are not compared one by one."""
FEWEST_OF_A_KIND: Final = 30
"""Answers of a kind, and of the others, from which on their errors are compared."""
POINTS: Final = {"pass": 1.0, "fail": 0.0, "1": 0.0, "tie": 0.5, "2": 1.0}
"""Of a single answer its score, of a pair the share that the second one wins."""
METHOD: Final = "score bounds of sums over questions, for all together"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgeErrors:
    """Items with what is known of the judge's error on each.

    Attributes:
        items: n items.
        people: Shape (n,): people's points.
        low: Shape (n,): the least that the error may be.
        high: Shape (n,): the most; another one only where there is no verdict.
        groups: Shape (n,): the question or cluster.
    """

    items: Sequence[LabelledItem]
    people: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    groups: NDArray[np.int64]

    def contrast(self, plus: NDArray[np.bool_], minus: NDArray[np.bool_], *, alpha: float) -> Interval:
        """Mean error of some items less that of others (less nothing, where there are no others), with both bounds."""
        weight = plus / max(1, int(plus.sum())) - minus / max(1, int(minus.sum()))
        return weighed(self, weight, alpha=alpha, two_systems=True)


def measure_bias(rated: Sequence[tuple[LabelledItem, str]], *, alpha: float) -> BiasFigures:
    """The figures.

    Args:
        rated: Items on which people agree, with their label.
        alpha: Error rate of each figure: that any of its bounds, over all pairs of systems, does not hold.
    """
    paired = any(item.orders is not None for item, _ in rated)
    traits = trait_biases(errors_of(rated), paired=paired, alpha=alpha)
    why = unknown(rated, paired=paired)
    if why:
        return BiasFigures(unknown=why, traits=traits)
    errors = errors_of(rated)
    return (of_pairs if paired else of_answers)(errors, alpha, traits)


def unknown(rated: Sequence[tuple[LabelledItem, str]], *, paired: bool) -> str:
    """Why nothing can be said about differences between systems."""
    named = {system for item, _ in rated for system in item.systems}
    missing = sum(not item.systems for item, _ in rated)
    if not named:
        return "the labels do not say which system gave which answer"
    if missing:
        return f"{missing:,} of {len(rated):,} labelled items do not say which system gave the answer"
    if not paired and len(named) == 1:
        return f"all labelled answers are of one system, {next(iter(named))!r}"
    if len(named) > MOST_SYSTEMS:
        return f"the labelled answers are of {len(named):,} systems, and more than {MOST_SYSTEMS} are not compared"
    return ""


def errors_of(rated: Sequence[tuple[LabelledItem, str]]) -> JudgeErrors:
    """What is known of the judge's errors."""
    people = np.array([POINTS[label] for _, label in rated])
    said = np.array([np.nan if item.said is None else POINTS[item.said] for item, _ in rated])
    silent = np.isnan(said)
    numbers: dict[tuple[str, str], int] = {}
    keys = [group_of(item) for item, _ in rated]
    return JudgeErrors(
        items=[item for item, _ in rated],
        people=people,
        low=np.where(silent, 0.0, said) - people,
        high=np.where(silent, 1.0, said) - people,
        groups=np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64),
    )


def group_of(item: LabelledItem) -> tuple[str, str]:
    """What is independent of all others: the cluster, else the question, else the item."""
    if item.cluster is not None:
        return ("cluster", item.cluster)
    return ("case", item.case) if item.case is not None else ("item", item.item)


def weighed(errors: JudgeErrors, weight: NDArray[np.float64], *, alpha: float, two_systems: bool = False) -> Interval:
    """Σ weight·e with one-sided bounds: sums over groups are independent, and G times one of them averages to it.

    Args:
        errors: The judge's errors.
        weight: Shape (n,).
        alpha: One-sided error rate.
        two_systems: Whether weights of either sign belong to one system each. The worst group that nobody saw then has
            all answers of one of them judged wrongly, rather than those of both, in opposite ways.
    """
    used = weight != 0.0
    _, group = np.unique(errors.groups[used], return_inverse=True)
    count = int(group.max()) + 1 if used.any() else 0
    w = weight[used]
    reach = max(
        count * float(np.bincount(group, weights=np.abs(part), minlength=count).max(initial=0.0))
        for part in ((np.maximum(w, 0.0), np.minimum(w, 0.0)) if two_systems else (w,))
    )
    low, high = (np.where(w > 0.0, *ends) for ends in (ordered(errors, used), ordered(errors, used)[::-1]))
    sums = [count * np.bincount(group, weights=w * e, minlength=count).astype(np.float64) for e in (low, high)]
    widest = max([reach, *(float(np.abs(found).max(initial=0.0)) for found in sums)])
    found = [
        score_bounds(Residuals(values=values, lowest=-widest, highest=widest), alpha=alpha, method=METHOD)
        for values in (sums if np.any(sums[0] != sums[1]) else sums[:1])
    ]
    return found[0].widened(lower=found[-1].lower, upper=found[-1].upper, p_negative=None)


def ordered(errors: JudgeErrors, used: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the largest error of each item that counts."""
    return errors.low[used], errors.high[used]


def figure(interval: Interval, of: int) -> Figure:
    """As a record has it."""
    return Figure(of=of, estimate=interval.estimate, lower=interval.lower, upper=interval.upper, method=interval.method)


def bound(interval: Interval) -> float:
    """Of the absolute value."""
    return min(1.0, max(abs(interval.lower), abs(interval.upper)))


def of_answers(errors: JudgeErrors, alpha: float, traits: tuple[TraitBias, ...]) -> BiasFigures:
    """Where people labelled single answers."""
    names = sorted({item.systems[0] for item in errors.items})
    whose = np.array([names.index(item.systems[0]) for item in errors.items])
    own = [whose == i for i in range(len(names))]
    nobody = np.zeros(len(whose), dtype=np.bool_)
    alone = alpha / (2 * len(names))
    singles = [errors.contrast(mine, nobody, alpha=alone) for mine in own]
    pairs = list(combinations(range(len(names)), 2))
    each = alpha / (2 * len(pairs))
    found = {(i, j): errors.contrast(own[j], own[i], alpha=each) for i, j in pairs}
    (i, j), worst = max(found.items(), key=lambda pair: bound(pair[1]))
    people = float(errors.people[own[j]].mean() - errors.people[own[i]].mean())
    return BiasFigures(
        systems=tuple(
            SystemBias(system=name, bias=figure(single, int(mine.sum())))
            for name, single, mine in zip(names, singles, own, strict=True)
        ),
        worst=PairBias(
            systems=(names[i], names[j]),
            people=people,
            judge=people + worst.estimate,
            bias=figure(worst, int(own[i].sum() + own[j].sum())),
        ),
        difference=bound(worst),
        rate=max(bound(single) for single in singles),
        traits=traits,
    )


def of_pairs(errors: JudgeErrors, alpha: float, traits: tuple[TraitBias, ...]) -> BiasFigures:
    """Where people compared two answers: the bias of the share that one system wins against another."""
    pairs = sorted({tuple(sorted(item.systems)) for item in errors.items})
    each = alpha / (2 * len(pairs))
    found = {}
    for one, other in pairs:
        turned = np.array(
            [
                0.0 if set(item.systems) != {one, other} else 1.0 if item.systems[1] == other else -1.0
                for item in errors.items
            ]
        )
        of = int(np.abs(turned).sum())
        won = float(np.where(turned > 0, errors.people, 1.0 - errors.people)[turned != 0].mean())
        found[one, other] = (weighed(errors, turned / of, alpha=each), of, won)
    names, (worst, of, won) = max(found.items(), key=lambda pair: bound(pair[1][0]))
    rate = bound(worst)
    return BiasFigures(
        worst=PairBias(systems=names, people=won, judge=won + worst.estimate, bias=figure(worst, of)),
        difference=min(1.0, 2.0 * rate),
        rate=rate,
        traits=traits,
    )


def trait_biases(errors: JudgeErrors, *, paired: bool, alpha: float) -> tuple[TraitBias, ...]:
    """JudgeErrors by kind of answer, of kinds with enough of them."""
    contrasts = dict(paired_contrasts(errors) if paired else contrasts_of(errors))
    return tuple(
        TraitBias(
            trait=trait,
            bias=figure(weighed(errors, weight, alpha=alpha / (2 * len(contrasts))), int(np.sum(weight != 0.0))),
        )
        for trait, weight in contrasts.items()
    )


def contrasts_of(errors: JudgeErrors) -> Sequence[tuple[str, NDArray[np.float64]]]:
    """Of single answers: the longer half, and those that are laid out, against the others."""
    if not all(item.lengths and item.styled for item in errors.items) or not errors.items:
        return []
    lengths = np.array([item.lengths[0] for item in errors.items])
    kinds = {"length": lengths > np.median(lengths), "layout": np.array([item.styled[0] for item in errors.items])}
    return [
        (trait, having / having.sum() - ~having / (~having).sum())
        for trait, having in kinds.items()
        if min(having.sum(), (~having).sum()) >= FEWEST_OF_A_KIND
    ]


def paired_contrasts(errors: JudgeErrors) -> Sequence[tuple[str, NDArray[np.float64]]]:
    """Of pairs: how much more often than people the judge takes the longer one, and the one that is laid out."""
    if not all(len(item.lengths) == len(item.styled) == 2 for item in errors.items):
        return []
    longer = np.array([np.sign(item.lengths[1] - item.lengths[0]) for item in errors.items], dtype=np.float64)
    styled = np.array([float(item.styled[1]) - float(item.styled[0]) for item in errors.items])
    return [
        (trait, sign / np.abs(sign).sum())
        for trait, sign in (("length", longer), ("layout", styled))
        if np.abs(sign).sum() >= FEWEST_OF_A_KIND
    ]
