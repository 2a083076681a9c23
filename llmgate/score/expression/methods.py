"""The methods of JavaScript's texts, lists, numbers, patterns and sets that small programs may call."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cmp_to_key
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmgate.score.expression import patterns
from llmgate.score.expression.given import Apply, Given, has_own, item_at, part_of
from llmgate.score.expression.spending import Spending, ThrownError, unknown
from llmgate.score.expression.text_methods import TEXT_METHODS
from llmgate.score.expression.values import (
    JsRegex,
    JsSet,
    get_member,
    identity,
    js_number,
    js_same,
    js_text,
)
from llmgate.suite.template import javascript
from llmgate.suite.template.javascript import UNDEFINED, truthy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["METHODS", "call_method"]


def _each(items: list[object], given: Given) -> Any:
    function = given.function(0)
    for i, item in enumerate(list(items)):
        yield item, given.apply(function, [item, float(i), items])


def _find(*, last: bool, index: bool) -> Callable[..., object]:
    def find(items: list[object], given: Given) -> object:
        function = given.function(0)
        for i in reversed(range(len(items))) if last else range(len(items)):
            if truthy(given.apply(function, [items[i], float(i), items])):
                return float(i) if index else items[i]
        return -1.0 if index else UNDEFINED

    return find


def _position(items: list[object], given: Given) -> float:
    wanted = given.value(0)
    for i in range(given.place(1, 0, len(items)), len(items)):
        if js_same(items[i], wanted):
            return float(i)
    return -1.0


def _last_position(items: list[object], given: Given) -> object:
    if len(given.values) > 1:
        raise unknown("`lastIndexOf` with a start")
    return next((float(i) for i in reversed(range(len(items))) if js_same(items[i], given.value(0))), -1.0)


def _flat(items: list[object], given: Given) -> object:
    depth, result = given.whole(0, 1), list(items)
    while depth > 0 and any(isinstance(item, list) for item in result):
        flatter: list[object] = []
        for item in result:
            flatter += item if isinstance(item, list) else [item]
        given.spending.steps(len(flatter))
        result, depth = flatter, depth - 1
    return result


def _joined_items(items: list[object], given: Given) -> object:
    between = "," if given.value(0) is UNDEFINED else given.text(0)
    texts = ["" if item is None or item is UNDEFINED else js_text(item, given.spending) for item in items]
    given.spending.chars(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def _push(items: list[object], given: Given) -> object:
    given.spending.steps(len(given.values))
    items.extend(given.values)
    return float(len(items))


def _reduce(items: list[object], given: Given) -> object:
    function = given.function(0)
    rest = list(enumerate(items))
    if len(given.values) > 1:
        result = given.value(1)
    elif rest:
        result = rest.pop(0)[1]
    else:
        raise ThrownError("Reduce of empty array with no initial value")
    for i, item in rest:
        result = given.apply(function, [result, item, float(i), items])
    return result


def _sorted(items: list[object], given: Given) -> list[object]:
    given.spending.steps(len(items))
    if given.value(0) is UNDEFINED:
        texts = [(js_text(item, given.spending), item) for item in items if item is not UNDEFINED]
        texts.sort(key=lambda pair: pair[0])
        return [item for _, item in texts] + [item for item in items if item is UNDEFINED]
    function = given.function(0)

    def order(left: object, right: object) -> int:
        number = js_number(given.apply(function, [left, right]))
        return 0 if math.isnan(number) else (number > 0) - (number < 0)

    return sorted(items, key=cmp_to_key(order))


def _sort(items: list[object], given: Given) -> object:
    items[:] = _sorted(items, given)
    return items


def _reverse(items: list[object], given: Given) -> object:
    given.spending.steps(len(items))
    items.reverse()
    return items


def _concat(items: list[object], given: Given) -> object:
    result = list(items)
    for value in given.values:
        result += value if isinstance(value, list) else [value]
    given.spending.steps(len(result))
    return result


def _flat_map(items: list[object], given: Given) -> object:
    result: list[object] = []
    for _, found in _each(items, given):
        result += found if isinstance(found, list) else [found]
        given.spending.steps(len(found) if isinstance(found, list) else 1)
    return result


def _for_each(items: list[object], given: Given) -> object:
    for _ in _each(items, given):
        pass
    return UNDEFINED


def _has_item(items: list[object], given: Given) -> object:
    wanted = identity(given.value(0))
    return any(identity(item) == wanted for item in items[given.place(1, 0, len(items)) :])


_LIST: Final[Mapping[str, Callable[[Any, Given], object]]] = {
    "at": item_at,
    "concat": _concat,
    "every": lambda items, given: all(truthy(found) for _, found in _each(items, given)),
    "filter": lambda items, given: [item for item, found in _each(items, given) if truthy(found)],
    "find": _find(last=False, index=False),
    "findIndex": _find(last=False, index=True),
    "hasOwnProperty": has_own,
    "findLast": _find(last=True, index=False),
    "flat": _flat,
    "flatMap": _flat_map,
    "forEach": _for_each,
    "includes": _has_item,
    "indexOf": _position,
    "join": _joined_items,
    "lastIndexOf": _last_position,
    "map": lambda items, given: [found for _, found in _each(items, given)],
    "pop": lambda items, _: items.pop() if items else UNDEFINED,
    "push": _push,
    "reduce": _reduce,
    "reverse": _reverse,
    "shift": lambda items, _: items.pop(0) if items else UNDEFINED,
    "slice": part_of,
    "some": lambda items, given: any(truthy(found) for _, found in _each(items, given)),
    "sort": _sort,
    "toString": lambda items, given: js_text(items, given.spending),
}


def _to_fixed(number: float, given: Given) -> object:
    digits = given.whole(0, 0)
    if not 0 <= digits <= 100:
        raise ThrownError("toFixed() digits argument must be between 0 and 100", "RangeError")
    if not abs(number) < 1e21:
        return javascript.number_text(number)
    text = str(Decimal(abs(number)).quantize(Decimal(1).scaleb(-int(digits)), ROUND_HALF_UP, context=_WIDE))
    return f"-{text}" if number < 0 else text


def _number_text(number: float, given: Given) -> object:
    if given.values and given.whole(0, 10) != 10:
        raise unknown("`toString` with a base other than 10")
    return javascript.number_text(number)


def _set_added(value: JsSet, given: Given) -> object:
    given.spending.steps()
    value.add(given.value(0))
    return value


METHODS: Final[Mapping[str, Mapping[str, Callable[[Any, Given], object]]]] = MappingProxyType(
    {
        "text": TEXT_METHODS,
        "list": _LIST,
        "number": {"hasOwnProperty": has_own, "toFixed": _to_fixed, "toString": _number_text},
        "boolean": {"hasOwnProperty": has_own, "toString": lambda value, _: "true" if value else "false"},
        "object": {"hasOwnProperty": has_own, "toString": lambda *_: "[object Object]"},
        "pattern": {
            "exec": lambda regex, given: patterns.execute(regex, given.text(0), given.spending),
            "test": lambda regex, given: patterns.execute(regex, given.text(0), given.spending) is not None,
        },
        "set": {"add": _set_added, "has": lambda value, given: identity(given.value(0)) in value.items},
    }
)
"""By the kind of the value that has them."""
_WIDE: Final = Context(prec=200)
_KINDS: Final = (
    (bool, "boolean"),
    (float, "number"),
    (str, "text"),
    (list, "list"),
    (dict, "object"),
    (JsRegex, "pattern"),
    (JsSet, "set"),
)


def call_method(owner: object, name: str, arguments: list[object], spending: Spending, apply: Apply) -> object:
    """`owner.name(arguments)`.

    Raises:
        ThrownError: If the value has no such method.
        CannotRunError: If it has one that is not evaluated here.
    """
    kind = next((word for sort, word in _KINDS if isinstance(owner, sort)), None)
    if kind is None:
        raise unknown(f"the method {name[:40]!r} of a function")
    spending.steps(len(owner) / 64 if isinstance(owner, str) else len(owner) / 8 if isinstance(owner, list) else 1)
    method = METHODS[kind].get(name)
    if method is not None:
        return method(owner, Given(arguments, spending, apply))
    get_member(owner, name, spending)  # refuses what exists, though not here
    raise ThrownError(f"{name[:60]} is not a function")
