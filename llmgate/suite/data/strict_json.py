"""JSON that every reader reads in the same way: no duplicate keys, no NaN, no number that becomes infinite.

And JSON as it is compared: equal values are equal texts.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Final, Never

from llmgate.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.suite.asserts import Json

__all__ = ["canonical", "json_at", "json_type", "parse_json", "texts_in", "value_text"]


_TYPES: Final = {
    type(None): "null",
    bool: "boolean",  # before the numbers, of which Python takes it for one
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


class _NotStrictJsonError(ValueError):
    """Python's JSON reader takes it, but the JSON standard or a second reader would not."""


def parse_json(text: str, *, where: str, fix: str) -> Json:
    """Read one JSON value.

    Args:
        text: The value.
        where: `file:line`, for messages.
        fix: What to advise if it is no JSON at all.

    Raises:
        DatasetError: If it is not JSON, or JSON that two readers could understand differently.
    """
    try:
        if text.startswith("\ufeff"):
            raise json.JSONDecodeError("Unexpected UTF-8 BOM", text, 0)
        value: Json = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise DatasetError(f"not JSON: {error.msg} (column {error.colno})", where=where, fix=fix) from error
    except _NotStrictJsonError as error:
        raise DatasetError(str(error), where=where, fix="Write what every JSON reader reads in the same way") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            "not JSON that can be read: a number is too long or values are nested too deeply",
            where=where,
            fix="Write long numbers as text",
        ) from error
    return value


def json_at(text: str, start: int) -> tuple[Json, int]:
    """Read the JSON value that begins at a place of a text.

    Returns:
        The value, and where it ends.

    Raises:
        ValueError: If there is none, or one that two readers could understand differently.
        RecursionError: If values are nested too deeply.
    """
    value: Json
    value, end = _DECODER.raw_decode(text, start)
    return value, end


def json_type(value: Json) -> str:
    """Name the JSON type of a value: `null`, `boolean`, `number`, `string`, `array` or `object`."""
    # A reader may have a kind of text or list of its own.
    return _TYPES.get(type(value)) or next(name for kind, name in _TYPES.items() if isinstance(value, kind))


def canonical(value: Json) -> str:
    """A value in one line, its keys sorted."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def value_text(value: Json) -> str:
    """A text as it is and any other value as JSON, such as slices and clusters are called by."""
    return value if isinstance(value, str) else canonical(value)


def texts_in(value: Json) -> Iterator[str]:
    """The texts of a value, those inside lists and objects too, in order."""
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, list | dict):
            stack.extend(reversed(part if isinstance(part, list) else [*part.values()]))


def _without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        key, count = Counter(key for key, _ in pairs).most_common(1)[0]
        raise _NotStrictJsonError(f"the key {key!r} stands {count} times in one object")
    return found


def _refuse_constant(name: str) -> Never:
    raise _NotStrictJsonError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotStrictJsonError(f"the number {text} is too large")
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant, parse_float=_finite
)
