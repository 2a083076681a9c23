"""The calibration's table on rounds of candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.calibration.rounds import RoundRow, RoundRule
from llmgate.report.calibration.sheet import Sheet
from llmgate.report.words import count, percent, points

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmgate.gate.calibration.results import FurtherRow

__all__ = ["round_sheets"]

RULES = (RoundRule.ALONE, RoundRule.TOGETHER, RoundRule.FINAL, RoundRule.SAME_CASES)


def round_sheets(rows: Iterable[FurtherRow]) -> tuple[Sheet, ...]:
    """How often a bad candidate of a round passes; without rows it is not left out yet.

    Args:
        rows: Of all kinds.
    """
    by_design: dict[tuple[str, int, float], dict[RoundRule, RoundRow]] = {}
    for row in rows:
        if isinstance(row, RoundRow):
            by_design.setdefault((row.design, row.pairs, row.discordance), {})[row.rule] = row
    margin = next((points(row.margin) for of_design in by_design.values() for row in of_design.values()), "")
    return (
        Sheet(
            id="rounds",
            title="Several candidates against one champion",
            lead=f"Rounds in which a candidate passes that is {margin} points worse, the margin, in %. Decided "
            "together or by one final on new cases, at most 5.5 are asked for. Each alone is what happens without a "
            "round; a final on the same cases is refused.",
            header=("round", "pairs", "changed", *map(str, RULES)),
            rows=tuple(
                (
                    design,
                    count(pairs),
                    percent(discordance),
                    *(f"{100 * of_design[rule].bad_passes:.1f}" if rule in of_design else "–" for rule in RULES),
                )
                for (design, pairs, discordance), of_design in by_design.items()
            ),
        ),
    )
