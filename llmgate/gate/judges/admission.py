"""May this judge gate? The figures of its agreement with people against the thresholds. Pure.

A judge is admitted if the lower bounds of its agreement, of the consistency of both orders and of its repeated answers
reach the thresholds, it caught every canary, and there are enough labels of each kind. A point estimate admits nothing.

κ decides and AC1 does not: at four passes to one fail a judge that lets everything pass has an AC1 of 0.76 and a κ of
0. κ in turn is low where one label is rare, which is why a number of each label is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.record.judges.admission import DEFAULT_THRESHOLDS, AdmissionThresholds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.record.judges.admission import AdmissionResults, CanaryCount, Figure

__all__ = ["at_least_default", "refusals"]

_NEEDED: Final = {"answers": ("pass", "fail"), "pairs": ("1", "2")}
"""The labels of which there must be enough; people need not find ties."""


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
        f"in the stratum {part.stratum!r} κ is at most {part.kappa.upper:.2f}, below {wanted.kappa:.2f}"
        for part in results.strata
        if part.kappa.upper is not None and part.kappa.upper < wanted.kappa
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
    tried = sum(canary.tried for canary in counts)
    passed, lost = sum(canary.passed for canary in counts), sum(canary.lost for canary in counts)
    if not tried:
        yield "no canary was tried"
    if passed:
        names = ", ".join(canary.canary for canary in counts if canary.passed)
        yield f"the judge let {passed:,} of {tried:,} canaries pass ({names})"
    if lost:
        names = ", ".join(canary.canary for canary in counts if canary.lost)
        yield f"the judge gave no verdict on {lost:,} of {tried:,} canaries ({names})"
