"""What rows and lines are made of: states, styles, and texts in pieces."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = ["LedLine", "Piece", "State", "Style", "StyledLine", "Text"]

Style = Literal["good", "bad", "warn", "strong", "plain", "dim"]

StyledLine = tuple[str, Style]
"""A line for a terminal: plain text with its style beside it, so that each door colours as it can."""

LedLine = tuple[str, str, Style]
"""The same, of which only the first part has the style: a word in colour is seen, a wall of it is not read."""


class State(StrEnum):
    """How a verdict looks. Four looks for three words: INCONCLUSIVE for want of data and for want of evaluation."""

    PASS = "pass"  # noqa: S105 - a state, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_EVALUATED = "not-evaluated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of a text: as it was, differing from the other side's text, or a note of ours in place of text."""

    text: str
    kind: Literal["plain", "changed", "note"] = "plain"


Text = tuple[Piece, ...]
