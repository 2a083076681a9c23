"""Text in Markdown that does nothing there: sentences, code and tables.

What a model, a dataset or a server wrote stands inside code, where neither HTML nor links, mentions or emphasis work;
sentences of ours, which may quote names, are escaped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmgate.report.pieces import Text

__all__ = ["as_table", "code", "escaped", "fenced", "fitted", "folded", "in_cell", "prose"]

ZERO_WIDTH_SPACE = "\u200b"

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~$])")
# What GitHub turns into links and notifications even where Markdown's own syntax is escaped.
_LINKING = re.compile(r"(@|#|(?<=://)|(?<=:)(?=//)|\bwww(?=\.)|\bGH(?=-\d))", re.IGNORECASE)
_TICKS = re.compile(r"`+")


def as_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, figures: bool = False) -> str:
    """A table, which needs a blank line before it.

    Args:
        header: Titles of the columns.
        rows: Cells that are fit to stand in a table, one per column.
        figures: Whether every column but the first holds figures.
    """
    lines = [header, ["---", *["---:" if figures else "---"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(cell or ' ' for cell in line)} |\n" for line in lines)


def prose(text: str) -> str:
    """A sentence: no markup, no HTML, no link, no mention; on one line, fit for a table cell."""
    plain = escaped(" ".join(text.split()))
    return _LINKING.sub(rf"\1{ZERO_WIDTH_SPACE}", _SPECIAL.sub(r"\\\1", plain))


def escaped(text: str) -> str:
    """A text in which nothing is HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def folded(title: str, body: str) -> str:
    """A part that opens on a click; the title is HTML, in which Markdown's own escapes would show."""
    plain = _LINKING.sub(rf"\1{ZERO_WIDTH_SPACE}", escaped(" ".join(title.split())))
    return f"<details><summary>{plain}</summary>\n\n{body}\n</details>\n"


def _longest_ticks(text: str) -> int:
    return max((len(run) for run in _TICKS.findall(text)), default=0)


def in_cell(text: str) -> str:
    """A code span for a table cell, whose pipes GitHub sees before it sees the code.

    A backslash that stands before an escaped pipe would undo the escape, so that an invisible space parts them.
    """
    return code(text.replace("\\|", f"\\{ZERO_WIDTH_SPACE}|").replace("|", "\\|"))


def code(text: str) -> str:
    """A code span on one line."""
    line = " ".join(text.split()) or "–"
    ticks = "`" * (_longest_ticks(line) + 1)
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def fenced(text: Text) -> str:
    """A block of code, whatever fences stand in it."""
    body = "".join(f"\n[… {piece.text} …]\n" if piece.kind == "note" else piece.text for piece in text)
    ticks = "`" * max(3, _longest_ticks(body) + 1)
    return f"{ticks}text\n{body}\n{ticks}\n"


def fitted(text: str, most: int, render: Callable[[str], str] = code) -> str:
    """The longest beginning of a text that takes at most so many bytes of UTF-8 once it is rendered.

    Args:
        text: The text. One that is cut ends in an ellipsis.
        most: Bytes, at least 10.
        render: Escaping comes after cutting, so that no cut undoes it.
    """
    shown, kept = render(text), text
    while len(shown.encode()) > most:
        # Some characters become many bytes: cut in proportion, and again where that was not enough.
        kept = kept[: min(len(kept) - 1, len(kept) * most // len(shown.encode()))]
        shown = render(f"{kept}…")
    return shown
