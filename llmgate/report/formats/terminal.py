"""The report as lines for a terminal: plain text with a style beside it, so that each door colours as it can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from llmgate.gate.decision.types import Verdict
from llmgate.report.visible import visible

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision

__all__ = ["Style", "StyledLine", "decision_lines"]

Style = Literal["good", "bad", "warn", "strong", "plain", "dim"]

StyledLine = tuple[str, Style]

VERDICT_STYLES: dict[Verdict, Style] = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.INCONCLUSIVE: "warn"}


def decision_lines(decision: Decision) -> list[StyledLine]:
    """A line per metric, what bars a PASS, and the sentence last. No line holds a control character.

    For doors that have a decision and no record. Reasons and problems quote what endpoints said.
    """
    lines: list[StyledLine] = [
        (
            f"{m.verdict:<12} {m.suite}::{m.metric} ({m.role}{', waived' if m.waived else ''}): {m.reason}",
            VERDICT_STYLES[m.verdict],
        )
        for m in decision.metrics
    ]
    lines += [(f"problem: {problem}", "warn") for problem in decision.problems]
    lines += [(f"required assert failed: {name}", "bad") for name in decision.required_failures]
    lines += [
        (f"slice {one.name}: {100 * one.delta:+.1f} points on {one.cases:,} cases (p = {one.p_worse:.2g})", "bad")
        for one in decision.slices
        if one.failed and not one.waived
    ]
    lines += [
        (f"waiver of {use.target} until {use.until} by {use.by}: {use.status}", "warn") for use in decision.waivers
    ]
    lines.append((decision.sentence, VERDICT_STYLES[decision.verdict]))
    return [(visible(" ".join(text.splitlines())), style) for text, style in lines]
