"""The calibration's table on comparisons that people's labels correct."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.calibration.labelled import LabelledRow
from llmgate.report.calibration.sheet import Sheet
from llmgate.report.words import count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.gate.calibration.results import FurtherRow

__all__ = ["label_sheet"]


def label_sheet(rows: Iterable[FurtherRow]) -> Sheet:
    """Bounds of corrected comparisons.

    Args:
        rows: Of all kinds.
    """
    return Sheet(
        id="labels",
        title="Comparisons that people's labels correct",
        lead="One-sided 95 % bounds of people's difference, from a judge on all cases and people on some: how often "
        "the lower one lies above the truth, and the upper one below it. In %.",
        header=("differences and judge", "labels", "cases", "lower errs %", "upper errs %"),
        rows=tuple(
            (
                row.design,
                count(row.labels),
                count(row.cases),
                f"{100.0 * row.above / row.runs:.1f}",
                f"{100.0 * row.below / row.runs:.1f}",
            )
            for row in rows
            if isinstance(row, LabelledRow)
        ),
    )
