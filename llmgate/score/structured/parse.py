"""JSON out of answers: strict parsing with bounds on size and depth."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn, cast

from llmgate.errors import CannotRunError, did_you_mean
from llmgate.score.assertion.check import Finding
from llmgate.score.assertion.rule import invalid_value
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmgate.score.assertion.check import CheckContext
    from llmgate.suite.asserts import AssertSpec, Json

__all__ = ["check_json", "check_keys", "json_end", "not_json", "output_json", "parse_json", "same_json"]

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


def output_json(context: CheckContext) -> Json:
    """The output, read as strict JSON if it is a text.

    Raises:
        ValueError: If it is not JSON.
    """
    return parse_json(context.output) if isinstance(context.output, str) else cast("Json", context.output)


def not_json(spec: AssertSpec, error: ValueError) -> Finding:
    """What is found in an output that is no JSON: nothing that was wanted.

    Raises:
        CannotRunError: If that would let a `not-` form pass, about data that is not there.
    """
    if spec.negated:
        raise CannotRunError(f"{spec.name}: the output is not JSON, so nothing can be said of its data: {error}"[:200])
    return Finding.of(False, f"not JSON: {error}"[:200])


def check_json(spec: AssertSpec, value: object) -> Json:
    """A value of a suite, if JSON has values of its kind.

    Raises:
        SuiteError: If it holds a date, a key that is no text, a number that is not finite, or the like.
    """
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            for key in node:
                if not isinstance(key, str):
                    raise invalid_value(
                        spec, f"the key {key!r} is no text, as all keys in JSON are", "Put it in quotes"
                    )
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, float) and not math.isfinite(node):
            raise invalid_value(spec, f"{node} is no number in JSON")
        elif not (node is None or isinstance(node, str | bool | int | float)):
            raise invalid_value(spec, f"{str(node)[:80]!r} is no value in JSON", "Put it in quotes")
    return cast("Json", value)


def check_keys(spec: AssertSpec, value: Mapping[str, object], known: Collection[str]) -> None:
    """Refuses keys that do not exist.

    Raises:
        SuiteError: If there is one.
    """
    for key in value:
        if key not in known:
            raise invalid_value(spec, f"unknown key {key!r}", did_you_mean(str(key), known))


def same_json(left: object, right: object, *, subset: bool = False) -> bool:
    """Deep equality in which a boolean never equals a number, and 1 equals 1.0.

    Args:
        left: A value.
        right: Another one.
        subset: Whether mappings on the right may hold more.
    """
    waiting = [(left, right)]
    while waiting:
        one, other = waiting.pop()
        if isinstance(one, bool) or isinstance(other, bool):
            same = one is other
        elif isinstance(one, list) and isinstance(other, list):
            same = len(one) == len(other)
            waiting.extend(zip(one, other, strict=False))
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            same = one.keys() <= other.keys() if subset else one.keys() == other.keys()
            waiting.extend((one[key], other[key]) for key in one if same)
        else:
            same = (
                not isinstance(one, Mapping | list)
                and javascript.is_number(one) == javascript.is_number(other)
                and (one == other)
            )
        if not same:
            return False
    return True
