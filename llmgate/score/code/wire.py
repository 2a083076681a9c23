"""Plain values between the process that holds the model's code and the process that judges it: JSON lines over pipes.

Both processes run this text, in interpreters that have only the standard library. What arrives is made of built-in
types alone, so that comparing two values is never the sender's word. What is no plain value travels as the number of
an object that its owner keeps.

JSON arrays are lists, and an object has exactly one key, which names the type. Lists, dicts, sets and the like are
numbered in the order in which they begin, so that a later `{"r": number}` is the very same object.
"""

from __future__ import annotations

import collections
import importlib
import json
import math
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PLAIN", "Link", "LinkError", "ValueReader", "ValueWriter"]

MOST_BYTES = 8 * 2**20
MOST_BYTES_TOGETHER = 64 * 2**20
MOST_MESSAGES = 200_000
MOST_NODES = 1_000_000
DEEPEST = 150
_SMALL = 2**63
_MUTABLE = (list, dict, set, bytearray, collections.deque)
_TYPES: tuple[type, ...] = (
    *(bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range, object),
    type(None),
)
_NAMED = {kind.__name__: kind for kind in _TYPES}


PLAIN = frozenset(
    name
    for kind in (str, bytes, bytearray, int, float, complex, list, tuple, dict, set, frozenset, range)
    for name in dir(kind)
    if not name.startswith("_")
)
"""What can be read of plain values. Nothing that is none may answer to it."""


class LinkError(Exception):
    """The other side sent, or was to be sent, what is not allowed."""


