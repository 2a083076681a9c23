"""What small Python programs may call: functions, methods of texts, lists and mappings, and parts of three modules."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import regex

from llmgate.errors import CannotRunError
from llmgate.score.expression.spending import Spending, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CALLS", "ERRORS", "KINDS", "METHODS", "MODULES", "PyFound", "PyPattern", "paid"]

_LONGEST_NUMBER: Final = 400
_OTHERWISE = re.compile(r"\[\[|&&|\|\||~~|\\[pPhHKGXRmMLN]|(?<!\\)\{(?![0-9]*,?[0-9]*\})")
"""What the package that runs patterns reads in another way than Python's own."""
_SAME_FLAGS: Final = re.IGNORECASE | re.MULTILINE | re.DOTALL | re.ASCII | re.VERBOSE


@dataclass(frozen=True, slots=True)
class PyPattern:
    """A compiled pattern."""

    compiled: regex.Pattern[str]


@dataclass(frozen=True, slots=True)
class PyFound:
    """A match; it is true, as in Python."""

    match: regex.Match[str]


def _spending(program: Any) -> Spending:
    spending: Spending = program.spending
    return spending


def _compiled(_: Any, pattern: object, flags: int = 0) -> PyPattern:
    if isinstance(pattern, PyPattern):
        return pattern
    if not isinstance(pattern, str):
        raise TypeError("first argument must be string or compiled pattern")
    if len(pattern) > 2000 or re.search(r"[0-9]{4}", pattern):
        raise unknown("a pattern that is so long, or repeats so often")
    if _OTHERWISE.search(pattern) or flags & ~_SAME_FLAGS:
        raise unknown(f"the pattern {pattern[:60]!r}")
    try:
        re.compile(pattern, flags)
        return PyPattern(regex.compile(pattern, flags=regex.VERSION0 | int(flags)))
    except (regex.error, RecursionError, OverflowError) as error:
        raise re.error(str(error)[:200]) from error


def _looks(method: str) -> Callable[..., object]:
    def look(program: Any, pattern: object, text: str, flags: int = 0) -> object:
        if not isinstance(text, str):
            raise TypeError("expected string or bytes-like object")
        _spending(program).chars(len(text))
        match = _spending(program).search(_compiled(program, pattern, flags).compiled, method, text, concurrent=False)
        return None if match is None else PyFound(match)

    return look


def _find_all(program: Any, pattern: object, text: str, flags: int = 0) -> object:
    if not isinstance(text, str):
        raise TypeError("expected string or bytes-like object")
    _spending(program).chars(len(text))
    compiled = _compiled(program, pattern, flags).compiled
    found = _spending(program).search(compiled, "finditer", text, concurrent=False)
    if compiled.groups > 1:
        return [match.groups("") for match in found]
    return [match[compiled.groups] or "" for match in found]


def _substituted(program: Any, pattern: object, new: str, text: str, *, flags: int = 0) -> object:
    if not isinstance(text, str) or not isinstance(new, str):
        raise TypeError("expected string or bytes-like object")
    if "\\" in new:
        raise unknown("`re.sub` with a reference")
    _spending(program).chars(len(text) * (len(new) + 1))
    compiled = _compiled(program, pattern, flags).compiled
    return _spending(program).search(compiled, "sub", new, text, concurrent=False)


def _split_by(program: Any, pattern: object, text: str) -> object:
    if not isinstance(text, str):
        raise TypeError("expected string or bytes-like object")
    _spending(program).steps(len(text) / 4)
    found = _spending(program).search(_compiled(program, pattern).compiled, "split", text, concurrent=False)
    _spending(program).steps(len(found))
    return found


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise CannotRunError(f"a number of more than {_LONGEST_NUMBER} digits")
    return int(digits)


def _loads(program: Any, text: object) -> object:
    if not isinstance(text, str):
        raise TypeError("the JSON object must be str, bytes or bytearray")
    _spending(program).chars(8 * len(text))
    return json.loads(text, parse_int=_whole)


