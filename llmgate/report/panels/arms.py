"""Two servings measured against each other: how it was done, every pair of runs, and how latencies are spread."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from llmgate.gate.serving.summary import ServiceLevels, ServingSummary, summarise
from llmgate.gate.serving.validity import plausible
from llmgate.report.arm_rows import ArmsView, DiscardedRun, EcdfLine, EcdfView, PairPoint, PairsView
from llmgate.report.panels.arm_facts import arm_facts
from llmgate.report.panels.arm_tables import arm_tables
from llmgate.report.panels.metrics import metric_row
from llmgate.report.serving_words import change, gain_of, quantity
from llmgate.report.visible import one_line
from llmgate.report.words import figure, plural, points
from llmgate.stats.quantile import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from llmgate.gate.decision.types import Decision, MetricDecision
    from llmgate.record.arms import ArmRun, ServingArms
    from llmgate.record.serving.trace import RequestTrace
    from llmgate.report.arm_rows import Side

__all__ = ["MeasuredArms", "measured"]

STEPS: Final = 200
"""Steps of a distribution that are drawn; more are not to be seen."""
LEAST_VALUES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredArms:
    """Runs of two arms with their summaries.

    Attributes:
        arms: The runs.
        summaries: Of every run, by its position.
    """

    arms: ServingArms
    summaries: Mapping[int, ServingSummary]

    def of(self, side: Side) -> tuple[ServingSummary, ...]:
        """Summaries of the runs of one side that were not discarded, in pair order."""
        return tuple(self.summaries[run.position] for run in self.kept(side))

    def kept(self, side: Side) -> tuple[ArmRun, ...]:
        """The runs of one side that were not discarded, in pair order."""
        at = 0 if side == "candidate" else 1
        return tuple(run for pair in self.arms.pairs() if (run := pair[at]) is not None)

    def view(self, decision: Decision) -> ArmsView:
        """What a report says of them.

        Args:
            decision: Whose serving figures are drawn, those of this suite alone.
        """
        plan = self.arms.plan
        name = one_line(plan.suite, 120)
        decided = [metric for metric in decision.metrics if metric.unit and metric.suite == plan.suite]
        compared = plan.champion is not None
        unit = "pair of runs, one of each side," if compared else "run"
        return ArmsView(
            id=f"arms-{re.sub(r'[^a-z0-9]+', '-', plan.suite.lower()).strip('-') or 'serving'}",
            title=f"Serving, run by run: {name}",
            lead=f"The unit of the test is the {unit} because all requests of a run share its noise.",
            compared=compared,
            facts=tuple(arm_facts(self.arms)),
            invalid=tuple(self.invalid()),
            pairs=tuple(self._pairs(metric) for metric in decided),
            ecdfs=tuple(self._ecdfs()),
            tables=tuple(arm_tables(self.arms)),
        )

    def invalid(self) -> Iterator[str]:
        """Every reason against a run that counts."""
        for run in self.arms.runs:
            if not run.discarded:
                for reason in self.summaries[run.position].invalid:
                    yield f"run {run.position + 1}, {run.arm}, pair {run.pair + 1}: {one_line(reason)}"

    def values(self, metric: str) -> Iterator[tuple[int, float, float, float | None]]:
        """(pair, middle of its runs, candidate's figure, champion's figure) of each pair whose runs are valid."""
        compared = self.arms.plan.champion is not None
        for number, (mine, theirs) in enumerate(self.arms.pairs()):
            runs = [run for run in (mine, theirs) if run is not None]
            if mine is None or (compared and theirs is None) or any(self._invalid(run) for run in runs):
                continue
            figures = [self.summaries[run.position].metrics.get(metric) for run in runs]
            known = [value for value in figures if value is not None and math.isfinite(value) and value > 0]
            if len(known) == len(runs):
                at = sum(run.position for run in runs) / len(runs)
                yield number, at, known[0], known[1] if compared else None

    def _invalid(self, run: ArmRun) -> bool:
        return bool(self.summaries[run.position].invalid)

    def _pairs(self, metric: MetricDecision) -> PairsView:
        compared = metric.reference == "champion"
        drawn = tuple(self._points(metric, compared=compared))
        row = metric_row(metric)
        scale = 100.0 if compared else 1.0
        mean, lower, upper = (
            None if value is None or not math.isfinite(value) else value * scale
            for value in (metric.delta if compared else metric.candidate, metric.lower, metric.upper)
        )
        own = metric.max if metric.min is None else metric.min
        limit = (None if metric.margin is None else -100 * metric.margin) if compared else own
        lost = tuple(
            DiscardedRun(at=run.position, words=self._why(run))
            for run in self.arms.runs
            if run.discarded or self._invalid(run)
        )
        estimate = row.difference if compared else row.candidate
        reading = ", ".join((*([] if estimate == "–" else [estimate]), f"bounds {row.bounds}", row.limit))
        return PairsView(
            metric=row.metric,
            unit="%" if compared else one_line(metric.unit, 20),
            compared=compared,
            outcome=row.outcome,
            state=row.state,
            runs=len(self.arms.runs),
            points=drawn,
            discarded=lost,
            mean=mean,
            lower=lower,
            upper=upper,
            limit=limit,
            limit_words="" if limit is None else f"margin {points(metric.margin)} %" if compared else row.limit,
            low_is_better=not compared and metric.max is not None,
            reading=reading,
            summary=f"{row.metric}, {row.outcome}: {reading}. " + " ".join(f"{point.words}." for point in drawn),
        )

    def _points(self, metric: MetricDecision, *, compared: bool) -> Iterator[PairPoint]:
        unit = one_line(metric.unit, 20)
        for number, at, mine, theirs in self.values(metric.metric):
            if not compared:
                yield PairPoint(number=number + 1, at=at, value=mine, words=f"Run {number + 1}: {quantity(mine, unit)}")
            elif theirs is not None:
                gain = gain_of(mine, theirs, metric.direction)
                words = f"Pair {number + 1}: {quantity(theirs, unit)} → {quantity(mine, unit)}"
                yield PairPoint(
                    number=number + 1,
                    at=at,
                    value=gain * 100,
                    words=f"{words}, {change(gain, metric.direction)}",
                )

    def _why(self, run: ArmRun) -> str:
        what = f"discarded: {one_line(run.discarded)}" if run.discarded else "INVALID"
        return f"Run {run.position + 1}, {run.arm}: {what}"

    def _ecdfs(self) -> Iterator[EcdfView]:
        for title, read in (("Time to first token, ms", _ttft_ms), ("Time between tokens, ms", _itl_ms)):
            lines = tuple(
                line
                for side in ("champion", "candidate")
                if (line := _line(side, _pooled(self.kept(side), read))) is not None  # type: ignore[arg-type]
            )
            if lines:
                yield EcdfView(title=title, lines=lines)


def measured(arms: ServingArms) -> MeasuredArms:
    """Summarise every run.

    Args:
        arms: As the record has them.
    """
    levels = ServiceLevels(**arms.plan.levels) if arms.plan.levels else None
    return MeasuredArms(
        arms=arms,
        summaries={
            run.position: replace(summarise(run.trace, levels=levels), name=arms.plan.suite) for run in arms.runs
        },
    )


def _pooled(runs: Sequence[ArmRun], read: Callable[[RequestTrace], Iterable[float]]) -> list[float]:
    return sorted(
        value
        for run in runs
        for request in run.trace.requests
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
    ranks = sorted({math.ceil(step * n / STEPS) for step in range(1, STEPS + 1)} | {1, n}) if n > STEPS else range(1, n + 1)
    middle, tail = percentile(values, 50), percentile(values, 95)
    return EcdfLine(
        side=side,
        steps=tuple((values[rank - 1], rank / n) for rank in ranks),
        words=f"{side}: half below {figure(middle)} ms, 95 % below {figure(tail)} ms, {plural(n, 'value')}",
    )
