"""Reading JSON as JavaScript's `JSON.parse` does, to any depth."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json

__all__ = ["json_end", "parse_json"]

_LONGEST_EXACT_INT = 1000
"""Digits above which an integer is read as a float: converting long integers takes quadratic time."""

_SPACE = re.compile(r"[ \t\n\r]*+")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _whole(digits: str) -> int | float:
    if len(digits) <= _LONGEST_EXACT_INT:
        return int(digits)
    return -math.inf if digits.startswith("-") else math.inf


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_whole)


def parse_json(text: str) -> Json:
    """Reads strict JSON: no NaN, no comments, no text around it. The last of equal keys wins.

    Integers keep all their digits, so that two above 2^53 stay different; those too large for a float are infinite.

    Raises:
        ValueError: If it is not JSON.
    """
    try:
        value: Json = _DECODER.decode(text)
    except RecursionError:
        return _parse_deep(text)
    return value


def _parse_deep(text: str) -> Json:
    """Without recursion, for nesting beyond Python's stack; slower."""
    root: list[Json] = []
    stack: list[list[Json] | dict[str, Json]] = [root]
    position, expecting_key, key = 0, False, ""
    while True:
        position = _skip(text, position)
        container = stack[-1]
        if expecting_key:
            key, position = _key(text, position)
        character = text[position : position + 1]
        if character in {"[", "{"}:
            child: list[Json] | dict[str, Json] = [] if character == "[" else {}
            _attach(container, key, child)
            stack.append(child)
            position = _skip(text, position + 1)
            expecting_key = character == "{"
            if text[position : position + 1] != ("}" if expecting_key else "]"):
                continue
            stack.pop()
            position += 1
        else:
            value, position = _scalar(text, position)
            _attach(container, key, value)
        position, done = _close(text, position, stack)
        if done:
            return root[0]
        expecting_key = isinstance(stack[-1], dict)


def _attach(container: list[Json] | dict[str, Json], key: str, value: Json) -> None:
    if isinstance(container, list):
        container.append(value)
    else:
        container[key] = value


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _key(text: str, position: int) -> tuple[str, int]:
    key, position = _scalar(text, position)
    position = _skip(text, position)
    if not isinstance(key, str) or text[position : position + 1] != ":":
        raise ValueError(f"a key is missing at character {position}")
    return key, _skip(text, position + 1)


def _close(text: str, position: int, stack: list[list[Json] | dict[str, Json]]) -> tuple[int, bool]:
    """Goes past closing brackets and one comma."""
    while True:
        position = _skip(text, position)
        character = text[position : position + 1]
        if len(stack) == 1:
            if character:
                raise ValueError(f"there is more text at character {position}")
            return position, True
        position += 1
        if character == ",":
            return position, False
        if character != ("]" if isinstance(stack[-1], list) else "}"):
            raise ValueError(f"a comma or bracket is missing at character {position - 1}")
        stack.pop()


def _scalar(text: str, position: int) -> tuple[Json, int]:
    # The character there is no bracket, so this does not recurse.
    value, end = _DECODER.raw_decode(text, position)
    return value, end


def json_end(text: str, start: int) -> int | None:
    """Where the strict JSON value that begins at `start` ends, None if none begins there.

    Raises:
        RecursionError: If it is nested too deeply to tell.
    """
    try:
        return _DECODER.raw_decode(text, start)[1]
    except ValueError:
        return None