def _dumps(program: Any, value: object) -> object:
    paid(program, value)
    return json.dumps(value)


def paid(program: Any, value: object, level: int = 0) -> None:
    """Pays for all parts of a value."""
    if level > 100:
        raise unknown("data nested so deeply")
    if isinstance(value, str):
        _spending(program).chars(len(value))
    elif isinstance(value, list | tuple | set | dict):
        _spending(program).steps(len(value))
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            paid(program, item, level + 1)


def _number(kind: Callable[..., object]) -> Callable[..., object]:
    def convert(_: Any, value: object = 0) -> object:
        if isinstance(value, str) and len(value) > _LONGEST_NUMBER:
            raise CannotRunError(f"a number of more than {_LONGEST_NUMBER} characters")
        return kind(value)

    return convert


def _listed(kind: Callable[..., object]) -> Callable[..., object]:
    return lambda program, value=(): kind(program.iterated(value))


def _set(program: Any, value: object = ()) -> object:
    paid(program, value)
    return set(program.iterated(value))


def _reduced(kind: Callable[..., object]) -> Callable[..., object]:
    def reduce(program: Any, *values: object, default: object = ...) -> object:
        items = program.iterated(values[0]) if len(values) == 1 else list(values)
        paid(program, items)
        if not items and default is not ...:
            return default
        return kind(items)

    return reduce


def _text(program: Any, value: object = "") -> str:
    paid(program, value)
    if isinstance(value, PyPattern | PyFound):
        raise unknown("a pattern or a match as a text")
    return str(value)


def _range(program: Any, *bounds: int) -> object:
    span = range(*bounds)
    try:
        _spending(program).steps(len(span))
    except OverflowError:
        _spending(program).steps(math.inf)
    return list(span)


def _enumerated(program: Any, value: object, start: int = 0) -> object:
    return list(enumerate(program.iterated(value), start))


def _zipped(program: Any, *values: object) -> object:
    return list(zip(*map(program.iterated, values), strict=False))


KINDS: Final = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict, "tuple": tuple}


def _is_instance(_: Any, value: object, kind: object) -> bool:
    names = kind if isinstance(kind, tuple) else (kind,)
    if not all(isinstance(name, type) for name in names):
        raise unknown("`isinstance` with something else than str, int, float, bool, list, dict")
    return isinstance(value, names)


def _sorted(program: Any, value: object, reverse: bool = False) -> object:
    items = program.iterated(value)
    paid(program, items)
    _spending(program).steps(8 * len(items))
    return sorted(items, reverse=reverse)


def _summed(program: Any, value: object, start: int = 0) -> object:
    items = program.iterated(value)
    if not all(isinstance(item, int | float) for item in items):
        raise TypeError("unsupported operand type(s) for +")
    return sum(items, start)


CALLS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "abs": lambda _, value: abs(value),
        "all": lambda program, value: all(program.iterated(value)),
        "any": lambda program, value: any(program.iterated(value)),
        "bool": lambda _, value=False: bool(value),
        "dict": lambda _: {},
        "enumerate": _enumerated,
        "float": _number(float),
        "int": _number(int),
        "isinstance": _is_instance,
        "len": lambda _, value: len(value),
        "list": _listed(list),
        "max": _reduced(max),
        "min": _reduced(min),
        "print": lambda *_: None,
        "range": _range,
        "round": lambda _, value, digits=None: round(value, digits),
        "set": _set,
        "sorted": _sorted,
        "str": _text,
        "sum": _summed,
        "tuple": _listed(tuple),
        "zip": _zipped,
    }
)
"""Functions by name; the first argument is the program."""

