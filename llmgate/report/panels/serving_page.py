"""What the page of `llmgate bench` says: measurements at one or several loads, or two arms with their decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.serving.arm_figures import read_arms
from llmgate.report.panels.arms import arms_view, spread_of, summaries_of
from llmgate.report.panels.load_curve import CURVE_LATENCY, curve_of, curves
from llmgate.report.panels.metrics import metric_row
from llmgate.report.panels.serving import serving_tables
from llmgate.report.pieces import State
from llmgate.report.serving_rows import ServingPage
from llmgate.report.visible import one_line, short_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.types import Decision
    from llmgate.gate.serving.summary import ServingSummary
    from llmgate.record.arms import ServingArms
    from llmgate.record.serving.trace import ServingTrace

__all__ = ["comparison_page", "measurement_page"]


def measurement_page(
    name: str,
    summaries: Sequence[ServingSummary],
    *,
    trace: ServingTrace | None = None,
    level_ms: float | None = None,
    sentence: str = "",
) -> ServingPage:
    """One measurement, or several of one server at different loads.

    Args:
        name: What was measured.
        summaries: In the order of their loads.
        trace: The raw timings of the only measurement, whose latencies are drawn.
        level_ms: What the p95 of TTFT must not exceed: a line of the curve.
        sentence: What came of it, for example the load that a sweep found.
    """
    several = len(summaries) > 1
    curve = curve_of(name, {"candidate": summaries}, level_ms=level_ms) if several else None
    # A sweep goes on after a load that was not measured well; its curve marks it.
    invalid = all(summary.invalid for summary in summaries)
    return ServingPage(
        title=one_line(name, 120),
        state=State.NOT_EVALUATED if invalid else None,
        verdict="INVALID" if invalid else "",
        sentence=one_line(sentence, 600),
        serving=serving_tables(summaries, ()),
        curves=() if curve is None else (curve,),
        ecdfs=() if trace is None or several else tuple(spread_of({"candidate": [trace]})),
    )


def comparison_page(decision: Decision, arms: ServingArms) -> ServingPage:
    """Two arms, run by run, with the decision on them.

    Args:
        decision: On serving figures alone.
        arms: All runs that were made.
    """
    figures = read_arms(arms)
    candidate, champion = summaries_of(figures, "candidate"), summaries_of(figures, "champion")
    levels = {it.suite: it.max for it in decision.metrics if it.metric == CURVE_LATENCY and it.max is not None}
    mine, theirs = _names(arms)
    barred = decision.verdict.value == "INCONCLUSIVE" and decision.barring
    return ServingPage(
        title=one_line(arms.plan.suite, 120),
        state=State.NOT_EVALUATED if barred else State[decision.verdict.name],
        verdict=decision.verdict.value,
        sentence=one_line(decision.sentence, 2000),
        candidate=mine,
        champion=theirs,
        problems=tuple(one_line(str(problem), 600) for problem in decision.problems),
        metrics=tuple(metric_row(metric) for metric in decision.metrics),
        serving=serving_tables(candidate, champion),
        curves=tuple(curves(candidate, champion, levels)),
        arms=(arms_view(figures, decision),),
    )


def _names(arms: ServingArms) -> tuple[str, str | None]:
    """Names of both arms; with their source, or the server's address, where one name stands for both."""
    candidate, champion = arms.plan.candidate, arms.plan.champion
    mine = one_line(candidate.model.name, 120)
    if champion is None:
        return mine, None
    theirs = one_line(champion.model.name, 120)
    if mine == theirs:
        places = [(short_path(it.model.source), short_path(it.server.url)) for it in (candidate, champion)]
        at = next((at for at in (0, 1) if places[0][at] != places[1][at]), None)
        if at is not None:
            return f"{mine} ({places[0][at]})", f"{theirs} ({places[1][at]})"
    return mine, theirs
