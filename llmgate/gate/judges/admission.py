"""May this judge gate? What people and the judge said of the same items becomes figures, and figures an answer. Pure.

A judge is admitted if the lower bounds of its agreement, of the consistency of both orders and of its repeated answers
reach the thresholds, it caught every canary, and there are enough labels of each kind. A point estimate admits nothing.

κ decides and AC1 does not: at four passes to one fail a judge that lets everything pass has an AC1 of 0.76 and a κ of
0. κ in turn is low where one label is rare, which is why a number of each label is asked for.

Whatever the judge gave no verdict on counts as a disagreement, under the label that makes κ smallest for that item, and
raises the κ that is needed by its share of the items, so that silence never pays. Leaving an item out of the labels
altogether cannot be seen here: the record names the labels by their digest and their number.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from llmgate.errors import UndefinedError
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
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from llmgate.stats.interval import Interval

__all__ = ["LABELS", "at_least_default", "measure_judge", "refusals", "settled_label"]

LABELS: Final = {"answers": ("pass", "fail"), "pairs": ("1", "2", "tie")}
"""The words in which people and judges label, by kind."""
_NEEDED: Final = {"answers": ("pass", "fail"), "pairs": ("1", "2")}
"""The labels of which there must be enough; people need not find ties."""
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
    pairs = [(label, said) for _, label, said in rated]
    clusters = _clusters([item for item, _ in settled])
    binary = evidence.kind == "answers"
    votes = [item.votes for item in evidence.items if sum(vote is not None for vote in item.votes) > 1]
    return AdmissionResults(
        kind=evidence.kind,
        items=len(evidence.items),
        settled=len(settled),
        labels={label: counts[label] for label in LABELS[evidence.kind]},
        unparseable=sum(item.said is None for item in evidence.items),
        agreement=_rate([label == said for label, said in pairs], alpha),
        kappa=_kappa(pairs, clusters, alpha),
        ac1=_figure(
            len(pairs),
            lambda: gwet_interval(pairs, alpha=alpha, clusters=clusters, rng=_rng(), resamples=_SHOWN_RESAMPLES),
        ),
        alpha=_krippendorff(pairs, clusters, alpha),
        people=_krippendorff(votes, None, alpha) if votes else None,
        sensitivity=_rate([said == "pass" for label, said in pairs if label == "pass"], alpha) if binary else None,
        specificity=_rate([said == "fail" for label, said in pairs if label == "fail"], alpha) if binary else None,
        order=None if binary else _rate([_same_order(item) for item in evidence.items], alpha),
        first_position=None if binary else _first_position(evidence.items),
        repeat=_rate(
            [item.said is not None and again == item.said for item in evidence.items for again in item.again], alpha
        ),
        canaries=_canaries(evidence),
        strata=_strata(rated, thresholds),
    )


def refusals(results: AdmissionResults, thresholds: AdmissionThresholds = DEFAULT_THRESHOLDS) -> tuple[str, ...]:
    """Why a judge with these figures may not gate; empty if it may.

    Args:
        results: The figures.
        thresholds: What has to be reached. Whatever is laxer than the defaults counts as the default.
    """
    wanted = at_least_default(thresholds)
    silent = results.unparseable / results.items if results.items else 1.0
    # The bound hangs on the variance too, which a wrong word can make larger than silence does: without this, a wrong
    # verdict on a pair that was lost instead could raise it, by up to 0.002 at 150 items.
    kappa = _unreached("κ between judge and people", results.kappa, wanted.kappa + silent)
    reasons = [*_too_little(results, wanted), *kappa]
    if results.kind == "pairs":
        reasons += _unreached("the share of pairs on which both orders agree", results.order, wanted.order)
    reasons += _unreached("the share of repeated questions answered alike", results.repeat, wanted.repeat)
    if not silent <= wanted.unparseable:
        reasons.append(
            f"the judge gave no verdict on {results.unparseable:,} of {results.items:,} items; at most"
            f" {wanted.unparseable:.0%} are accepted"
        )
    reasons += _canary_reasons(results.canaries)
    reasons += [
        f"in the stratum {one.stratum!r} κ is at most {one.kappa.upper:.2f}, below {wanted.kappa:.2f}"
        for one in results.strata
        if one.kappa.upper is not None and one.kappa.upper < wanted.kappa
    ]
    return tuple(reasons)


def at_least_default(thresholds: AdmissionThresholds) -> AdmissionThresholds:
    """The thresholds, of which those that are laxer than the defaults are replaced by them."""
    default = DEFAULT_THRESHOLDS
    return AdmissionThresholds(
        items=max(thresholds.items, default.items),
        per_label=max(thresholds.per_label, default.per_label),
        kappa=max(thresholds.kappa, default.kappa),
        order=max(thresholds.order, default.order),
        repeat=max(thresholds.repeat, default.repeat),
        unparseable=min(thresholds.unparseable, default.unparseable),
        unsettled=min(thresholds.unsettled, default.unsettled),
        alpha=min(thresholds.alpha, default.alpha),
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


def _counted(said: str | None, label: str, counts: Counter[str]) -> str:
    """What the judge said; for silence another label than people's, the one that is likeliest by chance."""
    if said is not None:
        return said
    others = sorted(set(counts) - {label}, key=lambda other: (-counts[other], other))
    return others[0] if others else "none"


