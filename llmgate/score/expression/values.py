"""The values of a small JavaScript program, and ECMA-262's rules for them.

A text has one character per UTF-16 unit, so that length, index and pattern count as JavaScript does. Numbers are
floats, lists are Python's lists, objects are dicts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from llmgate.score.expression.spending import ThrownError, unknown
from llmgate.score.javascript.pattern import Pattern
from llmgate.suite.template import javascript
from llmgate.suite.template.javascript import UNDEFINED, utf16_units

if TYPE_CHECKING:
    from llmgate.score.expression.spending import Spending

__all__ = [
    "JsFunction",
    "JsMatch",
    "JsRegex",
    "JsSet",
    "characters",
    "get_member",
    "identity",
    "is_index",
    "joined",
    "js_keys",
    "js_less",
    "js_loosely_equal",
    "js_number",
    "js_same",
    "js_text",
    "js_typeof",
    "js_value",
    "plain_value",
]

_MAX_NESTED: Final = 200
_MAX_PARTS: Final = 20_000
_OBJECT: Final = frozenset(
    [
        "constructor",
        "__defineGetter__",
        "__defineSetter__",
        "hasOwnProperty",
        "__lookupGetter__",
        "__lookupSetter__",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toString",
        "valueOf",
        "__proto__",
        "toLocaleString",
    ]
)
_STRING: Final = _OBJECT | frozenset(
    [
        "anchor",
        "at",
        "big",
        "blink",
        "bold",
        "charAt",
        "charCodeAt",
        "codePointAt",
        "concat",
        "endsWith",
        "fontcolor",
        "fontsize",
        "fixed",
        "includes",
        "indexOf",
        "isWellFormed",
        "italics",
        "lastIndexOf",
        "link",
        "localeCompare",
        "match",
        "matchAll",
        "normalize",
        "padEnd",
        "padStart",
        "repeat",
        "replace",
        "replaceAll",
        "search",
        "slice",
        "small",
        "split",
        "strike",
        "sub",
        "substr",
        "substring",
        "sup",
        "startsWith",
        "toWellFormed",
        "trim",
        "trimStart",
        "trimLeft",
        "trimEnd",
        "trimRight",
        "toLocaleLowerCase",
        "toLocaleUpperCase",
        "toLowerCase",
        "toUpperCase",
    ]
)
_ARRAY: Final = _OBJECT | frozenset(
    [
        "at",
        "concat",
        "copyWithin",
        "fill",
        "find",
        "findIndex",
        "findLast",
        "findLastIndex",
        "lastIndexOf",
        "pop",
        "push",
        "reverse",
        "shift",
        "unshift",
        "slice",
        "sort",
        "splice",
        "includes",
        "indexOf",
        "join",
        "keys",
        "entries",
        "values",
        "forEach",
        "filter",
        "flat",
        "flatMap",
        "map",
        "every",
        "some",
        "reduce",
        "reduceRight",
        "toReversed",
        "toSorted",
        "toSpliced",
        "with",
    ]
)
_NUMBER: Final = _OBJECT | {"toExponential", "toFixed", "toPrecision"}


@dataclass(slots=True, eq=False)
class JsRegex:
    """A regular expression with its position, which `g` moves on."""

    source: str
    flags: str
    pattern: Pattern
    last: int = 0


class JsMatch(list[object]):
    """What `match` finds: the whole, the groups, and where."""

    at: float = 0
    groups: object = UNDEFINED


@dataclass(slots=True, eq=False)
class JsSet:
    """A `Set`: its items by what makes them equal, in order."""

    items: dict[object, object] = field(default_factory=dict)

    def add(self, value: object) -> None:
        """Adds an item that is not there yet."""
        self.items.setdefault(identity(value), value)


@dataclass(slots=True, eq=False)
class JsFunction:
    """A function of the program, or one of the language that is handed on, as in `.filter(Boolean)`."""

    call: Callable[..., object]
    native: Callable[..., object] | None = None


def characters(text: str) -> list[str]:
    """The code points of a text, which is what loops over it see."""
    return list(text) if text.isascii() else [utf16_units(character) for character in joined(text)]


def identity(value: object) -> object:
    """What is equal for two values that a `Set` takes for one."""
    if isinstance(value, str | bool) or value is None or value is UNDEFINED:
        return (type(value), value)
    if isinstance(value, float):
        return (float, "NaN" if math.isnan(value) else value)
    return (object, id(value))


def joined(text: str) -> str:
    """A text with one character per code point, of one with a character per UTF-16 unit."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def js_value(value: object, spending: Spending, level: int = 0) -> object:
    """Data of JSON or YAML as the program sees it; a copy, so that nothing outside is changed.

    Raises:
        CannotRunError: If it is too large or nested too deeply.
    """
    if isinstance(value, str):
        spending.chars(len(value))
        return utf16_units(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return javascript.to_number(value)
    if isinstance(value, list | tuple | Mapping):
        if level > _MAX_NESTED:
            raise unknown(f"data nested more than {_MAX_NESTED} levels deep")
        spending.steps(len(value) + 1)
        if isinstance(value, Mapping):
            return {
                utf16_units(javascript.text(key)): js_value(item, spending, level + 1) for key, item in value.items()
            }
        return [js_value(item, spending, level + 1) for item in value]
    if value is None or value is UNDEFINED or isinstance(value, bool):
        return value
    return utf16_units(str(value))  # a date of YAML


def plain_value(value: object, spending: Spending, level: int = 0) -> object:
    """A value of the program as data; what JSON has no word for is left out of objects and null in lists.

    Raises:
        CannotRunError: If it holds functions, patterns or sets, or is nested too deeply.
    """
    if isinstance(value, str):
        spending.chars(len(value))
        return joined(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, list | dict):
        if level > _MAX_NESTED:
            raise unknown(f"data nested more than {_MAX_NESTED} levels deep")
        spending.steps(len(value) + 1)
        if isinstance(value, list):
            return [plain_value(item, spending, level + 1) for item in value]
        return {joined(key): plain_value(value[key], spending, level + 1) for key in js_keys(value)}
    if value is None or value is UNDEFINED or isinstance(value, bool):
        return value
    raise unknown("a function, a pattern or a set as data")


def js_keys(value: Mapping[str, object]) -> list[str]:
    """The keys of an object in JavaScript's order: whole numbers first."""
    whole = [key for key in value if is_index(key)]
    if not whole:
        return list(value)
    return sorted(whole, key=int) + [key for key in value if not is_index(key)]


def is_index(key: str) -> bool:
    """Whether this is a position of a list, as a key."""
    return len(key) < 10 and key.isascii() and key.isdigit() and (key == "0" or key[0] != "0")


def js_typeof(value: object) -> str:
    """`typeof value`."""
    if value is UNDEFINED:
        return "undefined"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "function" if isinstance(value, JsFunction) else "object"


def primitive(value: object) -> object:
    """A value as texts and numbers are made of it."""
    if isinstance(value, list | dict):
        return text_of(value, [_MAX_PARTS])
    if isinstance(value, JsRegex | JsSet | JsFunction):
        raise unknown("a function, a pattern or a set as a text")
    return value


def text_of(value: object, left: list[int], level: int = 0) -> str:
    """`String(value)`; a list that holds another one many times is paid for as often."""
    left[0] -= 1
    if level > _MAX_NESTED or left[0] < 0:
        raise unknown("so large a list as a text")
    if isinstance(value, list):
        return ",".join("" if item is None or item is UNDEFINED else text_of(item, left, level + 1) for item in value)
    if isinstance(value, JsRegex | JsSet | JsFunction):
        raise unknown("a function, a pattern or a set as a text")
    return javascript.text(value)


def js_text(value: object, spending: Spending) -> str:
    """`String(value)`, paid for."""
    if isinstance(value, list):
        spending.steps(len(value))
    text = value if isinstance(value, str) else text_of(value, [_MAX_PARTS])
    spending.chars(len(text))
    return text


def js_number(value: object) -> float:
    """`Number(value)`."""
    return math.nan if value is UNDEFINED else javascript.to_number(primitive(value))


def js_same(left: object, right: object) -> bool:
    """`left === right`."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, str | float) and type(left) is type(right):
        return left == right
    return left is right


def js_loosely_equal(left: object, right: object) -> bool:
    """`left == right`."""
    nothing = (left is None or left is UNDEFINED, right is None or right is UNDEFINED)
    if any(nothing):
        return all(nothing)
    if type(left) is type(right):
        return js_same(left, right)
    objects = [isinstance(value, list | dict | JsRegex | JsSet | JsFunction) for value in (left, right)]
    if all(objects):
        return left is right
    left, right = primitive(left), primitive(right)
    return left == right if isinstance(left, str) and isinstance(right, str) else js_number(left) == js_number(right)


def js_less(left: object, right: object) -> bool | None:
    """`left < right`; None where one of them is no number, so that neither `<` nor `>=` holds."""
    left, right = primitive(left), primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    first, second = js_number(left), js_number(right)
    return None if math.isnan(first) or math.isnan(second) else first < second


def get_member(value: object, key: object, spending: Spending) -> object:
    """`value[key]` for data; methods are no data, and taking one without a call is refused.

    Raises:
        ThrownError: If there is no value to take a member of.
        CannotRunError: If it is a method or something else that is inherited.
    """
    if value is None or value is UNDEFINED:
        name = js_text(key, spending)[:60]
        raise ThrownError(f"Cannot read properties of {javascript.text(value)} (reading '{joined(name)}')")
    name = key if isinstance(key, str) else js_text(key, spending)
    if isinstance(value, dict):
        return value[name] if name in value else inherited(name, _OBJECT)
    if isinstance(value, str | list):
        return _of_items(value, name)
    if isinstance(value, float | bool):
        return inherited(name, _NUMBER)
    if isinstance(value, JsSet) and name == "size":
        return float(len(value.items))
    raise unknown(f"the member {name[:40]!r} of a function, a pattern or a set")


def _of_items(value: str | list[object], name: str) -> object:
    if name == "length":
        return float(len(value))
    if is_index(name):
        return value[int(name)] if int(name) < len(value) else UNDEFINED
    if isinstance(value, JsMatch) and name in {"index", "groups"}:
        return value.at if name == "index" else value.groups
    return inherited(name, _STRING if isinstance(value, str) else _ARRAY)


def inherited(name: str, names: frozenset[str]) -> object:
    """Undefined, unless every value of this kind has such a member."""
    if name in names:
        raise unknown(f"the member {name!r} without a call")
    return UNDEFINED
