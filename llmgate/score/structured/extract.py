"""JSON inside a text, in bounded time: objects anywhere, or objects and lists that stand on lines of their own.

`find_json_objects` reads what JSON's grammar allows, from every brace; `find_json_blocks` pairs brackets outside of
code fences, as promptfoo looks for calls of tools.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError
from llmgate.score.structured.parse import parse_json
from llmgate.score.text.code_fence import read_lines
from llmgate.suite.template.javascript import WHITESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.suite.asserts import Json

__all__ = ["find_json_blocks", "find_json_objects"]

_TOKEN = re.compile(
    r"""[ \t\n\r]*+(?:
        (?P<punctuation>[{}\[\],:])
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")
      | (?P<value>true|false|null|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)
    )""",
    re.VERBOSE,
)
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+("?)|[\[\]{}]')
_MAX_UNMATCHED = 65_536
_MAX_WORK = 4
"""Characters that may be parsed per character of the text: brackets that nest but are no JSON are tried again."""


class _Next(Enum):
    """What may come at a place inside an object or a list."""

    FIRST_KEY = auto()
    KEY = auto()
    COLON = auto()
    FIRST_ITEM = auto()
    VALUE = auto()
    COMMA = auto()


_CONTAINER = {"{": _Next.FIRST_KEY, "[": _Next.FIRST_ITEM}
_VALUE_PLACES = frozenset({_Next.FIRST_ITEM, _Next.VALUE})
_KEY_PLACES = frozenset({_Next.FIRST_KEY, _Next.KEY})
_CLOSING_PLACES = {"{": frozenset({_Next.FIRST_KEY, _Next.COMMA}), "[": frozenset({_Next.FIRST_ITEM, _Next.COMMA})}
_PARTNER = {"}": "{", "]": "["}


def find_json_objects(text: str) -> Iterator[Json]:
    """The outermost JSON objects of a text, in order.

    Yields:
        Each as `parse_json` reads it.
    """
    tried: set[int] = set()
    whole: dict[int, int] = {}
    start = text.find("{")
    while start >= 0:
        if start not in tried:
            whole.update(_read(text, start, tried))
        if start in whole:
            yield parse_json(text[start : whole[start]])
        start = text.find("{", whole.get(start, start + 1))


def _read(text: str, start: int, tried: set[int]) -> list[tuple[int, int]]:
    """Reads the object that a brace begins.

    Args:
        text: All of it.
        start: Where the brace is.
        tried: Receives the braces that were read on the way: from there the reading would go on just the same.

    Returns:
        Where the outermost whole objects begin and end.
    """
    stack: list[tuple[str, int]] = []
    spans: list[tuple[int, int]] = []
    state, position = _Next.VALUE, start
    while match := _TOKEN.match(text, position):
        position = match.end()
        sign = match["punctuation"]
        if sign in _CONTAINER:
            if state not in _VALUE_PLACES:
                break
            tried.add(position - 1)
            stack.append((sign, position - 1))
            state = _CONTAINER[sign]
        elif sign in _PARTNER:
            if stack[-1][0] != _PARTNER[sign] or state not in _CLOSING_PLACES[_PARTNER[sign]]:
                break
            first = stack.pop()[1]
            if sign == "}":
                while spans and spans[-1][0] > first:
                    spans.pop()
                spans.append((first, position))
            if not stack:
                break
            state = _Next.COMMA
        else:
            following = _after(state, sign, stack[-1][0], is_text=match["string"] is not None)
            if following is None:
                break
            state = following
    return spans


def _after(state: _Next, sign: str | None, container: str, *, is_text: bool) -> _Next | None:
    """What may follow a comma, a colon, a text or another scalar; None if it may not stand there."""
    if sign == ",":
        return (_Next.KEY if container == "{" else _Next.VALUE) if state is _Next.COMMA else None
    if sign == ":":
        return _Next.VALUE if state is _Next.COLON else None
    if state in _KEY_PLACES:
        return _Next.COLON if is_text else None
    return _Next.COMMA if state in _VALUE_PLACES else None


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
        for token in _BRACKET.finditer(line.content):
            if token[0] in "[]{}":
                at = token.start()
                ends_line = at == len(line.content) - 1
                yield _Pair(line.start + at, at == first, token[0], ends_line=ends_line)
            elif not token[1]:
                yield None
