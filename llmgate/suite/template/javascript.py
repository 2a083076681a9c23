"""JavaScript's rules for text, numbers, truth and white space, which promptfoo suites rely on.

The rules are those of ECMA-262 (https://tc39.es/ecma262/): `ToString`, `ToNumber`, `ToBoolean`, `IsLooselyEqual`,
`String.prototype.trim` and `JSON.stringify`, for the values that YAML and JSON can hold plus `undefined`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = [
    "UNDEFINED",
    "WHITESPACE",
    "Undefined",
    "is_number",
    "json_text",
    "less",
    "loosely_equal",
    "number_text",
    "strictly_equal",
    "text",
    "text_to_number",
    "to_number",
    "trim",
    "truthy",
    "utf16_length",
    "utf16_units",
    "words",
]


class Undefined(Enum):
    """The type of `undefined`."""

    UNDEFINED = "undefined"


UNDEFINED: Final = Undefined.UNDEFINED

WHITESPACE: Final = (
    "\t\n\v\f\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""WhiteSpace and LineTerminator of ECMA-262: U+FEFF belongs to them, U+0085, U+001C and U+200B do not."""

_WORDS = re.compile(f"[^{re.escape(WHITESPACE)}]+")
_DECIMAL = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_PREFIXED = re.compile(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+")
_STRUCTURED = (list, tuple, Mapping)
_TEXTUAL = (str, *_STRUCTURED)
_LONGEST_EXACT_INT = 1000
"""Digits above which an integer is read as a float: converting long integers takes quadratic time."""


def is_number(value: object) -> TypeIs[int | float]:
    """Whether this is a number: in JavaScript a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_text(value: float) -> str:
    """`3`, `0.1`, `1e-7`, `1e+21`; integers below 10^21 keep all their digits, also above 2^53."""
    if isinstance(value, int):
        if abs(value) < 10**21:
            return str(value)
        value = _int_to_float(value)
    if math.isnan(value):
        return "NaN"
    sign = "-" if value < 0 else ""
    if math.isinf(value):
        return f"{sign}Infinity"
    if value == 0:
        return "0"
    return sign + _positive_text(abs(value))


def _positive_text(value: float) -> str:
    # Both languages print the shortest digits that read back; only the notation differs.
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).rstrip("0")
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{tail}e{point - 1:+d}"


def text(value: object) -> str:
    """`String(value)`: `null`, `true`, a list as its items joined by commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ",".join("" if item is None or item is UNDEFINED else text(item) for item in value)
    if isinstance(value, Mapping):
        return "[object Object]"
    if is_number(value):
        return number_text(value)
    names = {None: "null", True: "true", False: "false", UNDEFINED: "undefined"}
    return names[value] if value in names else str(value)


def trim(value: str) -> str:
    """`value.trim()`."""
    return value.strip(WHITESPACE)


def words(value: str) -> list[str]:
    """The runs of characters between white space."""
    return _WORDS.findall(value)


def text_to_number(value: str) -> float:
    """`Number(value)` of a text: blank is 0, what is no number is NaN."""
    value = trim(value)
    if not value:
        return 0.0
    if _PREFIXED.fullmatch(value):
        return _int_to_float(int(value, 0)) if len(value) <= _LONGEST_EXACT_INT else math.inf
    if not _DECIMAL.fullmatch(value):
        return math.nan
    return float(value.replace("Infinity", "inf"))


def to_number(value: object) -> float:
    """`Number(value)`, always a float; NaN for everything structured, so that it takes no time."""
    if value is None:
        return 0.0
    if isinstance(value, bool | float):
        return float(value)
    if isinstance(value, int):
        return _int_to_float(value)
    return text_to_number(value) if isinstance(value, str) else math.nan


def _int_to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def truthy(value: object) -> bool:
    """`Boolean(value)`: an empty list and an empty mapping are true."""
    if value is None or value is UNDEFINED:
        return False
    if isinstance(value, bool | str):
        return bool(value)
    if isinstance(value, int | float):
        return value != 0 and not math.isnan(value)
    return True


def loosely_equal(left: object, right: object) -> bool:
    """`left == right`: `'1'` equals 1, null equals undefined, and two lists are equal only if they are the same."""
    nothing = (left is None or left is UNDEFINED, right is None or right is UNDEFINED)
    if any(nothing):
        return all(nothing)
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, _STRUCTURED) and isinstance(right, _STRUCTURED):
        return left is right
    left, right = _primitive(left), _primitive(right)
    return left == right if isinstance(left, str) and isinstance(right, str) else to_number(left) == to_number(right)


