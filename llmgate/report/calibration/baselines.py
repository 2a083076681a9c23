"""The calibration's table on baselines: what an unchanged model meets after a promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.calibration.baselines import BaselineRow
from llmgate.report.calibration.sheet import Sheet
from llmgate.report.words import count, percent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.gate.calibration.results import FurtherRow

__all__ = ["baseline_sheets"]


def baseline_sheets(rows: Iterable[FurtherRow]) -> tuple[Sheet, ...]:
    """What an unchanged model meets; without rows it is not left out yet.

    Args:
        rows: Of all kinds.
    """
    own = [row for row in rows if isinstance(row, BaselineRow)]
    runs = count(max((row.runs for row in own), default=0))
    return (
        Sheet(
            id="baselines",
            title="An unchanged model after a promotion",
            lead="Against the champion asked again beside it, a stored run, the stored run that earned the promotion, "
            f"and the best of five; up to {runs} comparisons each. In brackets what is known of such a baseline, and "
            "printed beside a verdict where the gate knows of the choice. The last column is FAIL against one and the "
            "same stored run, and what one run in ten exceeds.",
            header=("baseline", "pairs", "changed", "FAIL %", "PASS %", "FAIL % of one run in ten"),
            rows=tuple(
                (
                    str(row.kind),
                    count(row.pairs),
                    percent(round(row.discordance, 3)),
                    _with_known(row.fail_rate, row.known_fail),
                    _with_known(row.pass_rate, row.known_pass),
                    "–" if row.unlucky is None else _with_known(row.unlucky, row.known_unlucky or 0.0),
                )
                for row in own
            ),
        ),
    )


def _with_known(rate: float, known: float) -> str:
    return f"{100 * rate:.1f} ({100 * known:.1f})"
