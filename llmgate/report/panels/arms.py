"""Two servings measured against each other: how it was done, every pair of runs, and how latencies are spread."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from llmgate.gate.serving.arm_figures import figure_in
from llmgate.gate.serving.validity import plausible
from llmgate.report.arm_rows import ArmsView, DiscardedRun, EcdfLine, EcdfView, PairPoint, PairsView, Side
from llmgate.report.panels.arm_facts import arm_facts
from llmgate.report.panels.arm_tables import arm_tables
from llmgate.report.panels.metrics import metric_row
from llmgate.report.panels.serving_metrics import paired
from llmgate.report.serving_words import change, change_limit, gain_of, quantity
from llmgate.report.visible import one_line
from llmgate.report.words import figure, plural
from llmgate.stats.quantile import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from llmgate.gate.decision.types import Decision, MetricDecision
    from llmgate.gate.serving.arm_figures import ArmFigures, RunFigures
    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.record.serving.trace import RequestTrace, ServingTrace

__all__ = ["arms_view", "doubts_of", "spread_of", "summaries_of"]

SIDES: Final[tuple[Side, ...]] = ("champion", "candidate")
STEPS: Final = 200
"""Steps of a distribution that are drawn; more are not to be seen."""
LEAST_VALUES: Final = 2


def summaries_of(figures: ArmFigures, side: Side) -> tuple[ServingSummary, ...]:
    """Summaries of the runs of one side that were not discarded, in pair order, under the suite's name."""
    return tuple(replace(run.summary, name=figures.arms.plan.suite) for run in _kept(figures, side))


def doubts_of(figures: ArmFigures) -> tuple[str, ...]:
    """Every reason against a run that counts, in the order of the runs."""
    runs = sorted(figures.runs(champion=True), key=lambda run: run.run.position)
    return tuple(
        f"run {run.run.position + 1}, {run.run.arm}, pair {run.run.pair + 1}: {one_line(reason)}"
        for run in runs
        for reason in ((run.busy, *run.summary.invalid) if run.busy else run.summary.invalid)
    )


def arms_view(figures: ArmFigures, decision: Decision) -> ArmsView:
    """What a report says of two arms.

    Args:
        figures: Their runs.
        decision: Whose serving figures are drawn, those of this suite alone.
    """
    plan = figures.arms.plan
    name = one_line(plan.suite, 120)
    decided = [metric for metric in decision.metrics if metric.unit and metric.suite == plan.suite]
    compared = plan.champion is not None
    unit = "pair of runs, one of each side," if compared else "run"
    return ArmsView(
        id=f"arms-{re.sub(r'[^a-z0-9]+', '-', plan.suite.lower()).strip('-') or 'serving'}",
        title=f"Serving, run by run: {name}",
        lead=f"The unit of the test is the {unit} because all requests of a run share its noise.",
        compared=compared,
        facts=tuple(arm_facts(figures.arms)),
        invalid=doubts_of(figures),
        pairs=tuple(_pairs(figures, metric) for metric in decided),
        ecdfs=tuple(spread_of({side: [run.run.trace for run in _kept(figures, side)] for side in SIDES})),
        tables=tuple(arm_tables(figures.arms)),
    )


def _kept(figures: ArmFigures, side: Side) -> list[RunFigures]:
    at = 0 if side == "candidate" else 1
    return [run for pair in figures.pairs if (run := pair[at]) is not None]


