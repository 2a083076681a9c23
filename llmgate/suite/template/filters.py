"""The filters and tests of Nunjucks that templates may use.

Every filter that can make its input longer pays for the result before it builds it. Filters whose result is not
determined by their input (`random`) and filters that take code are left out.
Reference: https://mozilla.github.io/nunjucks/templating.html#builtin-filters
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from llmgate.errors import TemplateError
from llmgate.suite.template import javascript
from llmgate.suite.template.javascript import UNDEFINED

if TYPE_CHECKING:
    from llmgate.suite.template.budget import RenderBudget

__all__ = ["FILTERS", "TESTS", "Filter", "Test", "lookup"]

Filter = Callable[..., object]
"""Takes the budget, the value and the arguments as written."""
Test = Callable[..., bool]
"""Takes the value and the arguments as written."""


def lookup(value: object, key: object) -> object:
    """A member of a value: mapping key, list index, or `length`. Nothing else is reachable.

    Returns:
        `undefined` for what does not exist, also for any member of null or undefined.
    """
    if not isinstance(key, str | int | float):
        return UNDEFINED
    name = javascript.text(key)
    if isinstance(value, Mapping):
        return value.get(name, UNDEFINED)
    if not isinstance(value, str | list | tuple):
        return UNDEFINED
    if name == "length":
        return javascript.utf16_length(value) if isinstance(value, str) else len(value)
    return value[int(name)] if _is_index(name) and int(name) < len(value) else UNDEFINED


def _is_index(name: str) -> bool:
    return len(name) < 10 and name.isascii() and name.isdigit()


def _plain(budget: RenderBudget, value: object) -> str:
    """What text filters see: nothing for null, undefined and false."""
    return "" if value is None or value is UNDEFINED or value is False else budget.text(value)


def _items(budget: RenderBudget, value: object) -> Sequence[object]:
    if value is None or value is UNDEFINED:
        return ()
    if not isinstance(value, str | list | tuple):
        raise TemplateError(f"a filter wants a list, but got {javascript.text(value)[:50]!r}")
    budget.spend(len(value))
    return value


def _count(value: object) -> int:
    number = javascript.to_number(value)
    return int(number) if math.isfinite(number) and abs(number) < 1e9 else 0


def _default(_: RenderBudget, value: object, default_value: object = UNDEFINED, boolean: object = False) -> object:
    use_default = not javascript.truthy(value) if javascript.truthy(boolean) else value is UNDEFINED
    return default_value if use_default else value


def _dump(budget: RenderBudget, value: object, spaces: object = 0) -> object:
    if value is UNDEFINED:
        return value
    parts, depth = budget.walk(value)
    indent = min(max(_count(spaces), 0), 10)
    budget.spend_chars(parts * depth * indent)
    dumped = javascript.json_text(value, indent=indent)
    budget.spend_chars(len(dumped))
    return dumped


def _capitalize(budget: RenderBudget, value: object) -> str:
    text = _plain(budget, value).lower()
    return text[:1].upper() + text[1:]


def _escape(budget: RenderBudget, value: object) -> str:
    text = _plain(budget, value)
    budget.spend_chars(6 * len(text))
    return html.escape(text).replace("&#x27;", "&#39;")


def _first(_: RenderBudget, value: object) -> object:
    return lookup(value, 0)


def _last(_: RenderBudget, value: object) -> object:
    return value[-1] if isinstance(value, str | list | tuple) and value else UNDEFINED


def _float(budget: RenderBudget, value: object, default_value: object = UNDEFINED) -> object:
    number = javascript.text_to_number(budget.text(value)) if javascript.truthy(value) or value == 0 else math.nan
    return number if not math.isnan(number) else default_value


def _int(budget: RenderBudget, value: object, default_value: object = UNDEFINED) -> object:
    number = _float(budget, value)
    return math.trunc(number) if isinstance(number, float) and math.isfinite(number) else default_value


def _indent(budget: RenderBudget, value: object, width: object = 4, indentfirst: object = False) -> str:
    text = _plain(budget, value)
    if not text:
        return ""
    lines = text.split("\n")
    columns = max(_count(width), 0)
    budget.spend_chars(len(text) + columns * len(lines))
    margin = " " * columns
    return (margin if javascript.truthy(indentfirst) else "") + f"\n{margin}".join(lines)


def _join(budget: RenderBudget, value: object, delimiter: object = "", attribute: object = None) -> str:
    items = _items(budget, value)
    if attribute is not None:
        items = [lookup(item, attribute) for item in items]
    glue = budget.text(delimiter)
    parts = ["" if item is None or item is UNDEFINED else budget.text(item) for item in items]
    budget.spend_chars(sum(map(len, parts)) + len(glue) * len(parts))
    return glue.join(parts)


def _length(_: RenderBudget, value: object) -> int:
    if isinstance(value, str):
        return javascript.utf16_length(value)
    return len(value) if isinstance(value, list | tuple | Mapping) else 0


def _list(budget: RenderBudget, value: object) -> list[object]:
    if isinstance(value, Mapping):
        budget.spend(2 * len(value))
        return [{"key": key, "value": member} for key, member in value.items()]
    return list(_items(budget, value))


def _replace(budget: RenderBudget, value: object, old: object, new: object, count: object = -1) -> object:
    if not isinstance(value, str) and not javascript.is_number(value):
        return value
    text, old_text, new_text = budget.text(value), budget.text(old), budget.text(new)
    limit = _count(count) if count != -1 else -1
    times = text.count(old_text)
    times = min(times, limit) if limit >= 0 else times
    budget.spend_chars(len(text) + times * len(new_text))
    return text.replace(old_text, new_text, limit)


def _reverse(budget: RenderBudget, value: object) -> object:
    items = _items(budget, value)
    return items[::-1] if isinstance(items, str) else list(reversed(items))


def _round(_: RenderBudget, value: object, precision: object = 0, method: object = "common") -> float:
    factor = math.pow(10, max(min(_count(precision), 15), 0))
    scaled = javascript.to_number(value) * factor
    if not math.isfinite(scaled):
        return scaled
    if method == "ceil":
        return math.ceil(scaled) / factor
    # Math.round rounds halves up, also below zero.
    return math.floor(scaled if method == "floor" else scaled + 0.5) / factor


def _sort(budget: RenderBudget, value: object, reverse: object = False, case_sens: object = False) -> list[object]:
    items = list(_items(budget, value))
    budget.spend(len(items) * max(len(items), 1).bit_length())
    if all(javascript.is_number(item) for item in items):
        return sorted(items, key=javascript.to_number, reverse=javascript.truthy(reverse))
    texts = [budget.text(item) for item in items]
    keys = texts if javascript.truthy(case_sens) else [item.lower() for item in texts]
    order = sorted(range(len(items)), key=keys.__getitem__, reverse=javascript.truthy(reverse))
    return [items[i] for i in order]


def _sum(budget: RenderBudget, value: object, attribute: object = None, start: object = 0) -> float:
    items = _items(budget, value)
    if attribute is not None:
        items = [lookup(item, attribute) for item in items]
    return javascript.to_number(start) + sum(map(javascript.to_number, items))


def _title(budget: RenderBudget, value: object) -> str:
    return " ".join(word[:1].upper() + word[1:].lower() for word in _plain(budget, value).split(" "))


def _truncate(
    budget: RenderBudget, value: object, length: object = 255, killwords: object = False, end: object = "..."
) -> str:
    text = _plain(budget, value)
    limit = max(_count(length), 0)
    if len(text) <= limit:
        return text
    space = -1 if javascript.truthy(killwords) else text.rfind(" ", 0, limit + 1)
    return text[: limit if space == -1 else space] + budget.text(end)


def _urlencode(budget: RenderBudget, value: object) -> str:
    if isinstance(value, str | int | float):
        text = _plain(budget, value)
        budget.spend_chars(12 * len(text))
        return quote(text.encode("utf-8", "replace"), safe="-_.!~*'()")
    raise TemplateError("the filter 'urlencode' wants a text")


def _wordcount(budget: RenderBudget, value: object) -> int:
    return len(javascript.words(_plain(budget, value)))


FILTERS: Final[Mapping[str, Filter]] = MappingProxyType(
    {
        "abs": lambda _, value: abs(javascript.to_number(value)),
        "capitalize": _capitalize,
        "d": _default,
        "default": _default,
        "dump": _dump,
        "e": _escape,
        "escape": _escape,
        "first": _first,
        "float": _float,
        "forceescape": _escape,
        "indent": _indent,
        "int": _int,
        "join": _join,
        "last": _last,
        "length": _length,
        "list": _list,
        "lower": lambda budget, value: _plain(budget, value).lower(),
        "replace": _replace,
        "reverse": _reverse,
        "round": _round,
        "safe": _plain,
        "sort": _sort,
        "string": lambda budget, value: budget.text(value),
        "sum": _sum,
        "title": _title,
        "trim": lambda budget, value: javascript.trim(_plain(budget, value)),
        "truncate": _truncate,
        "upper": lambda budget, value: _plain(budget, value).upper(),
        "urlencode": _urlencode,
        "wordcount": _wordcount,
    }
)

TESTS: Final[Mapping[str, Test]] = MappingProxyType(
    {
        "defined": lambda value: value is not UNDEFINED,
        "divisibleby": lambda value, by: (
            math.fmod(javascript.to_number(value), javascript.to_number(by) or math.nan) == 0
        ),
        "equalto": lambda value, other: type(value) is type(other) and javascript.loosely_equal(value, other),
        "even": lambda value: math.fmod(javascript.to_number(value), 2) == 0,
        "falsy": lambda value: not javascript.truthy(value),
        "mapping": lambda value: isinstance(value, Mapping),
        "none": lambda value: value is None,
        "null": lambda value: value is None,
        "number": javascript.is_number,
        "odd": lambda value: abs(math.fmod(javascript.to_number(value), 2)) == 1,
        "string": lambda value: isinstance(value, str),
        "truthy": javascript.truthy,
        "undefined": lambda value: value is UNDEFINED,
    }
)
