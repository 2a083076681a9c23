"""Fenced code blocks in Markdown: which lines stand inside one.

Reference: https://spec.commonmark.org/0.31.2/#fenced-code-blocks. List items are followed only as far as their
indentation decides what opens and closes a fence; block quotes are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmgate.suite.template.javascript import WHITESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CodeBlock", "Line", "code_blocks", "read_lines"]

_MARKER = re.compile(r"[ \t]*+(`{3,}+|~{3,}+)")
_LIST = re.compile(r"[ \t]*+(?:[-+*]|[0-9]++[.)])[ \t]++")
_TAB_STOP = 4
_MOST_INDENT = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A line and how it relates to fences.

    Attributes:
        start: Where it begins in the text.
        content: What it holds, without the white space at its end.
        fenced: Whether it belongs to a code block; neither do the lines that open and close one.
        opens: The info string where the line opens a block, for example `python`; None elsewhere.
        ends: Whether a block ended here, or just before this line where the text left the block's list item.
    """

    start: int
    content: str
    fenced: bool = False
    opens: str | None = None
    ends: bool = False

    @property
    def plain(self) -> bool:
        """Whether the line is ordinary text. One before which a block ended can be."""
        return not self.fenced and self.opens is None


@dataclass(slots=True)
class _Fences:
    """What is open at a line: the marker of a block, its indentation, and the list items around."""

    marker: str = ""
    indent: int = 0
    items: list[int] = field(default_factory=list)

    def take(self, start: int, content: str) -> Line | None:
        """The line as part of a block or as the opening of one, None for ordinary text."""
        blank = len(content) - len(content.lstrip(WHITESPACE))
        indent = _columns(content[:blank])
        if self.marker and not (content and indent < self.indent):
            closes = self._closes(content, indent)
            self.marker = "" if closes else self.marker
            return Line(start, content, fenced=not closes, ends=closes)
        left, self.marker = bool(self.marker), ""
        info = self._open(content, indent)
        if info is not None:
            return Line(start, content, opens=info, ends=left)
        return Line(start, content, ends=True) if left else None

    def _closes(self, content: str, indent: int) -> bool:
        marker = _MARKER.match(content)
        return (
            marker is not None
            and indent <= self.indent + _MOST_INDENT
            and marker[1].startswith(self.marker)
            and not content[marker.end() :].strip(WHITESPACE)
        )

    def _open(self, content: str, indent: int) -> str | None:
        while content and self.items and indent < self.items[-1]:
            self.items.pop()
        item = _LIST.match(content)
        if item:
            self.items.append(_columns(item[0]))
        self.indent = self.items[-1] if self.items else 0
        rest = content[item.end() :] if item else content
        marker = _MARKER.match(rest)
        if not marker or not (item or indent <= self.indent + _MOST_INDENT):
            return None
        info = rest[marker.end() :]
        if marker[1].startswith("`") and "`" in info:
            return None
        self.marker = marker[1]
        return info.strip(WHITESPACE)


def _columns(text: str) -> int:
    column = 0
    for character in text:
        column += _TAB_STOP - column % _TAB_STOP if character == "\t" else 1
    return column


def read_lines(text: str) -> Iterator[Line]:
    """All lines in order. A block that is never closed goes on to the end of the text."""
    fences, start = _Fences(), 0
    for line in text.split("\n"):
        content = line.rstrip(WHITESPACE)
        yield fences.take(start, content) or Line(start, content)
        start += len(line) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBlock:
    """A fenced block.

    Attributes:
        info: The info string, for example `python`.
        code: What it holds, the fence's own indentation taken off.
        closed: Whether it ended before the text did.
    """

    info: str
    code: str
    closed: bool


def code_blocks(text: str) -> list[CodeBlock]:
    """All fenced blocks in order."""
    blocks: list[CodeBlock] = []
    info, indent, code = "", 0, list[str]()
    is_open = False
    for line in read_lines(text):
        if line.ends:
            blocks.append(CodeBlock(info=info, code="\n".join(code), closed=True))
            is_open = False
        if line.opens is not None:
            marker = _LIST.sub(lambda item: " " * len(item[0]), line.content, count=1)
            info, indent, code = line.opens, len(marker) - len(marker.lstrip(" ")), []
            is_open = True
        elif line.fenced:
            spaces = len(line.content) - len(line.content.lstrip(" "))
            code.append(line.content[min(indent, spaces) :])
    if is_open:
        blocks.append(CodeBlock(info=info, code="\n".join(code), closed=False))
    return blocks
