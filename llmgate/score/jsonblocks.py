"""JSON values that stand in a text on lines of their own, as providers write tool calls between prose."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError
from llmgate.score.codefence import read_lines
from llmgate.score.jsontext import parse_json
from llmgate.suite.template.javascript import WHITESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.suite.asserts import Json

__all__ = ["find_json_blocks"]

_MAX_UNMATCHED = 65_536
_MAX_WORK = 4
"""Characters that may be parsed per character of the text: brackets that nest but are no JSON are tried again."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+("?)|[\[\]{}]')


@dataclass(slots=True)
class _Pair:
    """A bracket and its partner, with the pairs right inside."""

    start: int
    starts_line: bool
    opening: str
    inner: list[_Pair] = field(default_factory=list)
    end: int = -1
    ends_line: bool = False


def find_json_blocks(text: str) -> Iterator[Json]:
    """The outermost JSON objects and lists that begin and end a line, outside fenced code, in order.

    Where a block is no JSON, the blocks inside it are looked at. A bracket that does not fit, a fence and a quote that
    its line does not close part the text: nothing before them belongs to a bracket behind them.

    Raises:
        CannotRunError: If the text is too tangled to be read in time that grows with its length.
    """
    work = _MAX_WORK * len(text)
    stack = list(reversed(_pairs(text)))
    while stack:
        pair = stack.pop()
        if not pair.ends_line:
            continue
        work -= pair.end - pair.start
        if work < 0:
            raise CannotRunError("the output's brackets are too tangled to look for tool calls")
        try:
            value = parse_json(text[pair.start : pair.end])
        except ValueError:
            stack.extend(reversed(pair.inner))
            continue
        if pair.starts_line:
            yield value


def _pairs(text: str) -> list[_Pair]:
    """The outermost pairs of brackets that fit."""
    complete: list[_Pair] = []
    opened: list[_Pair] = []
    unmatched = 0

    def part() -> None:
        """Nothing that is open now will be closed; what is complete inside it stands on its own."""
        nonlocal unmatched
        unmatched += len(opened)
        for pair in opened:
            complete.extend(pair.inner)
        opened.clear()

    for token in _tokens(text):
        if token is None:
            part()
        elif token.opening in "{[":
            opened.append(token)
        elif opened and opened[-1].opening == ("{" if token.opening == "}" else "["):
            pair = opened.pop()
            pair.end, pair.ends_line = token.start + 1, token.ends_line
            (opened[-1].inner if opened else complete).append(pair)
        else:
            unmatched += 1
            part()
        if unmatched + len(opened) > _MAX_UNMATCHED:
            raise CannotRunError(f"the output has more than {_MAX_UNMATCHED} brackets without a partner")
    part()
    complete.sort(key=lambda pair: pair.start)
    return complete


def _tokens(text: str) -> Iterator[_Pair | None]:
    """The brackets outside strings and fenced code; None where the text is parted."""
    for line in read_lines(text):
        if line.ends or line.opens is not None:
            yield None
        if not line.plain:
            continue
        first = len(line.content) - len(line.content.lstrip(WHITESPACE))
        for token in _TOKEN.finditer(line.content):
            if token[0] in "[]{}":
                at = token.start()
                ends_line = at == len(line.content) - 1
                yield _Pair(line.start + at, at == first, token[0], ends_line=ends_line)
            elif not token[1]:
                yield None
