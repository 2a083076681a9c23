"""JSON objects inside a text, each as a strict parser accepts it.

An outermost object is taken whole; where what a brace begins is no object, the objects inside it are looked at. Every
brace that opens something is read at most once outside of texts and once more if another reading takes it for part of
a text, so the time is linear however the braces nest.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING

from llmgate.score.jsontext import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.suite.asserts import Json

__all__ = ["find_json_objects"]

_TOKEN = re.compile(
    r"""[ \t\n\r]*+(?:
        (?P<punctuation>[{}\[\],:])
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")
      | (?P<value>true|false|null|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)
    )""",
    re.VERBOSE,
)


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
