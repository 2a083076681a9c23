"""Which judges were admitted, and on what, as a panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.judges.admission import status_in
from llmgate.report.pieces import State
from llmgate.report.rows import Panel, PanelRow, columns
from llmgate.report.visible import full_name, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.gate.decision.types import Decision, MetricDecision
    from llmgate.record.judges.admission import AdmissionRecord, BiasFigures, Figure
    from llmgate.record.schema import Record

__all__ = ["admission_panels", "canaries_caught", "shown_figure", "shown_points"]

TITLES = (
    "Metric",
    "Judge",
    "Labels",
    "κ",
    "AC1",
    "α",
    "Orders agree",
    "Repeats itself",
    "Canaries caught",
    "Off between systems",
    "Standing",
)


def admission_panels(candidate: Record, decision: Decision) -> Iterator[Panel]:
    """The panel, if a judge decides anything.

    Args:
        candidate: The record that was decided on.
        decision: The decision.
    """
    judged = [metric for metric in decision.metrics if metric.admission]
    if not judged:
        return
    unadmitted = any(metric.admission == "unadmitted" for metric in judged)
    yield Panel(
        id="admissions",
        title="Judges that decide",
        tag="each was tried on answers that people labelled" if not unadmitted else "not every judge was admitted",
        lead=(
            "A judge may decide if the lower bounds of its agreement with people, of both orders and of its repeated"
            " answers are high enough, it caught every canary, and what its difference between two systems may be off"
            " by is bounded by the labels. The verdict's bounds are wider by that. Bounds are one-sided."
        ),
        columns=columns(*TITLES),
        rows=tuple(row for metric in judged for row in _rows(candidate, metric)),
        serious=unadmitted,
    )


def _rows(candidate: Record, metric: MetricDecision) -> Iterator[PanelRow]:
    name = full_name(metric.suite, metric.metric)
    status = status_in(candidate.manifest, metric.suite, metric.metric)
    for record in status.records:
        yield PanelRow(cells=(name, *_cells(record), "admitted"), state=State.PASS)
    for reason in status.missing[:10]:
        blank = ("",) * (len(TITLES) - 2)
        yield PanelRow(
            cells=(name, *blank, f"unadmitted judge: {one_line(reason, 400)}"),
            state=State.INCONCLUSIVE,
        )


def _cells(record: AdmissionRecord) -> tuple[str, ...]:
    results, judges = record.results, record.instrument.judges
    return (
        one_line(", ".join(judge.model for judge in judges), 120),
        f"{results.settled:,} of {one_line(record.labels_name, 60)}, {record.labels_digest[:12]}",
        shown_figure(results.kappa),
        shown_figure(results.ac1),
        shown_figure(results.alpha),
        shown_figure(results.order),
        shown_figure(results.repeat),
        canaries_caught(record),
        _off(results.bias),
    )


def _off(bias: BiasFigures | None) -> str:
    if bias is None or bias.difference is None:
        return "not known"
    return f"at most {100.0 * bias.difference:.1f} points"


def shown_points(figure: Figure) -> str:
    """A difference with its bounds, in points."""
    if figure.estimate is None or figure.lower is None or figure.upper is None:
        return "–"
    return f"{100.0 * figure.estimate:+.1f} ({100.0 * figure.lower:+.1f} to {100.0 * figure.upper:+.1f})"


def shown_figure(figure: Figure | None) -> str:
    """An estimate with its bounds, or a dash."""
    if figure is None or figure.estimate is None or figure.lower is None or figure.upper is None:
        return "–"
    return f"{figure.estimate:.2f} ({figure.lower:.2f} to {figure.upper:.2f})"


def canaries_caught(record: AdmissionRecord) -> str:
    """`15 of 15`."""
    canaries = record.results.canaries
    tried = sum(canary.tried for canary in canaries)
    return f"{tried - sum(canary.passed + canary.lost for canary in canaries)} of {tried}"
