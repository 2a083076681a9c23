"""Single cases as lines no wider than the terminal: the question, the answers, and what the checks say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text as RichText

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.report.case_rows import Answer, CaseRow, CheckRow
    from llmgate.report.pieces import Style, StyledLine, Text

__all__ = ["case_lines", "wrapped"]

LEAST_WIDTH = 20
TITLE = "── "
QUOTE = "│ "
"""Begins every line of others: a terminal, or a runner that reads the log, takes none of them for llmgate's own."""
STYLES: dict[str, Style] = {"pass": "good", "fail": "bad", "error": "warn", "score": "plain"}
MARKS = {"pass": "✓", "fail": "✕", "error": "⚠"}


def case_lines(row: CaseRow, *, width: int) -> Iterator[StyledLine]:
    """One case. No line holds a control character, and none is wider than the terminal.

    Args:
        row: The case, worded and visible.
        width: Columns of the terminal; fewer than 20 count as 20.
    """
    yield from wrapped(f"{row.suite}::{row.case}", width, "strong", begin=TITLE)
    about = [row.metric, row.change, *([f"({row.parts})"] if row.parts else [])]
    if any(about):
        yield from wrapped(" ".join(filter(None, about)), width, "plain", begin=QUOTE)
    for also in row.also:
        yield from wrapped(f"also {also}", width, "dim", begin=QUOTE)
    for message in row.prompt:
        yield from _block(message.role, "dim", message.text, width)
    if row.expected:
        yield from _block("expected", "dim", row.expected, width)
    for pair in row.pairs:
        at = f", repeat {pair.repeat + 1}" if len(row.pairs) > 1 else ""
        for side, answer in (("champion", pair.champion), ("candidate", pair.candidate)):
            if answer is not None:
                yield from _answer(side + at, answer, width)
    if row.note:
        yield from wrapped(row.note, width, "dim", begin=QUOTE)


def _answer(side: str, answer: Answer, width: int) -> Iterator[StyledLine]:
    style = STYLES[answer.outcome]
    if answer.failure:
        yield from wrapped(f"{side}: {answer.how}", width, style)
        yield from wrapped(answer.failure, width, style, begin=QUOTE)
    else:
        yield from _block(f"{side}: {answer.how}", style, answer.text, width)
    for check in answer.checks:
        yield from wrapped(_check(check), width, STYLES[check.outcome], begin=QUOTE)


def _check(check: CheckRow) -> str:
    score = "" if check.score == "–" else f" {check.score}"
    required = ", required" if check.required else ""
    reason = f": {check.reason}" if check.reason else ""
    return f"{MARKS[check.outcome]} {check.type} ({check.metric}{score}{required}){reason}"


def _block(title: str, style: Style, text: Text, width: int) -> Iterator[StyledLine]:
    yield from wrapped(title, width, style)
    body = "".join(f"\n[… {piece.text} …]\n" if piece.kind == "note" else piece.text for piece in text)
    yield from wrapped(body or "(empty)", width, "plain" if body else "dim", begin=QUOTE)


def wrapped(text: str, width: int, style: Style, *, begin: str = "") -> Iterator[StyledLine]:
    """A text in lines of at most so many columns; wide characters count as two.

    Args:
        text: The text, visible.
        width: Columns.
        style: How the lines look.
        begin: What each line begins with.
    """
    room = max(width, LEAST_WIDTH) - len(begin)
    for line in RichText(text, tab_size=4).wrap(Console(width=room), room):
        yield (f"{begin}{line.plain}".rstrip(), style)