MODULES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "json": {"loads": _loads, "dumps": _dumps, "JSONDecodeError": "JSONDecodeError"},
        "math": {
            "ceil": lambda _, value: math.ceil(value),
            "floor": lambda _, value: math.floor(value),
            "sqrt": lambda _, value: math.sqrt(value),
            "isclose": lambda _, a, b, **named: math.isclose(a, b, **named),
        },
        "re": {
            "compile": _compiled,
            "findall": _find_all,
            "fullmatch": _looks("fullmatch"),
            "match": _looks("match"),
            "search": _looks("search"),
            "split": _split_by,
            "sub": _substituted,
            **{name: getattr(re, name) for name in ("I", "IGNORECASE", "M", "MULTILINE", "S", "DOTALL")},
        },
    }
)

_LOOKUP: Final = frozenset({"KeyError", "IndexError", "LookupError"})
_VALUE: Final = frozenset({"ValueError", "JSONDecodeError", "UnicodeError"})
ERRORS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        **{name: frozenset({name}) for name in ("KeyError", "IndexError", "TypeError", "AttributeError", "NameError")},
        "JSONDecodeError": frozenset({"JSONDecodeError"}),
        "ZeroDivisionError": frozenset({"ZeroDivisionError"}),
        "ValueError": _VALUE,
        "LookupError": _LOOKUP,
        "Exception": frozenset(),
        "BaseException": frozenset(),
    }
)
"""Which errors a class catches; the last two catch all."""


def _plain(name: str) -> Callable[..., object]:
    method: Callable[..., object] = getattr(str, name)
    return lambda _, text, *arguments: method(text, *arguments)


def _split(program: Any, text: str, *arguments: Any) -> object:
    _spending(program).steps(len(text) / 2)
    return text.split(*arguments)


def _replaced(program: Any, text: str, old: str, new: str, *count: int) -> object:
    _spending(program).chars(len(text) + (text.count(old) if old else len(text) + 1) * len(new))
    return text.replace(old, new, *count)


def _joined(program: Any, text: str, items: object) -> object:
    values = program.iterated(items)
    _spending(program).chars(len(text) * len(values) + sum(len(value) for value in values if isinstance(value, str)))
    return text.join(values)


def _of_items(method: Callable[..., object]) -> Callable[..., object]:
    def look(program: Any, items: list[object], value: object) -> object:
        paid(program, [items, value])
        return method(items, value)

    return look


def _appended(_: Any, items: list[object], value: object) -> None:
    items.append(value)


_PLAIN: Final = (
    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit", "islower"),
    *("isnumeric", "isspace", "isupper", "lower", "lstrip", "removeprefix", "removesuffix", "rfind", "rstrip"),
    *("startswith", "strip", "swapcase", "title", "upper"),
)
METHODS: Final[Mapping[str, tuple[tuple[type, Callable[..., Any]], ...]]] = MappingProxyType(
    {
        **{name: ((str, _plain(name)),) for name in _PLAIN},
        "append": ((list, _appended),),
        "count": ((str, _plain("count")), (list, _of_items(list.count))),
        "get": ((dict, lambda _, value, key, otherwise=None: value.get(key, otherwise)),),
        "group": ((PyFound, lambda _, found, *names: found.match.group(*names)),),
        "groups": ((PyFound, lambda _, found: found.match.groups()),),
        "index": ((str, _plain("index")), (list, _of_items(list.index))),
        "items": ((dict, lambda _, value: [tuple(pair) for pair in value.items()]),),
        "join": ((str, _joined),),
        "keys": ((dict, lambda _, value: list(value)),),
        "findall": ((PyPattern, _find_all),),
        "match": ((PyPattern, _looks("match")),),
        "replace": ((str, _replaced),),
        "search": ((PyPattern, _looks("search")),),
        "split": ((str, _split),),
        "splitlines": ((str, lambda _, text: text.splitlines()),),
        "values": ((dict, lambda _, value: list(value.values())),),
    }
)
"""Methods by name, for each kind of value that has them; the first argument is the program."""
