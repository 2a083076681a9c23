"""JavaScript's operators on two values."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.score.expression.spending import Spending, ThrownError, unknown
from llmgate.score.expression.values import (
    JsSet,
    characters,
    get_member,
    is_index,
    js_keys,
    js_less,
    js_loosely_equal,
    js_number,
    js_same,
    js_text,
)
from llmgate.suite.template.javascript import UNDEFINED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["growing", "iterated", "operate", "own_keys"]


def operate(operator: str, left: object, right: object, spending: Spending) -> object:
    """`left operator right`, paid for.

    Raises:
        ThrownError: If JavaScript would throw.
        CannotRunError: If it costs too much, or is not evaluated here.
    """
    if isinstance(left, str) and isinstance(right, str):
        spending.chars(min(len(left), len(right)))
    return _OPERATORS[operator](spending, left, right)


def iterated(value: object, spending: Spending) -> list[object]:
    """The items of a list, a set or a text, as loops see them; raises a `ThrownError` for what has none."""
    if isinstance(value, JsSet):
        items: list[object] = list(value.items.values())
    elif isinstance(value, list):
        items = list(value)
    elif isinstance(value, str):
        items = list(characters(value))
    else:
        raise ThrownError("what is iterated has no items")
    spending.steps(len(items))
    return items


def growing(value: object, spending: Spending) -> Iterator[object]:
    """The same, and of a list also what is added to it meanwhile."""
    if not isinstance(value, list):
        yield from iterated(value, spending)
        return
    i = 0
    while i < len(value):
        yield value[i]
        i += 1


def own_keys(value: object) -> list[object]:
    """The keys that a loop with `in` sees."""
    if isinstance(value, dict):
        return list(js_keys(value))
    if isinstance(value, list | str):
        return [str(i) for i in range(len(value))]
    if value is None or value is UNDEFINED or isinstance(value, bool | float):
        return []
    raise unknown("the keys of a function, a pattern or a set")


def _add(spending: Spending, left: object, right: object) -> object:
    textual = isinstance(left, str | list | dict) or isinstance(right, str | list | dict)
    if not textual:
        return js_number(left) + js_number(right)
    head, tail = js_text(left, spending), js_text(right, spending)
    spending.chars(len(head) + len(tail))
    return head + tail


def _has(spending: Spending, key: object, value: object) -> bool:
    name = js_text(key, spending)
    if isinstance(value, dict):
        return name in value or get_member(value, name, spending) is not UNDEFINED
    if isinstance(value, list):
        return get_member(value, name, spending) is not UNDEFINED or (is_index(name) and int(name) < len(value))
    if value is None or isinstance(value, str | float | bool) or value is UNDEFINED:
        raise ThrownError("Cannot use 'in' operator to search for a key in what is no object")
    raise unknown("`in` of a function, a pattern or a set")


def _divide(left: float, right: float) -> float:
    if right == 0:
        sign = math.copysign(1.0, left) * math.copysign(1.0, right)
        return math.nan if left == 0 or math.isnan(left) else sign * math.inf
    return left / right


def _power(left: float, right: float) -> float:
    if math.isnan(right) or (abs(left) == 1 and math.isinf(right)):
        return math.nan
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and math.fmod(right, 2) else math.inf
    except ValueError:
        return math.nan if left else math.inf


def _remainder(left: float, right: float) -> float:
    return math.fmod(left, right) if right != 0 and math.isfinite(left) else math.nan


def _arithmetic(apply: Callable[[float, float], float]) -> Callable[[Spending, object, object], object]:
    return lambda _, left, right: apply(js_number(left), js_number(right))


_OPERATORS: Final[Mapping[str, Callable[[Spending, object, object], object]]] = MappingProxyType(
    {
        "===": lambda _, a, b: js_same(a, b),
        "!==": lambda _, a, b: not js_same(a, b),
        "==": lambda _, a, b: js_loosely_equal(a, b),
        "!=": lambda _, a, b: not js_loosely_equal(a, b),
        "<": lambda _, a, b: js_less(a, b) is True,
        ">": lambda _, a, b: js_less(b, a) is True,
        "<=": lambda _, a, b: js_less(b, a) is False,
        ">=": lambda _, a, b: js_less(a, b) is False,
        "in": _has,
        "+": _add,
        "-": _arithmetic(lambda a, b: a - b),
        "*": _arithmetic(lambda a, b: a * b),
        "/": _arithmetic(_divide),
        "%": _arithmetic(_remainder),
        "**": _arithmetic(_power),
    }
)
