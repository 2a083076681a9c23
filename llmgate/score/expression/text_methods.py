"""The methods of JavaScript's texts that small programs may call."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmgate.score.expression import patterns
from llmgate.score.expression.given import Given, has_own, item_at, part_of
from llmgate.score.expression.spending import ThrownError
from llmgate.score.expression.values import JsRegex, joined
from llmgate.suite.template import javascript
from llmgate.suite.template.javascript import UNDEFINED, utf16_units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["TEXT_METHODS"]


def _char_at(text: str, given: Given) -> object:
    i = given.whole(0, 0)
    return text[int(i)] if 0 <= i < len(text) else ""


def _char_code(text: str, given: Given) -> object:
    i = given.whole(0, 0)
    return float(ord(text[int(i)])) if 0 <= i < len(text) else math.nan


def _ends_with(text: str, given: Given) -> object:
    needle = given.needle(0)
    return text[: given.clamped(1, len(text), len(text))].endswith(needle)


def _includes(text: str, given: Given) -> object:
    needle = given.needle(0)
    return text.find(needle, given.clamped(1, 0, len(text))) >= 0


def _starts_with(text: str, given: Given) -> object:
    needle = given.needle(0)
    return text.startswith(needle, given.clamped(1, 0, len(text)))


def _match(text: str, given: Given) -> object:
    pattern = given.pattern(0)
    if "g" not in pattern.flags:
        return patterns.execute(pattern, text, given.spending)
    return [match[0] for match in patterns.find_all(pattern, text, given.spending)] or None


def _match_all(text: str, given: Given) -> object:
    pattern = given.pattern(0, "g")
    if "g" not in pattern.flags:
        raise ThrownError("matchAll must be called with a global RegExp")
    return list(patterns.find_all(pattern, text, given.spending))


def _search(text: str, given: Given) -> object:
    pattern = given.pattern(0)
    found = patterns.find_all(JsRegex(pattern.source, pattern.flags, pattern.pattern), text, given.spending)
    return found[0].at if found else -1.0


def _pad(*, start: bool) -> Callable[..., object]:
    def pad(text: str, given: Given) -> object:
        size, filler = given.whole(0, 0), " " if given.value(1) is UNDEFINED else given.text(1)
        missing = size - len(text)
        if missing <= 0 or not filler:
            return text
        given.spending.chars(size)
        padding = (filler * (int(missing) // len(filler) + 1))[: int(missing)]
        return padding + text if start else text + padding

    return pad


def _repeat(text: str, given: Given) -> object:
    count = given.whole(0, 0)
    if count < 0 or math.isinf(count):
        raise ThrownError("Invalid count value", "RangeError")
    given.spending.chars(count * len(text))
    return text * int(count) if text else ""


def _replace(*, every: bool) -> Callable[..., object]:
    return lambda text, given: patterns.replaced(
        text, given.value(0), given.value(1), given.spending, given.apply, every=every
    )


def _split(text: str, given: Given) -> object:
    limit = given.value(1)
    most = -1.0 if limit is UNDEFINED else given.whole(1, -1)
    return patterns.split(text, given.value(0), most, given.spending)


def _substring(text: str, given: Given) -> object:
    first, last = given.clamped(0, 0, len(text)), given.clamped(1, len(text), len(text))
    return text[min(first, last) : max(first, last)]


def _substr(text: str, given: Given) -> object:
    start = given.place(0, 0, len(text))
    return text[start : start + int(min(max(given.whole(1, len(text)), 0), len(text)))]


def _cased(change: Callable[[str], str]) -> Callable[..., object]:
    return lambda text, _: change(text) if text.isascii() else utf16_units(change(joined(text)))


def _concat_text(text: str, given: Given) -> object:
    result = text + "".join(given.text(i) for i in range(len(given.values)))
    given.spending.chars(len(result))
    return result


TEXT_METHODS: Final[Mapping[str, Callable[[Any, Given], object]]] = MappingProxyType(
    {
        "at": item_at,
        "charAt": _char_at,
        "charCodeAt": _char_code,
        "concat": _concat_text,
        "endsWith": _ends_with,
        "hasOwnProperty": has_own,
        "includes": _includes,
        "indexOf": lambda text, given: float(text.find(given.text(0), given.clamped(1, 0, len(text)))),
        "lastIndexOf": lambda text, given: float(text.rfind(given.text(0))),
        "match": _match,
        "matchAll": _match_all,
        "padEnd": _pad(start=False),
        "padStart": _pad(start=True),
        "repeat": _repeat,
        "replace": _replace(every=False),
        "replaceAll": _replace(every=True),
        "search": _search,
        "slice": part_of,
        "split": _split,
        "startsWith": _starts_with,
        "substr": _substr,
        "substring": _substring,
        "toLowerCase": _cased(str.lower),
        "toString": lambda text, _: text,
        "toUpperCase": _cased(str.upper),
        "trim": lambda text, _: javascript.trim(text),
        "trimEnd": lambda text, _: text.rstrip(javascript.WHITESPACE),
        "trimStart": lambda text, _: text.lstrip(javascript.WHITESPACE),
    }
)
"""By name."""
