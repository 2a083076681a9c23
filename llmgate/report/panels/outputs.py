"""How answers look beside the champion's, as a panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.types import Verdict
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import DEFAULT_ALPHA
from llmgate.report.pieces import State
from llmgate.report.rows import Panel, PanelRow, columns
from llmgate.report.visible import one_line
from llmgate.report.words import factor, figure, p_value, percent, probability, signed_points

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision, MetricDecision, OutputDrift

__all__ = ["outputs_panel"]

NAMES: Final = {
    OutputFeature.REFUSALS: "refusals",
    OutputFeature.SCHEMA: "format kept",
    OutputFeature.LENGTH: "length",
    OutputFeature.EMBEDDINGS: "energy distance",
}


def outputs_panel(decision: Decision) -> Panel:
    """The panel of a decision that compared traits of answers."""
    outputs = decision.outputs
    metrics = [_metric(decision, drift) for drift in outputs]
    named = len({drift.suite for drift in outputs}) > 1
    sentences = [_sentence(drift, named=named) for drift in outputs if drift.change is not None]
    lead = f"{'; '.join(sentences)}. " if sentences else ""
    watched = any(drift.verdict is None for drift in outputs)
    return Panel(
        id="outputs",
        title="Output drift",
        tag="how they look, whatever the asserts say",
        lead=one_line(
            f"{lead[:1].upper()}{lead[1:]}"
            + (
                "What is only watched is marked at p ≤ 5 %, as 1 of 20 unchanged models is."
                if watched
                else "All of it gates."
            ),
            1200,
        ),
        columns=(
            *columns("Trait"),
            *columns("Champion", "Candidate", "Change", "Bounds", "p", "Pairs", number=True),
            *columns("Finding"),
        ),
        rows=tuple(_row(drift, metric, named=named) for drift, metric in zip(outputs, metrics, strict=True)),
        serious=any(metric is not None and _blocks(metric) for metric in metrics),
    )


def _metric(decision: Decision, drift: OutputDrift) -> MetricDecision | None:
    if drift.verdict is None:
        return None
    return next((m for m in decision.metrics if (m.suite, m.metric) == (drift.suite, drift.trait.metric)), None)


def _blocks(metric: MetricDecision) -> bool:
    return metric.gates and not metric.waived and metric.verdict is not Verdict.PASS


def _sentence(drift: OutputDrift, *, named: bool) -> str:
    name = f"{one_line(drift.suite, 60)}: {NAMES[drift.trait]}" if named else NAMES[drift.trait]
    if drift.trait is OutputFeature.EMBEDDINGS:
        usual = "" if drift.usual is None else f" ({figure(drift.usual)} if nothing had changed)"
        return f"{name} {figure(drift.change or 0.0)}{usual}, {probability(drift.p)}"
    if drift.trait is OutputFeature.LENGTH:
        return f"{name} {factor(drift.change)} ({_bounds(drift)})"
    return f"{name} {percent(drift.champion)} → {percent(drift.candidate)}"


def _row(drift: OutputDrift, metric: MetricDecision | None, *, named: bool) -> PanelRow:
    rate = drift.trait in {OutputFeature.REFUSALS, OutputFeature.SCHEMA}
    state, finding = _finding(drift, metric)
    name = NAMES[drift.trait] + (", in characters" if drift.trait is OutputFeature.LENGTH else "")
    change = "–"
    if drift.change is not None:
        change = factor(drift.change) if drift.trait is OutputFeature.LENGTH else figure(drift.change)
        change = signed_points(drift.change) if rate else change
    return PanelRow(
        cells=(
            f"{one_line(drift.suite, 120)}: {name}" if named else name,
            percent(drift.champion) if rate else _length(drift.champion),
            percent(drift.candidate) if rate else _length(drift.candidate),
            change,
            _bounds(drift),
            p_value(drift.p) or "–",
            f"{drift.evaluated:,} of {drift.expected:,}",
            one_line(finding, 400),
        ),
        state=state,
    )


def _length(characters: float | None) -> str:
    return "–" if characters is None else f"{characters:,.0f}"


def _bounds(drift: OutputDrift) -> str:
    if drift.lower is None or drift.upper is None:
        return "–"
    if drift.trait is OutputFeature.LENGTH:
        return f"{1.0 + drift.lower:.2f} to {1.0 + drift.upper:.2f}"
    return f"{signed_points(drift.lower)} to {signed_points(drift.upper)}"


def _finding(drift: OutputDrift, metric: MetricDecision | None) -> tuple[State | None, str]:
    beside = f"; {drift.why}" if drift.why else ""
    if metric is not None:
        if metric.waived:
            return State.INCONCLUSIVE, f"{metric.verdict}, waived{beside}"
        return State[metric.verdict.name], f"{metric.verdict}{beside}"
    if drift.change is None:
        return None, f"watched; not compared{': ' + drift.why if drift.why else ''}"
    if _moved(drift):
        return None, f"watched; changed{beside}"
    return None, f"watched; no change shown{beside}"


def _moved(drift: OutputDrift) -> bool:
    if drift.p is not None:
        return drift.p <= DEFAULT_ALPHA
    return drift.lower is not None and drift.upper is not None and (drift.lower > 0.0 or drift.upper < 0.0)
