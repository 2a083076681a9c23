"""Waivers: what somebody accepted until a date is shown, named, and does not count. Pure; the day is given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from llmgate.gate.decision.types import MetricDecision, SliceDecision, Verdict, WaiverUse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from llmgate.record.waiver import Waiver

__all__ = ["VerdictBasis", "waive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictBasis:
    """What a verdict follows from, and the waivers that were looked at.

    Attributes:
        metrics: The metrics.
        slices: The slices that were tested.
        required: `suite::case` of failed required asserts that count.
        uses: What became of each waiver.
    """

    metrics: tuple[MetricDecision, ...]
    slices: tuple[SliceDecision, ...]
    required: tuple[str, ...]
    uses: tuple[WaiverUse, ...] = ()


def waive(basis: VerdictBasis, waivers: Sequence[Waiver], today: date | None) -> VerdictBasis:
    """Mark what waivers cover.

    A metric is covered whether it fails or is inconclusive; its cases without a score are problems of their own and
    stay. A waiver of a metric does not cover its slices, nor the other way round.

    Args:
        basis: What was decided and failed.
        waivers: Those of the policy.
        today: The day on which the decision is taken; None, and no waiver holds.
    """
    holding = {waiver.target for waiver in waivers if today is not None and waiver.holds_on(today)}
    metrics = tuple(
        replace(metric, waived=True)
        if metric.gates and metric.verdict is not Verdict.PASS and f"{metric.suite}::{metric.metric}" in holding
        else metric
        for metric in basis.metrics
    )
    slices = tuple(
        replace(part, waived=True) if part.failed and part.name in holding else part for part in basis.slices
    )
    cases = {waiver.target for waiver in waivers if waiver.case is not None} & holding
    covered = {f"{metric.suite}::{metric.metric}" for metric in metrics if metric.waived}
    covered |= {part.name for part in slices if part.waived} | (cases & set(basis.required))
    uses = tuple(
        WaiverUse(
            target=waiver.target,
            until=waiver.until,
            by=waiver.by,
            reason=waiver.reason,
            status=_status(waiver, covered, today),
        )
        for waiver in waivers
    )
    required = tuple(name for name in basis.required if name not in cases)
    return VerdictBasis(metrics=metrics, slices=slices, required=required, uses=uses)


def _status(
    waiver: Waiver, covered: set[str], today: date | None
) -> Literal["applied", "unused", "expired", "no date"]:
    if today is None:
        return "no date"
    if not waiver.holds_on(today):
        return "expired"
    return "applied" if waiver.target in covered else "unused"