class Link:
    """A line in, a line out.

    Args:
        read_fd: Where lines arrive.
        write_fd: Where they go.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._buffer = bytearray()
        self._messages = self._bytes = 0

    def send(self, message: dict[str, Any]) -> None:
        """One message.

        Raises:
            LinkError: If it is too long, or nobody reads it any more.
        """
        line = json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
        if len(line) > MOST_BYTES:
            raise LinkError(f"a value of more than {MOST_BYTES // 2**20} MiB")
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._write_fd, view) :]
        except OSError as error:
            raise EOFError from error

    def receive(self) -> dict[str, Any]:
        """The next message.

        Raises:
            EOFError: If the other side is gone.
            LinkError: If it is no message, or one too many.
        """
        while (end := self._buffer.find(b"\n")) < 0:
            try:
                piece = os.read(self._read_fd, 2**20)
            except OSError as error:
                raise EOFError from error
            if not piece:
                raise EOFError
            self._buffer += piece
            self._bytes += len(piece)
            if len(self._buffer) > MOST_BYTES or self._bytes > MOST_BYTES_TOGETHER:
                raise LinkError("more than is read")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._messages += 1
        if self._messages > MOST_MESSAGES:
            raise LinkError(f"more than {MOST_MESSAGES} messages")
        try:
            message = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise LinkError("no JSON") from error
        if not isinstance(message, dict):
            raise LinkError("no message")
        return message


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


class ValueWriter:
    """Values as JSON.

    Args:
        other: What stands for an object that is no plain value: `{"h": …}` or `{"k": …}`.
        numbered: Objects that have a number already.
    """

    def __init__(self, other: Callable[[Any], Any], numbered: list[Any] | None = None) -> None:
        self.numbered = [] if numbered is None else numbered
        self._numbers = {id(one): number for number, one in enumerate(self.numbered)}
        self._other = other
        self._nodes = 0

    def write(self, value: Any, depth: int = 0) -> Any:
        """A value.

        Raises:
            LinkError: If it is too large or too deep.
        """
        self._nodes += 1
        if self._nodes > MOST_NODES or depth > DEEPEST:
            raise LinkError("a value that is too large" if depth <= DEEPEST else "a value that is nested too deeply")
        if value is None or value is True or value is False:
            return value
        if isinstance(value, (int, float, complex, str, bytes, range)):
            return _scalar(value)
        if isinstance(value, _MUTABLE):
            return self._mutable(value, depth)
        if isinstance(value, (tuple, frozenset)):
            return self._fixed(value, depth)
        return _rare(value) or self._other(value)

    def _mutable(self, value: Any, depth: int) -> Any:
        if id(value) in self._numbers:
            return {"r": self._numbers[id(value)]}
        self._numbers[id(value)] = len(self.numbered)
        self.numbered.append(value)
        content = self.content(value, depth)
        return content if isinstance(value, list) else {_mutable_name(value): content}

    def _fixed(self, value: Any, depth: int) -> Any:
        items = [self.write(item, depth + 1) for item in value]
        if isinstance(value, frozenset):
            return {"frozenset": items}
        fields = getattr(type(value), "_fields", None)
        return {"tuple": items} if fields is None else {"named": [type(value).__name__, list(fields), items]}

    def content(self, value: Any, depth: int = 0) -> Any:
        """What is in a list, dict, set, bytearray or deque."""
        if isinstance(value, bytearray):
            return value.hex()
        if isinstance(value, dict):
            return [[self.write(key, depth + 1), self.write(item, depth + 1)] for key, item in dict.items(value)]
        return [self.write(item, depth + 1) for item in value]


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if -_SMALL < value < _SMALL else {"int": hex(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, complex):
        return {"complex": [_scalar(value.real), _scalar(value.imag)]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return {"range": [_scalar(n) for n in (value.start, value.stop, value.step)]}


def _mutable_name(value: Any) -> str:
    for kind in (collections.Counter, collections.OrderedDict, dict, set, bytearray, collections.deque):
        if isinstance(value, kind):
            return kind.__name__
    raise LinkError("no such type")


def _rare(value: Any) -> Any:
    """A built-in type, a number or a time of the standard library; None for anything else."""
    if isinstance(value, type) and _NAMED.get(value.__name__) is value:
        return {"type": value.__name__}
    if type(value).__module__ in {"decimal", "fractions", "datetime"}:
        exact = _exact(value)
        return None if exact is None else {"exact": [type(value).__name__, exact]}
    return None


def _exact(value: Any) -> list[Any] | None:
    """What a number or a time of the standard library is made from."""
    name = type(value).__name__
    if name == "Decimal":
        return [str(value)]
    if name == "Fraction":
        return [_scalar(value.numerator), _scalar(value.denominator)]
    if name == "timedelta":
        return [value.days, value.seconds, value.microseconds]
    if name in {"date", "time", "datetime"} and getattr(value, "tzinfo", None) is None:
        return [value.isoformat()]
    return None


class ValueReader:
    """JSON as values of ours.

    Args:
        other: From the name and the content of what is no plain value to what stands for it here.
        numbered: Objects that have a number already.
    """

    def __init__(self, other: Callable[[str, Any], Any], numbered: list[Any] | None = None) -> None:
        self.numbered = [] if numbered is None else numbered
        self._other = other
        self._nodes = 0

    def read(self, data: Any, depth: int = 0) -> Any:
        """A value.

        Raises:
            LinkError: If it is none.
        """
        self._nodes += 1
        if self._nodes > MOST_NODES or depth > DEEPEST:
            raise LinkError("a value that is too large")
        if data is None or isinstance(data, (bool, int, float, str)):
            if isinstance(data, float) and not math.isfinite(data):
                raise LinkError("no number")
            return data
        if isinstance(data, list):
            return self._filled([], data, depth)
        if not isinstance(data, dict) or len(data) != 1:
            raise LinkError("no value")
        ((name, content),) = data.items()
        try:
            return self._tagged(name, content, depth)
        except (ValueError, TypeError, IndexError, OverflowError, ArithmeticError, KeyError) as error:
            raise LinkError(f"no {name[:20]}") from error

    def _tagged(self, name: str, content: Any, depth: int) -> Any:
        if name in _EMPTY:
            return self._filled(_EMPTY[name](), content, depth)
        if name in _LEAVES:
            return _LEAVES[name](content)
        if name == "r":
            if type(content) is not int or content < 0:
                raise LinkError("no reference")
            return self.numbered[content]
        if name == "named":
            return self._named(content, depth)
        return self._fixed(name, content, depth) if name in _FIXED else self._other(name, content)

    def _fixed(self, name: str, content: Any, depth: int) -> Any:
        kind, parts = content if name == "exact" else (name, content)
        items = [self.read(item, depth + 1) for item in _list(parts)]
        return _exactly(_text(kind), items) if name == "exact" else _FIXED[name](items)

    def _filled(self, value: Any, content: Any, depth: int) -> Any:
        self.numbered.append(value)
        self.fill(value, content, depth)
        return value

    def fill(self, value: Any, content: Any, depth: int = 0) -> None:
        """Puts content into a list, dict, set, bytearray or deque, in place of what is there.

        Raises:
            LinkError: If it is no content of such a thing.
        """
        try:
            if isinstance(value, bytearray):
                value[:] = bytes.fromhex(_text(content))
                return
            if isinstance(value, dict):
                pairs = [(self.read(key, depth + 1), self.read(item, depth + 1)) for key, item in _list(content)]
                value.clear()
                for key, item in pairs:
                    value[key] = item
                return
            items = [self.read(item, depth + 1) for item in _list(content)]
            value.clear()
            value.update(items) if isinstance(value, set) else value.extend(items)
        except (ValueError, TypeError) as error:
            raise LinkError(f"no {type(value).__name__}") from error

    def _named(self, content: Any, depth: int) -> Any:
        """A named tuple of ours."""
        name, fields, items = content
        if not all(isinstance(field, str) and field.isidentifier() and field[0] != "_" for field in _list(fields)):
            raise LinkError("no fields")
        places: dict[str, Any] = {field: property(_Place(place)) for place, field in enumerate(fields)}
        kind = type(_text(name), (tuple,), {key: places[key] for key in places.keys() - PLAIN})
        return kind(self.read(item, depth + 1) for item in _list(items))


class _Place:
    def __init__(self, place: int) -> None:
        self._place = place

    def __call__(self, value: Any) -> Any:
        return value[self._place] if self._place < len(value) else None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise LinkError("no list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise LinkError("no text")
    return value


def _exactly(name: str, parts: list[Any]) -> Any:
    """A number or a time. Their modules are imported by few, and late, as each costs milliseconds."""
    if name in {"Decimal", "Fraction"}:
        kind = getattr(importlib.import_module("decimal" if name == "Decimal" else "fractions"), name)
        return kind(*parts)
    datetime = importlib.import_module("datetime")
    if name == "timedelta":
        return datetime.timedelta(*parts)
    kinds = {"date": datetime.date, "time": datetime.time, "datetime": datetime.datetime}
    return kinds[name].fromisoformat(_text(parts[0]))


_EMPTY: dict[str, Callable[[], Any]] = {
    "dict": dict,
    "set": set,
    "bytearray": bytearray,
    "deque": collections.deque,
    "Counter": collections.Counter,
    "OrderedDict": collections.OrderedDict,
}
_LEAVES: dict[str, Callable[[Any], Any]] = {
    "int": lambda content: int(_text(content), 16),
    "float": lambda content: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[_text(content)],
    "bytes": lambda content: bytes.fromhex(_text(content)),
    "type": lambda content: _NAMED[_text(content)],
}
_FIXED: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "frozenset": frozenset,
    "complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "range": lambda parts: range(*parts),
    "exact": list,
}
