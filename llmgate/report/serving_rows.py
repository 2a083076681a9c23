"""What the page of `llmgate bench` says: rows of a report, without answers."""

from __future__ import annotations

from dataclasses import dataclass

from llmgate.report.arm_rows import ArmsView, CurveView, EcdfView
from llmgate.report.pieces import State
from llmgate.report.rows import MetricRow, ServingTable

__all__ = ["ServingPage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPage:
    """A page on serving alone.

    Attributes:
        title: What was measured.
        state: How the verdict looks; None where there is none to tell.
        verdict: Its word: of a measurement alone `INVALID` or nothing.
        sentence: What came of it.
        candidate: Name of the model, "" for a measurement alone.
        champion: What it was compared with, None without one.
        problems: What bars a PASS.
        metrics: The figures that were decided on.
        serving: All figures.
        curves: Latency over throughput.
        ecdfs: How latencies are spread, of a measurement alone.
        arms: The runs of both sides.
    """

    title: str
    state: State | None = None
    verdict: str = ""
    sentence: str = ""
    candidate: str = ""
    champion: str | None = None
    problems: tuple[str, ...] = ()
    metrics: tuple[MetricRow, ...] = ()
    serving: tuple[ServingTable, ...] = ()
    curves: tuple[CurveView, ...] = ()
    ecdfs: tuple[EcdfView, ...] = ()
    arms: tuple[ArmsView, ...] = ()
