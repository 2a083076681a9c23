"""The functions of JavaScript that belong to no value: `JSON.parse`, `Math.max`, `parseInt` and others."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from llmgate.score.expression.patterns import compiled
from llmgate.score.expression.spending import Spending, ThrownError, unknown
from llmgate.score.expression.values import (
    JsFunction,
    JsRegex,
    JsSet,
    characters,
    identity,
    joined,
    js_keys,
    js_number,
    js_text,
    js_value,
    plain_value,
)
from llmgate.score.structured.parse import parse_json
from llmgate.suite.template import javascript
from llmgate.suite.template.javascript import UNDEFINED

__all__ = ["NAMES", "STATIC", "call_static", "construct", "parsed_float"]

Apply = Callable[[object, list[object]], object]
_WHOLE = re.compile(r"[+-]?(?:0[xX])?[0-9a-zA-Z]*")
_DECIMAL = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_LONGEST: Final = 400


def _argument(arguments: list[object], i: int) -> object:
    return arguments[i] if i < len(arguments) else UNDEFINED


def _parse(arguments: list[object], spending: Spending, _: Apply) -> object:
    text = joined(js_text(_argument(arguments, 0), spending))
    if len(arguments) > 1:
        raise unknown("`JSON.parse` with a function")
    spending.chars(8 * len(text))
    try:
        value = parse_json(text)
    except ValueError as error:
        raise ThrownError(f"not JSON: {error}"[:200], "SyntaxError") from error
    return js_value(value, spending)


def _stringify(arguments: list[object], spending: Spending, _: Apply) -> object:
    value, keep, space = (_argument(arguments, i) for i in range(3))
    if keep is not None and keep is not UNDEFINED:
        raise unknown("`JSON.stringify` with a choice of keys")
    if value is UNDEFINED:
        return UNDEFINED
    indent = min(10, max(0, int(space))) if isinstance(space, float) and math.isfinite(space) else 0
    if isinstance(space, str) and space:
        raise unknown("`JSON.stringify` with a text before lines")
    text = javascript.json_text(plain_value(value, spending), indent=indent)
    spending.chars(len(text))
    return javascript.utf16_units(text)


def _object(name: str, take: Callable[[Mapping[str, object]], list[object]]) -> Callable[..., object]:
    def call(arguments: list[object], spending: Spending, _: Apply) -> object:
        value = _argument(arguments, 0)
        if value is None or value is UNDEFINED:
            raise ThrownError("Cannot convert undefined or null to object")
        if isinstance(value, list | str):
            value = {str(i): item for i, item in enumerate(value)}
        if isinstance(value, float | bool):
            value = {}
        if not isinstance(value, dict):
            raise unknown(f"`Object.{name}` of a function, a pattern or a set")
        spending.steps(len(value))
        return take(value)

    return call


def _has_own(arguments: list[object], spending: Spending, _: Apply) -> object:
    value, key = _argument(arguments, 0), js_text(_argument(arguments, 1), spending)
    if not isinstance(value, dict):
        raise unknown("`Object.hasOwn` of something else than an object")
    return key in value


def _array_from(arguments: list[object], spending: Spending, apply: Apply) -> object:
    value, function = _argument(arguments, 0), _argument(arguments, 1)
    if isinstance(value, JsSet):
        items = list(value.items.values())
    elif isinstance(value, list | str):
        items = list(value) if isinstance(value, list) else list(characters(value))
    else:
        raise unknown("`Array.from` of something else than a list, a set or a text")
    spending.steps(len(items))
    if function is UNDEFINED:
        return items
    return [apply(function, [item, float(i)]) for i, item in enumerate(items)]


def _number(apply: Callable[[float], float]) -> Callable[..., object]:
    return lambda arguments, _spending, _apply: apply(js_number(_argument(arguments, 0)))


def _rounded(apply: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(apply(value)) if math.isfinite(value) else value


def _half_up(value: float) -> int:
    low = math.floor(value)
    return low + 1 if value - low >= 0.5 else low


def _root(value: float) -> float:
    return math.sqrt(value) if value >= 0 else math.nan


def _extreme(choose: Callable[..., float], nothing: float) -> Callable[..., object]:
    def call(arguments: list[object], spending: Spending, _: Apply) -> object:
        spending.steps(len(arguments))
        numbers = [js_number(value) for value in arguments]
        return math.nan if any(map(math.isnan, numbers)) else choose([nothing, *numbers])

    return call


def _parse_int(arguments: list[object], spending: Spending, _: Apply) -> object:
    text = javascript.trim(js_text(_argument(arguments, 0), spending))[:_LONGEST]
    base = _argument(arguments, 1)
    radix = 0 if base is UNDEFINED else js_number(base)
    if radix not in {0, 10}:
        raise unknown("`parseInt` with a base other than 10")
    found = _WHOLE.match(text)
    written = found[0] if found else ""
    if radix == 0 and re.match(r"[+-]?0[xX]", written):
        raise unknown("`parseInt` of a number in base 16")
    digits = re.match(r"[+-]?[0-9]+", written)
    return math.nan if digits is None else javascript.to_number(int(digits[0]))


def _parse_float(arguments: list[object], spending: Spending, _: Apply) -> object:
    return parsed_float(js_text(_argument(arguments, 0), spending))


def parsed_float(text: str) -> float:
    """`parseFloat(text)`: the number that a text begins with."""
    found = _DECIMAL.match(javascript.trim(text)[:_LONGEST])
    return float(found[0].replace("Infinity", "inf")) if found else math.nan


def _is_number(test: Callable[[float], bool]) -> Callable[..., object]:
    def call(arguments: list[object], _spending: Spending, _: Apply) -> object:
        value = _argument(arguments, 0)
        return isinstance(value, float) and test(value)

    return call


def _to_text(arguments: list[object], spending: Spending, _: Apply) -> object:
    return js_text(arguments[0], spending) if arguments else ""


def _nothing(_arguments: list[object], _spending: Spending, _: Apply) -> object:
    return UNDEFINED


STATIC: Final[Mapping[str, Callable[[list[object], Spending, Apply], object]]] = MappingProxyType(
    {
        "JSON.parse": _parse,
        "JSON.stringify": _stringify,
        "Object.keys": _object("keys", lambda value: list(js_keys(value))),
        "Object.values": _object("values", lambda value: [value[key] for key in js_keys(value)]),
        "Object.entries": _object("entries", lambda value: [[key, value[key]] for key in js_keys(value)]),
        "Object.hasOwn": _has_own,
        "Array.isArray": lambda arguments, _s, _a: isinstance(_argument(arguments, 0), list),
        "Array.from": _array_from,
        "Math.abs": _number(abs),
        "Math.ceil": _number(_rounded(math.ceil)),
        "Math.floor": _number(_rounded(math.floor)),
        "Math.round": _number(_rounded(_half_up)),
        "Math.trunc": _number(_rounded(math.trunc)),
        "Math.sqrt": _number(_root),
        "Math.max": _extreme(max, -math.inf),
        "Math.min": _extreme(min, math.inf),
        "Number.isFinite": _is_number(math.isfinite),
        "Number.isInteger": _is_number(lambda value: math.isfinite(value) and value.is_integer()),
        "Number.isNaN": _is_number(math.isnan),
        "Number.parseFloat": _parse_float,
        "Number.parseInt": _parse_int,
        **{f"console.{name}": _nothing for name in ("log", "info", "warn", "error", "debug")},
    }
)
"""By how they are called."""
_PLAIN: Final = {
    "Boolean": lambda arguments, _s, _a: javascript.truthy(_argument(arguments, 0)),
    "Number": lambda arguments, _s, _a: js_number(arguments[0]) if arguments else 0.0,
    "String": _to_text,
    "isFinite": _number(math.isfinite),
    "isNaN": _number(math.isnan),
    "parseFloat": _parse_float,
    "parseInt": _parse_int,
}


def _unbound(*_: object) -> object:
    raise unknown("a function of the language that is not called by the program")


NAMES: Final[Mapping[str, object]] = MappingProxyType(
    {
        "undefined": UNDEFINED,
        "NaN": math.nan,
        "Infinity": math.inf,
        **{name: JsFunction(_unbound, native=function) for name, function in _PLAIN.items()},
    }
)
"""What has a value without being declared."""


def call_static(name: str, arguments: list[object], spending: Spending, apply: Apply) -> object:
    """Calls a function by its full name.

    Raises:
        CannotRunError: If there is none here.
    """
    function = STATIC.get(name)
    if function is None:
        raise unknown(f"`{name[:60]}`")
    spending.steps()
    return function(arguments, spending, apply)


def construct(name: str, arguments: list[object], spending: Spending) -> object:
    """`new name(arguments)`.

    Raises:
        CannotRunError: If there is no such class here.
    """
    first = _argument(arguments, 0)
    if name == "Error":
        return {"name": "Error", "message": js_text(first, spending) if arguments else ""}
    if name == "RegExp":
        if isinstance(first, JsRegex):
            raise unknown("`new RegExp` of a pattern")
        flags = _argument(arguments, 1)
        return compiled(
            joined(js_text(first, spending)) or "(?:)", "" if flags is UNDEFINED else js_text(flags, spending)
        )
    if name == "Set":
        result = JsSet()
        if isinstance(first, JsSet):
            first = list(first.items.values())
        if first is UNDEFINED or first is None:
            return result
        if not isinstance(first, list | str):
            raise unknown("`new Set` of something else than a list or a text")
        spending.steps(len(first))
        for item in first if isinstance(first, list) else characters(first):
            result.items.setdefault(identity(item), item)
        return result
    raise unknown(f"`new {name[:40]}`")
