"""Filters of Nunjucks that few templates use, and `load`, which promptfoo adds.

As `filters`: each pays for what it makes before it makes it. Left out for good: `random`, and `urlize`, which writes
HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import TemplateError
from llmgate.suite.template import javascript
from llmgate.suite.template.filters import TESTS, lookup
from llmgate.suite.template.javascript import UNDEFINED

if TYPE_CHECKING:
    from llmgate.suite.template.budget import RenderBudget
    from llmgate.suite.template.filters import Filter

__all__ = ["RARER_FILTERS"]

_TAG: Final = re.compile(r"</?[a-z][a-z0-9]*\b[^>]*>|<!--.*?-->", re.IGNORECASE | re.DOTALL | re.ASCII)
_SPACES: Final = re.compile(f"[{re.escape(javascript.WHITESPACE)}]+")
MAX_TAGGED_CHARS: Final = 100_000
"""A tag that is not closed is looked for to the end of the text, from each of its starts."""


def _load(budget: RenderBudget, value: object) -> object:
    if not isinstance(value, str):
        raise TemplateError("the filter 'load' wants a text in JSON")
    budget.spend_chars(16 * len(value))  # data take more room than their text
    try:
        return json.loads(value, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise TemplateError(f"the filter 'load' wants a text in JSON, and got {value[:50]!r}") from error


def _refused(text: str) -> object:
    raise ValueError(text)


def _rows(budget: RenderBudget, value: object, name: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise TemplateError(f"the filter {name!r} wants a list, but got {javascript.text(value)[:50]!r}")
    budget.spend(2 * len(value))
    return value


def _whole(value: object, name: str) -> int:
    number = javascript.to_number(value)
    if not 1 <= number <= 1_000_000 or number != int(number):
        raise TemplateError(f"the filter {name!r} wants a whole number from 1")
    return int(number)


def _batch(budget: RenderBudget, value: object, linecount: object, fill_with: object = UNDEFINED) -> list[list[object]]:
    items, size = _rows(budget, value, "batch"), _whole(linecount, "batch")
    groups = [list(items[start : start + size]) for start in range(0, len(items), size)]
    if groups and javascript.truthy(fill_with):
        budget.spend(size)
        groups[-1] += [fill_with] * (size - len(groups[-1]))
    return groups


def _slice(budget: RenderBudget, value: object, slices: object, fill_with: object = UNDEFINED) -> list[list[object]]:
    items, count = _rows(budget, value, "slice"), _whole(slices, "slice")
    budget.spend(count)
    length, extra = divmod(len(items), count)
    groups, start = [], 0
    for i in range(count):
        end = start + length + (i < extra)
        groups.append([*items[start:end], *([fill_with] if javascript.truthy(fill_with) and i >= extra else [])])
        start = end
    return groups


def _center(budget: RenderBudget, value: object, width: object = 80) -> str:
    text = "" if value is None or value is UNDEFINED or value is False else budget.text(value)
    spaces = (_whole(width, "center") if javascript.truthy(width) else 80) - javascript.utf16_length(text)
    if spaces <= 0:
        return text
    budget.spend_chars(len(text) + spaces)
    # Nunjucks repeats a blank as often as a loop counts below half of them, which rounds up.
    before, after = spaces / 2 - spaces % 2, spaces / 2
    return " " * max(0, -int(-before // 1)) + text + " " * -int(-after // 1)


def _dictsort(
    budget: RenderBudget, value: object, case_sensitive: object = False, by: object = "key"
) -> list[list[object]]:
    if not isinstance(value, Mapping):
        raise TemplateError("the filter 'dictsort' wants a mapping")
    if by not in {"key", "value"}:
        raise TemplateError("the filter 'dictsort' sorts by 'key' or by 'value'")
    budget.spend(len(value) * (2 + len(value).bit_length()))
    pairs = [[key, member] for key, member in value.items()]
    keys = [pair[by == "value"] for pair in pairs]
    if not javascript.truthy(case_sensitive):
        keys = [key.upper() if isinstance(key, str) else key for key in keys]
    return [pairs[i] for i in sorted(range(len(pairs)), key=_order(keys, "dictsort").__getitem__)]


def _order(keys: Sequence[Any], name: str) -> list[Any]:
    """Keys that Python compares as JavaScript does, if they are all numbers or all texts."""
    if all(javascript.is_number(key) for key in keys):
        return [javascript.to_number(key) for key in keys]
    if all(isinstance(key, str) for key in keys):
        return [key.encode("utf-16-be", "surrogatepass") for key in keys]
    raise TemplateError(f"the filter {name!r} sorts numbers or texts, not a mix of them")


def _groupby(budget: RenderBudget, value: object, attr: object) -> dict[str, list[object]]:
    groups: dict[str, list[object]] = {}
    for item in _rows(budget, value, "groupby"):
        groups.setdefault(budget.text(lookup(item, attr)), []).append(item)
    # Keys that are whole numbers come first in JavaScript, in their order.
    numbers = sorted((key for key in groups if key.isascii() and key.isdigit() and str(int(key[:15])) == key), key=int)
    return {key: groups[key] for key in [*numbers, *(key for key in groups if key not in set(numbers))]}


def _nl2br(budget: RenderBudget, value: object) -> str:
    if value is None or value is UNDEFINED:
        return ""
    text = budget.text(value)
    budget.spend_chars(len(text) + 7 * text.count("\n"))
    return text.replace("\r\n", "\n").replace("\n", "<br />\n")


def _striptags(budget: RenderBudget, value: object, preserve_linebreaks: object = False) -> str:
    text = "" if value is None or value is UNDEFINED or value is False else budget.text(value)
    if len(text) > MAX_TAGGED_CHARS:
        raise TemplateError(f"the filter 'striptags' takes {MAX_TAGGED_CHARS} characters")
    budget.spend_chars(text.count("<") * len(text))
    text = javascript.trim(_TAG.sub("", text))
    if not javascript.truthy(preserve_linebreaks):
        return _SPACES.sub(" ", text)
    text = re.sub(r" +", " ", re.sub(r"^ +| +$", "", text, flags=re.MULTILINE)).replace("\r\n", "\n")
    return re.sub(r"\n\n\n+", "\n\n", text)


def _chosen(wanted: bool) -> Filter:
    name = "select" if wanted else "reject"

    def choose(
        budget: RenderBudget, value: object, test: object = "truthy", second: object = UNDEFINED
    ) -> list[object]:
        function = TESTS.get(str(test))
        if function is None:
            raise TemplateError(f"there is no test {test!r}")
        arguments = [] if second is UNDEFINED else [second]
        return [item for item in _rows(budget, value, name) if function(item, *arguments) is wanted]

    return choose


def _chosen_by(wanted: bool) -> Filter:
    name = "selectattr" if wanted else "rejectattr"

    def choose(budget: RenderBudget, value: object, attr: object) -> list[object]:
        return [item for item in _rows(budget, value, name) if javascript.truthy(lookup(item, attr)) is wanted]

    return choose


RARER_FILTERS: Final[Mapping[str, Filter]] = MappingProxyType(
    {
        "batch": _batch,
        "center": _center,
        "dictsort": _dictsort,
        "groupby": _groupby,
        "load": _load,
        "nl2br": _nl2br,
        "reject": _chosen(wanted=False),
        "rejectattr": _chosen_by(wanted=False),
        "select": _chosen(wanted=True),
        "selectattr": _chosen_by(wanted=True),
        "slice": _slice,
        "striptags": _striptags,
    }
)
"""By name; what `filters.FILTERS` has besides."""