def _pairs(figures: ArmFigures, metric: MetricDecision) -> PairsView:
    compared = paired(metric)
    row = metric_row(metric)
    scale = 100.0 if compared else 1.0
    mean, lower, upper = (
        None if value is None or not math.isfinite(value) else value * scale
        for value in (metric.delta if compared else metric.candidate, metric.lower, metric.upper)
    )
    own = metric.max if metric.min is None else metric.min
    limit = (None if metric.margin is None else -100 * metric.margin) if compared else own
    estimate = row.difference if compared else row.candidate
    bounds = row.bounds if metric.lower is None else f"bounds {row.bounds}"
    reading = ", ".join((*([] if estimate == "–" else [estimate]), bounds, row.limit))
    drawn = tuple(_points(figures, metric, compared=compared))
    return PairsView(
        metric=row.metric,
        unit="%" if compared else one_line(metric.unit, 20),
        compared=compared,
        outcome=row.outcome,
        state=row.state,
        runs=len(figures.arms.runs),
        points=drawn,
        discarded=tuple(_lost(figures)),
        mean=mean,
        lower=lower,
        upper=upper,
        limit=limit,
        limit_words="" if limit is None else change_limit(metric.margin) if compared else row.limit,
        low_is_better=not compared and metric.max is not None,
        reading=reading,
        summary=f"{row.metric}, {row.outcome}: {reading}. " + " ".join(f"{point.words}." for point in drawn),
    )


def _points(figures: ArmFigures, metric: MetricDecision, *, compared: bool) -> Iterator[PairPoint]:
    """The pairs that may be believed and have the figure."""
    unit = one_line(metric.unit, 20)
    for mine, theirs in figures.believed(champion=compared):
        number, position = mine.run.pair + 1, float(mine.run.position)
        value = figure_in(mine, metric.metric)
        before = None if theirs is None else figure_in(theirs, metric.metric)
        if value is None:
            continue
        if not compared:
            yield PairPoint(number=number, at=position, value=value, words=f"Run {number}: {quantity(value, unit)}")
        elif theirs is not None and before is not None:
            gain = gain_of(value, before, metric.direction)
            words = (
                f"Pair {number}: {quantity(before, unit)} → {quantity(value, unit)}, {change(gain, metric.direction)}"
            )
            yield PairPoint(number=number, at=(position + theirs.run.position) / 2, value=gain * 100, words=words)


def _lost(figures: ArmFigures) -> Iterator[DiscardedRun]:
    doubted = {run.run.position: run.doubt for run in figures.runs(champion=True) if run.doubt}
    for run in figures.arms.runs:
        why = f"discarded: {one_line(run.discarded)}" if run.discarded else ""
        if run.position in doubted:
            why = f"INVALID: {one_line(doubted[run.position])}"
        if why:
            yield DiscardedRun(at=run.position, words=f"Run {run.position + 1}, {run.arm}: {why}")


def spread_of(sides: Mapping[Side, Sequence[ServingTrace]]) -> Iterator[EcdfView]:
    """How TTFT and ITL are spread on each side, over all of its runs.

    Args:
        sides: In the order in which they are named.
    """
    for title, read in (("Time to first token", _ttft_ms), ("Time between tokens", _itl_ms)):
        lines = (_line(side, _pooled(traces, read)) for side, traces in sides.items())
        drawn = tuple(line for line in lines if line is not None)
        if drawn:
            yield EcdfView(title=title, lines=drawn)


def _pooled(traces: Sequence[ServingTrace], read: Callable[[RequestTrace], Iterable[float]]) -> list[float]:
    return sorted(
        value
        for trace in traces
        for request in trace.requests
        if request.error is None and plausible(request)
        for value in read(request)
    )


def _ttft_ms(request: RequestTrace) -> Iterable[float]:
    return ((request.token_events_s[0] - request.sent_s) * 1e3,)


def _itl_ms(request: RequestTrace) -> Iterable[float]:
    return ((later - earlier) * 1e3 for earlier, later in pairwise(request.token_events_s))


def _line(side: Side, values: Sequence[float]) -> EcdfLine | None:
    """The distribution function of sorted values, thinned to at most `STEPS` of its steps."""
    if len(values) < LEAST_VALUES:
        return None
    n = len(values)
    ranks = (
        sorted({math.ceil(step * n / STEPS) for step in range(1, STEPS + 1)} | {1, n}) if n > STEPS else range(1, n + 1)
    )
    middle, tail = percentile(values, 50), percentile(values, 95)
    return EcdfLine(
        side=side,
        steps=tuple((values[rank - 1], rank / n) for rank in ranks),
        words=f"{side}: half below {figure(middle)} ms, 95 % below {figure(tail)} ms, {plural(n, 'value')}",
    )
