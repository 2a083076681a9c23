"""What the release manager reads: a few sentences for the whole decision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.gate.decision.types import MetricDecision, Problem, Verdict
from llmgate.gate.decision.wording import count, name_some, one_line, percent, points, share, verb
from llmgate.gate.metrics.length import length_limits
from llmgate.record.policy import Direction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.metrics.waivers import VerdictBasis

__all__ = ["chances_basis", "decision_sentence"]

_LISTED = 3
"""How many problems are spelt out."""


def decision_sentence(verdict: Verdict, basis: VerdictBasis, problems: Sequence[Problem], *, slice_alpha: float) -> str:
    """The verdict, what decided it, what changed, and how often this gate is right.

    With several gating metrics the one that decided is named: the one with the smallest p-value for a FAIL, else the
    one whose lower bound is closest to its limit or furthest beyond it. Slices that failed, and waivers that were
    needed, are named in any case.
    """
    metrics = [metric for metric in basis.metrics if metric.gates and not metric.waived]
    parts = []
    if basis.required:
        failed = count(len(basis.required), "case")
        parts.append(f"{failed} failed a check that must never fail: {name_some(basis.required)}.")
    if problems and verdict is Verdict.INCONCLUSIVE:
        parts.append(
            f"{count(len(problems), 'problem')} {verb(len(problems), 'bars', 'bar')} a PASS: {_list(problems)}"
        )
    else:
        deciding = _deciding(verdict, metrics)
        if deciding is not None:
            reason = _named(deciding, verdict, metrics)
            parts.append(" ".join([reason[0].upper() + reason[1:] if parts else reason, *_details(deciding)]))
        parts += _slices(basis, besides=deciding is not None)
        if problems:
            parts.append(f"Besides, {count(len(problems), 'problem')}: {_list(problems)}")
    if basis.slices and verdict is not Verdict.INCONCLUSIVE:
        parts.append(_slices_rate(basis, slice_alpha))
    parts += _unadmitted(metrics)
    parts += _waivers(basis)
    return f"{verdict}: {' '.join(parts)}"


def chances_basis(metric: MetricDecision) -> str:
    """What the chances of a gate were judged by, to follow `of the time`.

    Empty for this comparison itself, whose spread is much like that of an unchanged model, unless it is a FAIL: what a
    loss changed is then part of the spread, and the chance comes out too low.
    """
    if metric.chances_from == "repeats":
        return ", judged by the champion's repeats"
    if metric.chances_from == "run":
        return ", judged by a second run of the champion"
    if metric.chances_from == "history":
        return ", judged by past releases"
    return ", judged by all that changed here" if metric.verdict is Verdict.FAIL else ""


def _slices(basis: VerdictBasis, *, besides: bool) -> list[str]:
    failed = sorted((part for part in basis.slices if part.failed and not part.waived), key=lambda part: part.p_worse)
    if not failed:
        return []
    worst = failed[0]
    loss = (
        f"{worst.name} is {points(-worst.delta, 0.0)} points worse on {count(worst.cases, 'case')}"
        f" (p = {worst.p_worse:.2g} after adjusting for {count(len(basis.slices), 'slice')})"
    )
    others = f"; so {verb(len(failed) - 1, 'is', 'are')} {name_some(part.name for part in failed[1:])}"
    lost = f"{count(len(failed), 'slice')} lost: {loss}{others if len(failed) > 1 else ''}."
    return [f"Besides, {lost}" if besides else lost]


def _slices_rate(basis: VerdictBasis, slice_alpha: float) -> str:
    return (
        f"{count(len(basis.slices), 'slice')} {verb(len(basis.slices), 'was', 'were')} looked into, which fails an"
        f" unchanged model in at most {100.0 * slice_alpha:.3g} % of runs more."
    )


def _unadmitted(metrics: Sequence[MetricDecision]) -> list[str]:
    """Metrics that gate by a judge that was never admitted, because the policy allows it."""
    names = [f"{metric.suite}::{metric.metric}" for metric in metrics if metric.admission == "unadmitted"]
    if not names:
        return []
    are = verb(len(names), "is a judge score", "are judge scores")
    return [f"Unadmitted judge: {name_some(names)} {are}, not human quality."]


def _waivers(basis: VerdictBasis) -> list[str]:
    sentences = [
        f"{use.target} is waived until {use.until} by {one_line(use.by)}: {one_line(use.reason)}."
        for use in basis.uses
        if use.status == "applied"
    ]
    expired = [use for use in basis.uses if use.status == "expired"]
    if expired:
        named = name_some(f"{use.target} ({use.until})" for use in expired)
        sentences.append(f"{count(len(expired), 'waiver')} {verb(len(expired), 'has', 'have')} expired: {named}.")
    return sentences


def _list(problems: Sequence[Problem]) -> str:
    shown = "; ".join(str(problem) for problem in problems[:_LISTED])
    left = len(problems) - _LISTED
    return f"{shown}; and {left:,} more." if left > 0 else f"{shown}."


def _deciding(verdict: Verdict, gating: Sequence[MetricDecision]) -> MetricDecision | None:
    same = [m for m in gating if m.verdict is verdict]
    if verdict is Verdict.FAIL:
        return min(same, key=lambda m: 1.0 if m.p_worse is None else m.p_worse, default=None)
    return min(same, key=_room, default=None)


def _room(metric: MetricDecision) -> float:
    """How far the lower bound is from its limit, as a share of what there is to lose."""
    if metric.lower is None:
        return -math.inf
    if metric.two_sided and metric.upper is not None and metric.margin is not None:
        shortest, longest = length_limits(metric.margin)
        return min((metric.lower - shortest) / -shortest, (longest - metric.upper) / longest)
    if metric.margin is not None:
        return (metric.lower + metric.margin) / metric.margin
    if metric.max is not None and metric.upper is not None:
        return (metric.max - metric.upper) / (1.0 - metric.max)
    return (metric.lower - metric.min) / metric.min if metric.min else -math.inf


def _named(metric: MetricDecision, verdict: Verdict, gating: Sequence[MetricDecision]) -> str:
    if len(gating) == 1:
        return metric.reason
    name, same = f"{metric.suite}::{metric.metric}", sum(m.verdict is verdict for m in gating)
    if verdict is Verdict.PASS:
        lead = f"{'both' if same == 2 else f'all {same}'} gating metrics pass; closest to its limit is {name}"
    elif same > 1:
        lead = f"{same} of {len(gating)} gating metrics; first of all {name}"
    else:
        lead = f"1 of {len(gating)} gating metrics, {name}"
    return f"{lead}: {metric.reason}"


def _details(metric: MetricDecision) -> list[str]:
    details = []
    if metric.reference == "champion" and not metric.two_sided:
        details.append(_changes(metric))
    elif metric.reference == "threshold" and metric.candidate is not None:
        details.append(_rate(metric, metric.candidate))
    if metric.pass_if_unchanged is not None and metric.pass_if_margin_lost is not None and metric.margin is not None:
        details.append(
            f"If nothing had changed, this gate would pass {share(metric.pass_if_unchanged)} of the time"
            f"{chances_basis(metric)}; it would let {_loss(metric, metric.margin)} through at most"
            f" {share(metric.pass_if_margin_lost)}."
        )
    return details


def _loss(metric: MetricDecision, margin: float) -> str:
    if metric.two_sided:
        return f"a true change by a factor of {1.0 + margin:.6g}"
    return f"a true {points(margin)}-point loss"


def _changes(metric: MetricDecision) -> str:
    noun = "judge's score" if metric.judged or metric.labels else "score"
    changed = metric.better + metric.worse
    if not changed:
        # Answers may read differently and score alike: of their texts nothing is known here.
        return f"No {noun} changed."
    if noun == "score" and metric.method.startswith("Tango"):
        noun = "answer"
    return f"{count(changed, noun)} changed: {metric.better:,} better, {metric.worse:,} worse."


def _rate(metric: MetricDecision, rate: float) -> str:
    if metric.method.startswith("Clopper"):
        what = "right" if metric.direction is Direction.HIGHER else "counted"
        return f"{round(rate * metric.evaluated):,} of {count(metric.evaluated, 'answer')} {what}."
    return f"Mean score {percent(round(rate, 3))} over {count(metric.evaluated, 'case')}."