def _clusters(items: Sequence[LabelledItem]) -> list[Hashable] | None:
    """Cluster keys, None where no two items share one."""
    keys: list[Hashable] = [(item.cluster,) if item.cluster is not None else item.item for item in items]
    return keys if len(set(keys)) < len(keys) else None


def _rng() -> np.random.Generator:
    return np.random.default_rng(_SEED)


def _figure(of: int, measured: Callable[[], Interval]) -> Figure:
    try:
        found = measured()
    except UndefinedError as error:
        return Figure(of=of, method=error.what)
    return Figure(of=of, estimate=found.estimate, lower=found.lower, upper=found.upper, method=found.method)


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
    one, two = item.orders or (None, None)
    return one is not None and one == two


def _first_position(items: Sequence[LabelledItem]) -> float | None:
    calls = [(one == "1") + (two == "2") for one, two in (item.orders or (None, None) for item in items)]
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
    for one in rated:
        if one[0].stratum is not None:
            parts.setdefault(one[0].stratum, []).append(one)
    parts = {name: part for name, part in sorted(parts.items()) if len(part) >= thresholds.per_label}
    return tuple(
        StratumFigure(
            stratum=name,
            kappa=_kappa(
                [(label, said) for _, label, said in part],
                _clusters([item for item, _, _ in part]),
                thresholds.alpha / len(parts),
            ),
        )
        for name, part in parts.items()
    )


def _too_little(results: AdmissionResults, wanted: AdmissionThresholds) -> Iterable[str]:
    if results.settled < wanted.items:
        yield f"{results.settled:,} items have a label that people agree on; at least {wanted.items:,} are needed"
    for label in _NEEDED[results.kind]:
        if results.labels.get(label, 0) < wanted.per_label:
            yield (
                f"people label {results.labels.get(label, 0):,} items {label!r}; at least {wanted.per_label:,} are"
                " needed, so choose items that are stratified by label"
            )
    open_ = 1.0 - results.settled / results.items if results.items else 0.0
    if not open_ <= wanted.unsettled:
        yield (
            f"people do not come to a majority on {results.items - results.settled:,} of {results.items:,} items; at"
            f" most {wanted.unsettled:.0%} are accepted"
        )


def _unreached(what: str, figure: Figure | None, wanted: float) -> Iterable[str]:
    """Pass if proven: a bound that does not exist reaches nothing."""
    if figure is None or figure.lower is None:
        yield f"{what} is not known: {'it was not measured' if figure is None else figure.method}"
    elif not figure.lower >= wanted:
        yield (
            f"{what} is only known to be at least {figure.lower:.2f} (estimate {figure.estimate:.2f},"
            f" {figure.of:,} times); {wanted:.2f} is needed"
        )


def _canary_reasons(counts: Sequence[CanaryCount]) -> Iterable[str]:
    tried = sum(one.tried for one in counts)
    passed, lost = sum(one.passed for one in counts), sum(one.lost for one in counts)
    if not tried:
        yield "no canary was tried"
    if passed:
        names = ", ".join(one.canary for one in counts if one.passed)
        yield f"the judge let {passed:,} of {tried:,} canaries pass ({names})"
    if lost:
        names = ", ".join(one.canary for one in counts if one.lost)
        yield f"the judge gave no verdict on {lost:,} of {tried:,} canaries ({names})"