def strictly_equal(left: object, right: object) -> bool:
    """`left === right`: nothing is converted, and two lists are equal only if they are the same."""
    if is_number(left) and is_number(right):
        return left == right
    if isinstance(left, _STRUCTURED) or isinstance(right, _STRUCTURED):
        return left is right
    return type(left) is type(right) and left == right


def less(left: object, right: object) -> bool:
    """`left < right`: as texts if neither is a primitive other than text, else as numbers."""
    if isinstance(left, _TEXTUAL) and isinstance(right, _TEXTUAL):
        return _utf16(text(left)) < _utf16(text(right))
    return to_number(_primitive(left)) < to_number(_primitive(right))


def _primitive(value: object) -> object:
    return text(value) if isinstance(value, _STRUCTURED) else value


def _utf16(value: str) -> bytes:
    return value.encode("utf-16-be", "surrogatepass")


def utf16_units(text: str) -> str:
    """The text with a character per UTF-16 unit: what lies beyond U+FFFF becomes two surrogates."""
    return text if text.isascii() else _ASTRAL.sub(_surrogates, text)


def _surrogates(character: re.Match[str]) -> str:
    high, low = divmod(ord(character[0]) - 0x10000, 0x400)
    return chr(0xD800 + high) + chr(0xDC00 + low)


_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")


def utf16_length(value: str) -> int:
    """`value.length`: most emoji count two."""
    return len(value) if value.isascii() else len(_utf16(value)) // 2


def json_text(value: object, *, indent: int = 0) -> str:
    """`JSON.stringify(value, null, indent)`: compact without an indent, non-ASCII kept, NaN as null."""
    pieces: list[str] = []
    _write_json(value, pieces, " " * indent, "")
    return "".join(pieces)


def _write_json(value: object, pieces: list[str], step: str, margin: str) -> None:
    if isinstance(value, list | tuple):
        _write_items([("", item) for item in value], "[]", pieces, step, margin)
    elif isinstance(value, Mapping):
        colon = ": " if step else ":"
        members = [(_quoted(text(k)) + colon, v) for k, v in value.items() if v is not UNDEFINED]
        _write_items(members, "{}", pieces, step, margin)
    elif isinstance(value, str):
        pieces.append(_quoted(value))
    elif value is UNDEFINED or (isinstance(value, float) and not math.isfinite(value)):
        pieces.append("null")
    else:
        pieces.append(text(value))


def _write_items(items: list[tuple[str, object]], brackets: str, pieces: list[str], step: str, margin: str) -> None:
    if not items:
        pieces.append(brackets)
        return
    inner = f"\n{margin}{step}" if step else ""
    separator = brackets[0]
    for head, item in items:
        pieces.append(separator + inner + head)
        _write_json(item, pieces, step, margin + step)
        separator = ","
    pieces.append(f"\n{margin}{brackets[1]}" if step else brackets[1])


def _quoted(value: str) -> str:
    quoted = json.dumps(value, ensure_ascii=False)
    if quoted.isascii():
        return quoted
    # A surrogate without its partner is not text; JSON.stringify escapes it.
    return re.sub("[\ud800-\udfff]", lambda m: f"\\u{ord(m.group()):04x}", quoted)
