"""How far a judge agrees with people: what both said of the same items becomes figures. Pure.

Whatever the judge gave no verdict on counts as a disagreement, under the label that makes κ smallest for that item, and
raises the κ that is needed by its share of the items, so that silence never pays. Leaving an item out of the labels
altogether cannot be seen here: the record names the labels by their digest and their number.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.errors import UndefinedError
from llmgate.gate.judges.admission import at_least_default
from llmgate.gate.judges.bias import measure_bias
from llmgate.record.judges.admission import (
    DEFAULT_THRESHOLDS,
    AdmissionEvidence,
    AdmissionResults,
    AdmissionThresholds,
    CanaryCount,
    Figure,
    LabelledItem,
    StratumFigure,
)
from llmgate.stats.agreement_intervals import alpha_interval, gwet_interval, kappa_interval
from llmgate.stats.proportion import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from llmgate.stats.interval import Interval

__all__ = ["LABELS", "measure_judge", "settled_label"]

LABELS: Final = {"answers": ("pass", "fail"), "pairs": ("1", "2", "tie")}
"""The words in which people and judges label, by kind."""
_SEED: Final = 0
"""Of the resamples, so that the same evidence always gives the same figures."""
_SHOWN_RESAMPLES: Final = 1_999
"""For figures that decide nothing."""


def measure_judge(
    evidence: AdmissionEvidence, thresholds: AdmissionThresholds = DEFAULT_THRESHOLDS
) -> AdmissionResults:
    """The figures of a judge against people.

    Args:
        evidence: Every item and every canary that was planned, answered or not.
        thresholds: Say how certain bounds have to be, and from how many items a stratum is looked at. Whatever is laxer
            than the defaults counts as the default.

    Raises:
        UndefinedError: If a label is none of `LABELS`.
    """
    _check_labels(evidence)
    thresholds = at_least_default(thresholds)
    alpha = thresholds.alpha
    settled = [(item, label) for item in evidence.items if (label := settled_label(item.votes)) is not None]
    counts = Counter(label for _, label in settled)
    rated = [(item, label, _counted(item.said, label, counts)) for item, label in settled]
    pairs = [(label, answer) for _, label, answer in rated]
    clusters = _clusters([item for item, _ in settled])
    binary = evidence.kind == "answers"
    votes = [item.votes for item in evidence.items if sum(vote is not None for vote in item.votes) > 1]
    return AdmissionResults(
        kind=evidence.kind,
        items=len(evidence.items),
        settled=len(settled),
        labels={label: counts[label] for label in LABELS[evidence.kind]},
        unparseable=sum(item.said is None for item in evidence.items),
        agreement=_rate([label == answer for label, answer in pairs], alpha),
        kappa=_kappa(pairs, clusters, alpha),
        ac1=_figure(
            len(pairs),
            lambda: gwet_interval(pairs, alpha=alpha, clusters=clusters, rng=_rng(), resamples=_SHOWN_RESAMPLES),
        ),
        alpha=_krippendorff(pairs, clusters, alpha),
        people=_krippendorff(votes, None, alpha) if votes else None,
        sensitivity=_rate([answer == "pass" for label, answer in pairs if label == "pass"], alpha) if binary else None,
        specificity=_rate([answer == "fail" for label, answer in pairs if label == "fail"], alpha) if binary else None,
        order=None if binary else _rate([_same_order(item) for item in evidence.items], alpha),
        first_position=None if binary else _first_position(evidence.items),
        repeat=_rate(
            [item.said is not None and again == item.said for item in evidence.items for again in item.again], alpha
        ),
        canaries=_canaries(evidence),
        strata=_strata(rated, thresholds),
        bias=measure_bias(settled, alpha=alpha),
    )


def settled_label(votes: Sequence[str | None]) -> str | None:
    """The label that more people give than any other; None if there is none."""
    ranked = Counter(vote for vote in votes if vote is not None).most_common(2)
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def _check_labels(evidence: AdmissionEvidence) -> None:
    known = LABELS[evidence.kind]
    for item in evidence.items:
        for label in (*item.votes, item.said, *item.again, *(item.orders or ())):
            if label is not None and label not in known:
                raise UndefinedError(f"{item.item}: {label!r} is none of the labels {', '.join(known)}")


def _counted(answer: str | None, label: str, counts: Counter[str]) -> str:
    """What the judge answered; for silence another label than people's, the one that is likeliest by chance."""
    if answer is not None:
        return answer
    others = sorted(set(counts) - {label}, key=lambda other: (-counts[other], other))
    return others[0] if others else "none"


def _clusters(items: Sequence[LabelledItem]) -> list[Hashable] | None:
    """Cluster keys, None where no two items share one."""
    keys: list[Hashable] = [(item.cluster,) if item.cluster is not None else item.item for item in items]
    return keys if len(set(keys)) < len(keys) else None


def _rng() -> np.random.Generator:
    return np.random.default_rng(_SEED)


def _figure(of: int, compute: Callable[[], Interval]) -> Figure:
    try:
        interval = compute()
    except UndefinedError as error:
        return Figure(of=of, method=error.what)
    return Figure(of=of, estimate=interval.estimate, lower=interval.lower, upper=interval.upper, method=interval.method)


def _kappa(pairs: Sequence[tuple[str, str]], clusters: Sequence[Hashable] | None, alpha: float) -> Figure:
    return _figure(len(pairs), lambda: kappa_interval(pairs, alpha=alpha, clusters=clusters, rng=_rng()))


def _krippendorff(ratings: Sequence[Sequence[str | None]], clusters: Sequence[Hashable] | None, alpha: float) -> Figure:
    return _figure(
        len(ratings),
        lambda: alpha_interval(ratings, alpha=alpha, clusters=clusters, rng=_rng(), resamples=_SHOWN_RESAMPLES),
    )


def _rate(hits: Sequence[bool], alpha: float) -> Figure:
    return _figure(len(hits), lambda: clopper_pearson(sum(hits), len(hits), alpha=alpha))


def _same_order(item: LabelledItem) -> bool:
    first, second = item.orders or (None, None)
    return first is not None and first == second


def _first_position(items: Sequence[LabelledItem]) -> float | None:
    orders = (item.orders or (None, None) for item in items)
    calls = [(first == "1") + (second == "2") for first, second in orders]
    return sum(calls) / (2 * len(calls)) if calls else None


def _canaries(evidence: AdmissionEvidence) -> tuple[CanaryCount, ...]:
    names = sorted({trial.canary for trial in evidence.canaries})
    counts = Counter((trial.canary, trial.outcome) for trial in evidence.canaries)
    return tuple(
        CanaryCount(
            canary=name,
            tried=sum(trial.canary == name for trial in evidence.canaries),
            passed=counts[name, "passed"],
            lost=counts[name, "lost"],
        )
        for name in names
    )


def _strata(
    rated: Sequence[tuple[LabelledItem, str, str]], thresholds: AdmissionThresholds
) -> tuple[StratumFigure, ...]:
    """κ of each stratum with enough items; the error rate is shared between them."""
    parts: dict[str, list[tuple[LabelledItem, str, str]]] = {}
    for item, label, answer in rated:
        if item.stratum is not None:
            parts.setdefault(item.stratum, []).append((item, label, answer))
    parts = {name: part for name, part in sorted(parts.items()) if len(part) >= thresholds.per_label}
    return tuple(
        StratumFigure(
            stratum=name,
            kappa=_kappa(
                [(label, answer) for _, label, answer in part],
                _clusters([item for item, _, _ in part]),
                thresholds.alpha / len(parts),
            ),
        )
        for name, part in parts.items()
    )
