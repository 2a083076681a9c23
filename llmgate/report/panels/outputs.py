"""How answers look beside the champion's, as a panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.types import Verdict
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import DEFAULT_ALPHA
from llmgate.report.pieces import State
from llmgate.report.rows import Column, Panel, PanelRow
from llmgate.report.visible import one_line
from llmgate.report.words import figure, percent, probability, signed_points

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision, MetricDecision, OutputDrift

__all__ = ["factor", "outputs_panel"]

NAMES: Final = {
    OutputFeature.REFUSALS: "refusals",
    OutputFeature.SCHEMA: "format kept",
    OutputFeature.LENGTH: "length",
    OutputFeature.EMBEDDINGS: "energy distance",
}
STATES: Final = {Verdict.PASS: State.PASS, Verdict.FAIL: State.FAIL, Verdict.INCONCLUSIVE: State.INCONCLUSIVE}


def outputs_panel(decision: Decision) -> Panel:
    """The panel of a decision that compared traits of answers."""
    outputs = decision.outputs
    suites = {one.suite for one in outputs}
    said = [_sentence(one, named=len(suites) > 1) for one in outputs if one.change is not None]
    lead = f"{'; '.join(said)}. " if said else ""
    watched = any(one.verdict is None for one in outputs)
    return Panel(
        id="outputs",
        title="Answers beside the champion's",
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
            Column(title="Trait"),
            Column(title="Champion", number=True),
            Column(title="Candidate", number=True),
            Column(title="Change", number=True),
            Column(title="Bounds", number=True),
            Column(title="p", number=True),
            Column(title="Pairs", number=True),
            Column(title="Finding"),
        ),
        rows=tuple(_row(one, _metric(decision, one), named=len(suites) > 1) for one in outputs),
        serious=any(metric is not None and _blocks(metric) for metric in (_metric(decision, one) for one in outputs)),
    )


def factor(change: float | None) -> str:
    """A relative change of 0.04 as `×1.04`."""
    return "–" if change is None else f"×{1.0 + change:.2f}"


def _metric(decision: Decision, one: OutputDrift) -> MetricDecision | None:
    if one.verdict is None:
        return None
    return next((m for m in decision.metrics if (m.suite, m.metric) == (one.suite, one.trait.metric)), None)


def _blocks(metric: MetricDecision) -> bool:
    return metric.gates and not metric.waived and metric.verdict is not Verdict.PASS


def _sentence(one: OutputDrift, *, named: bool) -> str:
    name = f"{one_line(one.suite, 60)}: {NAMES[one.trait]}" if named else NAMES[one.trait]
    if one.trait is OutputFeature.EMBEDDINGS:
        usual = "" if one.usual is None else f" ({figure(one.usual)} if nothing had changed)"
        return f"{name} {figure(one.change or 0.0)}{usual}, {probability(one.p)}"
    if one.trait is OutputFeature.LENGTH:
        return f"{name} {factor(one.change)} ({_bounds(one)})"
    return f"{name} {percent(one.champion)} → {percent(one.candidate)}"


def _row(one: OutputDrift, metric: MetricDecision | None, *, named: bool) -> PanelRow:
    rate = one.trait in {OutputFeature.REFUSALS, OutputFeature.SCHEMA}
    state, finding = _finding(one, metric)
    name = NAMES[one.trait] + (", in characters" if one.trait is OutputFeature.LENGTH else "")
    change = "–"
    if one.change is not None:
        change = factor(one.change) if one.trait is OutputFeature.LENGTH else figure(one.change)
        change = signed_points(one.change) if rate else change
    return PanelRow(
        cells=(
            f"{one_line(one.suite, 120)}: {name}" if named else name,
            percent(one.champion) if rate else _length(one.champion),
            percent(one.candidate) if rate else _length(one.candidate),
            change,
            _bounds(one),
            probability(one.p).removeprefix("p = ").removeprefix("p ") or "–",
            f"{one.evaluated:,} of {one.expected:,}",
            one_line(finding, 400),
        ),
        state=state,
    )


def _length(characters: float | None) -> str:
    return "–" if characters is None else f"{characters:,.0f}"


def _bounds(one: OutputDrift) -> str:
    if one.lower is None or one.upper is None:
        return "–"
    if one.trait is OutputFeature.LENGTH:
        return f"{1.0 + one.lower:.2f} to {1.0 + one.upper:.2f}"
    return f"{signed_points(one.lower)} to {signed_points(one.upper)}"


def _finding(one: OutputDrift, metric: MetricDecision | None) -> tuple[State | None, str]:
    beside = f"; {one.why}" if one.why else ""
    if metric is not None:
        if metric.waived:
            return State.INCONCLUSIVE, f"{metric.verdict}, waived{beside}"
        return STATES[metric.verdict], f"{metric.verdict}{beside}"
    if one.change is None:
        return None, f"watched; not compared{': ' + one.why if one.why else ''}"
    if _moved(one):
        return None, f"watched; changed{beside}"
    return None, f"watched; no change shown{beside}"


def _moved(one: OutputDrift) -> bool:
    if one.p is not None:
        return one.p <= DEFAULT_ALPHA
    return one.lower is not None and one.upper is not None and (one.lower > 0.0 or one.upper < 0.0)
