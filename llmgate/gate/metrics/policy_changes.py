"""Was a candidate judged by less than the champion was? Names every way in which the new policy asks for less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.gate.metrics.tests import default_margin
from llmgate.record.policy import Binding, Inference, OnInconclusive, Unadmitted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.manifest import Manifest
    from llmgate.record.policy import MetricPolicy
    from llmgate.record.serving.policy import ServingPolicy

__all__ = ["weaker_than"]

STRICTNESS: Final = (Unadmitted.ALLOW, Unadmitted.LABELS, Unadmitted.REFUSE)


def weaker_than(champion: Manifest, candidate: Manifest) -> tuple[str, ...]:
    """What the candidate's policy asks less for than the champion's, one clause each; empty if nothing.

    What cannot be ordered, such as other questions or another direction, counts as less: somebody has to look at it.

    Args:
        champion: The manifest of the run that earned the champion its place.
        candidate: The manifest of the run that is to take it over.
    """
    return (
        *_suites(champion, candidate),
        *_metrics(champion, candidate),
        *_serving(champion, candidate),
        *_slices(champion, candidate),
        *_whole(champion, candidate),
    )


def _suites(champion: Manifest, candidate: Manifest) -> Iterator[str]:
    suites = {suite.name: suite for suite in candidate.suites}
    for before in champion.suites:
        after = suites.get(before.name)
        if after is None:
            yield f"{before.name}: the suite is gone"
        elif after.cases < before.cases:
            yield f"{before.name}: {before.cases} → {after.cases} cases"
        elif after.digest != before.digest:
            versions = "" if after.version == before.version else f" (version {before.version} → {after.version})"
            yield f"{before.name}: the suite asks or asserts something else{versions}"


def _metrics(champion: Manifest, candidate: Manifest) -> Iterator[str]:
    metrics = {(metric.suite, metric.metric): metric for metric in candidate.policy.metrics}
    suites = {suite.name for suite in candidate.suites}
    cases = {suite.name: suite.cases for suite in champion.suites}
    for before in champion.policy.metrics:
        after = metrics.get((before.suite, before.metric))
        if not before.gates or (after is None and before.suite not in suites):
            continue
        if after is None:
            yield f"{before.where}: the metric is gone"
        elif not after.gates:
            yield f"{before.where}: {before.role} → {after.role}"
        else:
            default, _ = default_margin(cases.get(before.suite, 0))
            yield from (f"{before.where}: {change}" for change in _metric(before, after, default))


def _serving(champion: Manifest, candidate: Manifest) -> Iterator[str]:
    """How many pairs of runs there are is no matter of strictness: with fewer, fewer pass."""
    figures = {(figure.suite, figure.metric): figure for figure in candidate.policy.serving}
    suites = {suite.name for suite in candidate.suites}
    for before in champion.policy.serving:
        after = figures.get((before.suite, before.metric))
        if not before.gates or (after is None and before.suite not in suites):
            continue
        if after is None:
            yield f"{before.where}: the gate is gone"
        elif not after.gates:
            yield f"{before.where}: {before.role} → {after.role}"
        else:
            yield from (f"{before.where}: {change}" for change in _figure(before, after))


def _figure(before: ServingPolicy, after: ServingPolicy) -> Iterator[str]:
    if before.margin is not None and (after.margin is None or after.margin > before.margin):
        yield f"margin {_number(before.margin)} → {_number(after.margin)}"
    yield from _alpha_and_limits(before, after)


def _alpha_and_limits(before: MetricPolicy | ServingPolicy, after: MetricPolicy | ServingPolicy) -> Iterator[str]:
    if after.alpha > before.alpha:
        yield f"alpha {before.alpha:g} → {after.alpha:g}"
    if before.min is not None and (after.min is None or after.min < before.min):
        yield f"min {_number(before.min)} → {_number(after.min)}"
    if before.max is not None and (after.max is None or after.max > before.max):
        yield f"max {_number(before.max)} → {_number(after.max)}"


def _metric(before: MetricPolicy, after: MetricPolicy, default: float) -> Iterator[str]:
    for name in ("aggregate", "direction", "trait", "judged"):
        if getattr(after, name) != getattr(before, name):
            yield f"{name} {getattr(before, name)} → {getattr(after, name)}"
    if (after.margin or default) > (before.margin or default):
        yield f"margin {_number(before.margin, 'default')} → {_number(after.margin, 'default')}"
    yield from _alpha_and_limits(before, after)
    if before.inference is Inference.POPULATION and after.inference is Inference.BENCHMARK:
        yield f"inference {before.inference} → {after.inference}"
    if after.missing > before.missing:
        yield f"missing {before.missing:g} → {after.missing:g}"
    if STRICTNESS.index(after.unadmitted) < STRICTNESS.index(before.unadmitted):
        yield f"unadmitted {before.unadmitted} → {after.unadmitted}"


def _number(value: float | None, absent: str = "none") -> str:
    return absent if value is None else f"{value:g}"


def _slices(champion: Manifest, candidate: Manifest) -> Iterator[str]:
    slices = {(part.suite, part.field): part for part in candidate.policy.slices}
    for before in champion.policy.slices:
        after = slices.get((before.suite, before.field))
        name = f"{before.suite}: slice {before.field!r}"
        if after is None:
            yield f"{name} is gone"
        elif after.min_cases > before.min_cases:
            yield f"{name} min-cases {before.min_cases} → {after.min_cases}"
    # A slice can only fail, so that a smaller error rate finds fewer losses.
    if champion.policy.slices and candidate.policy.slice_alpha < champion.policy.slice_alpha:
        yield f"slice-alpha {champion.policy.slice_alpha:g} → {candidate.policy.slice_alpha:g}"


def _whole(champion: Manifest, candidate: Manifest) -> Iterator[str]:
    before, after = champion.policy, candidate.policy
    known = {waiver.target: waiver.until for waiver in before.waivers}
    for waiver in after.waivers:
        if waiver.until > known.get(waiver.target, ""):
            yield f"{waiver.target}: waived until {waiver.until}"
    if after.inconclusive is OnInconclusive.ALLOW and before.inconclusive is not OnInconclusive.ALLOW:
        yield "inconclusive fail → allow"
    if after.reserve < before.reserve:
        yield f"reserve {before.reserve:g} → {after.reserve:g}"
    if after.binding is Binding.CLAIMED and before.binding is not Binding.CLAIMED:
        yield "binding weights → claimed"
