"""The calibration's tables on clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.calibration.clustered_rows import ClusteredRow
from llmgate.report.calibration.sheet import Sheet
from llmgate.report.words import count, percent, points

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.gate.calibration.results import FurtherRow

__all__ = ["cluster_sheets"]


def cluster_sheets(rows: Iterable[FurtherRow]) -> tuple[Sheet, ...]:
    """Clusters that are unequal or skewed, simulated ones and real ones.

    Args:
        rows: Of all kinds.
    """
    own = [row for row in rows if isinstance(row, ClusteredRow)]
    real = [row for row in own if row.kind == "real"]
    simulated = [row for row in own if row.kind != "real"]
    margin = points(simulated[0].margin or 0.0) if simulated else ""
    return (
        Sheet(
            id="clusters",
            title="Clusters, unequal and skewed",
            lead=f"Right-or-wrong scores in clusters with means of their own, margin {margin} points; or clusters of "
            "which few lose much and the others nothing. Where none of those few is among the clusters, no rule can "
            "see the loss: how often that is stands in the last column. All in %.",
            header=(
                "clusters",
                "cases",
                "effective",
                "largest",
                "PASS % at 0",
                "FAIL % at 0",
                "PASS % at −m",
                "unseen",
            ),
            rows=tuple(_simulated(row) for row in simulated),
        ),
        Sheet(
            id="real-clusters",
            title="Real losses in real clusters",
            lead="Pairs of systems of which one is truly worse, the margin set to exactly that loss, and as many whole "
            "clusters drawn with replacement as there are. Where one cluster carries the loss, draws without it look "
            "clean, and no rule can tell.",
            header=("data", "clusters", "cases", "compared", "PASS %", "over 10 %", "worst comparison"),
            rows=tuple(_real(row) for row in real),
        ),
    )


def _simulated(row: ClusteredRow) -> tuple[str, ...]:
    failures = ", all or nothing" if row.kind == "rare failures" else ""
    return (
        f"{row.design}{failures}",
        count(row.cases),
        f"{row.facts.effective:.1f}",
        percent(row.facts.largest_share, 0),
        _rate(row.passed_unchanged, row.runs),
        _rate(row.failed_unchanged, row.runs),
        _rate(row.passed, row.runs),
        percent(row.absent) if row.kind == "rare failures" else "–",
    )


def _real(row: ClusteredRow) -> tuple[str, ...]:
    worst = "–" if row.worst is None else f"{percent(row.worst[1])} ({row.worst[0]})"
    return (
        row.design,
        count(row.facts.groups),
        count(row.cases),
        count(row.comparisons),
        _rate(row.passed, row.runs),
        _rate(row.far_over, row.comparisons) + " %",
        worst,
    )


def _rate(number: int | None, of: int) -> str:
    return "–" if number is None else f"{100.0 * number / of:.1f}"
