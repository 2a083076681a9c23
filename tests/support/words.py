"""All that a decision says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.details import detail_lines

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision

__all__ = ["said"]


def said(decision: Decision) -> str:
    """The sentence, the labelled lines and the problems, a line each."""
    lines = [f"{label}: {text}" for label, text in detail_lines(decision)]
    return "\n".join([decision.sentence, *lines, *map(str, decision.problems)])
