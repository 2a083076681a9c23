"""What `llmgate round` prints: a line for each candidate, and what was decided."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Verdict
from llmgate.report.visible import one_line
from llmgate.report.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from llmgate.gate.decision.types import Decision

__all__ = ["round_lines", "round_values"]

STYLES = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.INCONCLUSIVE: "warn"}


def round_lines(runs: Sequence[Path], decisions: Sequence[Decision]) -> Iterator[tuple[str, str, str]]:
    """Verdict, what else there is to say, and style, line by line.

    Args:
        runs: The folders that were decided on.
        decisions: One for each.
    """
    for run, decision in zip(runs, decisions, strict=True):
        yield (
            f"{decision.verdict:<12}",
            f"  {one_line(str(run), 200)}: {one_line(decision.sentence, 600)}",
            STYLES[decision.verdict],
        )
    passed = sum(decision.verdict is Verdict.PASS for decision in decisions)
    place = decisions[0].round
    if place is not None and not place.final:
        how = (
            "nothing is known of how their results depend on each other"
            if place.correlation is None
            else f"their results correlate by {place.correlation:.2f}"
        )
        yield "", f"{plural(passed, 'candidate')} of {place.of} passed, at one error rate for all; {how}", "plain"


def round_values(runs: Sequence[Path], decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """The same for programs: folder and whole decision of each."""
    return [
        {"run": str(run), "decision": json.loads(decision_to_json(decision))}
        for run, decision in zip(runs, decisions, strict=True)
    ]
