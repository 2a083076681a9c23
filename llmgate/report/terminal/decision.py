"""A decision as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict
from llmgate.report.visible import visible

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision
    from llmgate.report.pieces import Style, StyledLine

__all__ = ["decision_lines"]

STYLES: dict[Verdict, Style] = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.INCONCLUSIVE: "warn"}


def decision_lines(decision: Decision) -> list[StyledLine]:
    """A line per metric, what bars a PASS, and the sentence last. No line holds a control character.

    For doors that have a decision and no record. Reasons and problems quote what endpoints said.
    """
    lines: list[StyledLine] = [
        (
            f"{m.verdict:<12} {m.suite}::{m.metric} ({m.role}{', waived' if m.waived else ''}): {m.reason}",
            STYLES[m.verdict],
        )
        for m in decision.metrics
    ]
    lines += [(f"problem: {problem}", "warn") for problem in decision.problems]
    lines += [(f"required assert failed: {name}", "bad") for name in decision.required_failures]
    lines += [
        (f"slice {part.name}: {100 * part.delta:+.1f} points on {part.cases:,} cases (p = {part.p_worse:.2g})", "bad")
        for part in decision.slices
        if part.failed and not part.waived
    ]
    lines += [
        (f"waiver of {use.target} until {use.until} by {use.by}: {use.status}", "warn") for use in decision.waivers
    ]
    lines.append((decision.sentence, STYLES[decision.verdict]))
    return [(visible(" ".join(text.splitlines())), style) for text, style in lines]
