"""What templates may call on values: methods of JavaScript's texts, lists and numbers, as Nunjucks lets them.

`{{ topic.toUpperCase() }}` and `{{ tags.join(", ") }}` are calls of functions of this module, paid for like filters;
nothing is ever looked up on a Python object. What counts in UTF-16 units refuses texts with characters beyond U+FFFF.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.errors import TemplateError
from llmgate.suite.template import javascript
from llmgate.suite.template.javascript import UNDEFINED, WHITESPACE

if TYPE_CHECKING:
    from llmgate.suite.template.budget import RenderBudget

__all__ = ["JAVASCRIPT_METHODS"]

Method = Callable[..., object]
"""Takes the budget, the value and the arguments."""


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TemplateError(f".{name}() is called on something that is no text")
    return value


def _counted(name: str, value: object) -> str | list[object]:
    """A text or list of which parts are counted."""
    if isinstance(value, str):
        if javascript.utf16_length(value) != len(value):
            raise TemplateError(f".{name}() is called on a text with characters beyond U+FFFF")
        return value
    if isinstance(value, list | tuple):
        return list(value)
    raise TemplateError(f".{name}() is called on something that is no text and no list")


def _plain(name: str, make: Callable[[str], str]) -> Method:
    """A method without arguments that makes no text much longer."""

    def call(budget: RenderBudget, value: object) -> str:
        budget.spend_chars(3 * len(_text(name, value)))
        return make(_text(name, value))

    return call


def _tests(name: str, holds: Callable[[str, str], bool]) -> Method:
    def call(budget: RenderBudget, value: object, wanted: object) -> bool:
        if isinstance(value, list | tuple) and name == "includes":
            budget.spend(len(value))
            return any(javascript.strictly_equal(item, wanted) for item in value)
        budget.spend_chars(len(_text(name, value)))
        return holds(_text(name, value), budget.text(wanted))

    return call


def _index(budget: RenderBudget, value: object, wanted: object) -> int:
    held = _counted("indexOf", value)
    budget.spend(len(held))
    if isinstance(held, str):
        return held.find(budget.text(wanted))
    return next((i for i, item in enumerate(held) if javascript.strictly_equal(item, wanted)), -1)


def _bound(value: object, otherwise: int) -> int:
    if value is UNDEFINED:
        return otherwise
    number = javascript.to_number(value)
    return 0 if math.isnan(number) else int(max(min(number, 1e9), -1e9))


def _slice(budget: RenderBudget, value: object, start: object = UNDEFINED, end: object = UNDEFINED) -> object:
    held = _counted("slice", value)
    budget.spend(len(held))
    return held[_bound(start, 0) : _bound(end, len(held))]


def _substring(budget: RenderBudget, value: object, start: object = UNDEFINED, end: object = UNDEFINED) -> str:
    held = _counted("substring", _text("substring", value))
    budget.spend_chars(len(held))
    first, last = (min(max(bound, 0), len(held)) for bound in (_bound(start, 0), _bound(end, len(held))))
    return str(held[min(first, last) : max(first, last)])


def _split(budget: RenderBudget, value: object, separator: object = UNDEFINED, limit: object = UNDEFINED) -> list[str]:
    text = _text("split", value)
    budget.spend(1 + len(text))
    if separator is UNDEFINED:
        parts = [text]
    else:
        mark = budget.text(separator)
        parts = text.split(mark) if mark else list(str(_counted("split", text)))
    return parts if limit is UNDEFINED else parts[: max(_bound(limit, 0), 0)]


def _replace(every: bool) -> Method:
    def call(budget: RenderBudget, value: object, old: object, new: object) -> str:
        text, wanted, put = _text("replace", value), budget.text(old), budget.text(new)
        if "$" in put:
            raise TemplateError("`$` in what .replace() puts in has a meaning of its own", fix="Use the filter replace")
        times = text.count(wanted) if every else 1
        budget.spend_chars(len(text) + times * len(put))
        return text.replace(wanted, put, -1 if every else 1)

    return call


def _join(budget: RenderBudget, value: object, separator: object = ",") -> str:
    if not isinstance(value, list | tuple):
        raise TemplateError(".join() is called on something that is no list")
    texts = ["" if item is None or item is UNDEFINED else budget.text(item) for item in value]
    glue = budget.text(separator)
    budget.spend_chars(sum(map(len, texts)) + len(glue) * len(texts))
    return glue.join(texts)


def _fixed(budget: RenderBudget, value: object, digits: object = 0) -> str:
    places = _bound(digits, 0)
    if not javascript.is_number(value) or not 0 <= places <= 100 or abs(value) >= 1e21:
        raise TemplateError(".toFixed() is called on something that is no number, or with too many digits")
    budget.spend_chars(130)
    # Decimal holds a float exactly; a half goes away from zero, where Python's own format goes to the even digit.
    exact = Decimal(value).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=Context(prec=200))
    return f"{exact:f}"


def _string(budget: RenderBudget, value: object) -> str:
    if value is None or value is UNDEFINED:
        raise TemplateError(".toString() is called on nothing")
    return budget.text(value)


JAVASCRIPT_METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "endsWith": _tests("endsWith", str.endswith),
        "includes": _tests("includes", lambda text, wanted: wanted in text),
        "indexOf": _index,
        "join": _join,
        "replace": _replace(every=False),
        "replaceAll": _replace(every=True),
        "slice": _slice,
        "split": _split,
        "startsWith": _tests("startsWith", str.startswith),
        "substring": _substring,
        "toFixed": _fixed,
        "toLowerCase": _plain("toLowerCase", str.lower),
        "toString": _string,
        "toUpperCase": _plain("toUpperCase", str.upper),
        "trim": _plain("trim", javascript.trim),
        "trimEnd": _plain("trimEnd", lambda text: text.rstrip(WHITESPACE)),
        "trimStart": _plain("trimStart", lambda text: text.lstrip(WHITESPACE)),
    }
)
"""By name."""
