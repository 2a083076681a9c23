"""Probabilities in words."""

from __future__ import annotations

from llmgate.report.words import percent

__all__ = ["chance"]


def chance(probability: float) -> str:
    """In whole per cent; certainty is only claimed where it is certain."""
    if 0.995 <= probability < 1.0:
        return "more than 99 %"
    if 0.0 < probability < 0.005:
        return "less than 1 %"
    return percent(probability, 0)
