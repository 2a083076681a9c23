"""The syntax of JavaScript's regular expressions, translated to that of the `regex` package.

Reference: ECMA-262, 22.2.1 (patterns) and Annex B.1.2 (what patterns without the flag `u` allow besides).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmgate.suite.template.javascript import WHITESPACE

__all__ = ["expanded_size", "translate"]

_Ranges = tuple[tuple[int, int], ...]

_DIGITS: _Ranges = ((0x30, 0x39),)
_WORD: _Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_LAST = 0x10FFFF


def _complement(ranges: _Ranges) -> _Ranges:
    result, start = [], 0
    for low, high in ranges:
        if start < low:
            result.append((start, low - 1))
        start = high + 1
    return (*result, (start, _LAST))


_SPACES: _Ranges = tuple((ord(c), ord(c)) for c in sorted(WHITESPACE))
_CLASSES: dict[str, _Ranges] = {
    "d": _DIGITS,
    "D": _complement(_DIGITS),
    "w": _WORD,
    "W": _complement(_WORD),
    "s": _SPACES,
    "S": _complement(_SPACES),
}
_CONTROLS = {"f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}

_ONE_WORD = "[0-9A-Za-z_]"
_BOUNDARY = f"(?:(?<={_ONE_WORD})(?!{_ONE_WORD})|(?<!{_ONE_WORD})(?={_ONE_WORD}))"
_NO_BOUNDARY = f"(?:(?<={_ONE_WORD})(?={_ONE_WORD})|(?<!{_ONE_WORD})(?!{_ONE_WORD}))"
_ANY = r"[^\n\r\u2028\u2029]"

_QUANTIFIER = re.compile(r"\{[0-9]+(?:,[0-9]*)?\}")
_GROUP = re.compile(r"\((?:\?(?:[:=!]|<[=!]|<(?P<name>[^>=!][^>]*)>|(?P<foreign>)))?")
_SKIP = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]?|.", re.DOTALL)
_TOKEN = re.compile(r"\{(?P<least>[0-9]+)(?:,[0-9]*)?\}|\\.|\[(?:\\.|[^\]\\])*\]?|.", re.DOTALL)
_SYNTAX = frozenset("^$\\.*+?()[]{}|/")


class _Foreign(Exception):  # noqa: N818 - not an error: the pattern is Python's
    """The pattern uses what only Python has."""


def translate(source: str, *, unicode: bool) -> str | None:
    """Rewrites a pattern.

    Args:
        source: In JavaScript's syntax.
        unicode: Whether it stands under the flag `u`.

    Returns:
        The pattern for `regex`, or None if it uses what only Python has.

    Raises:
        ValueError: If JavaScript would refuse it.
    """
    try:
        return _Translator(source, unicode=unicode).translate()
    except _Foreign:
        return None


def expanded_size(source: str) -> int:
    """About how many nodes the compiled pattern has: `regex` writes out what must be repeated, `a{1000}` as 1000."""
    outer: list[int] = []
    total = last = 0
    for token in _TOKEN.finditer(source):
        if token["least"]:
            extra = last * max(int(token["least"][:9]) - 1, 0)
            total, last = total + extra, last + extra
        elif token[0] == "(":
            outer.append(total)
            total = 0
        elif token[0] == ")" and outer:
            last = total + 1
            total = outer.pop() + last
        else:
            total, last = total + 1, 1
    return total + sum(outer)


@dataclass(slots=True)
class _Group:
    """A group while it is open. `number` is 0 if it captures nothing; `before` is how many captured before it."""

    number: int
    before: int
    may_skip: bool = False


class _Translator:
    def __init__(self, source: str, *, unicode: bool) -> None:
        self.source = source
        self.unicode = unicode
        self.position = 0
        groups = [_GROUP.match(source, m.start()) for m in _SKIP.finditer(source) if m[0] == "("]
        capturing = [group["name"] for group in groups if group and (group[0] == "(" or group["name"])]
        self.groups = len(capturing)
        self.numbers = {name: number for number, name in enumerate(capturing, start=1) if name}
        self.opened = 0
        self.open: list[_Group] = []
        self.closed: _Group | None = None
        self.forgotten: set[int] = set()

    def translate(self) -> str:
        pieces: list[str] = []
        while self.position < len(self.source):
            pieces.append(self.next_piece())
        return "".join(pieces)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.source, self.position)
        if match:
            self.position = match.end()
        return match

    def next_piece(self) -> str:
        character = self.source[self.position]
        closed, self.closed = self.closed, None
        if character == "\\":
            return self.escape()
        if character == "[":
            return self.character_class()
        if character == "(":
            return self.group()
        if character in "*+?{":
            return self.quantifier(character, closed)
        self.position += 1
        if character == ")" and self.open:
            self.closed = self.open.pop()
            self.may_skip(self.closed.may_skip)
        self.may_skip(character == "|")
        if character in "]}" and self.unicode:
            raise ValueError(f"lone {character} at {self.position - 1}")
        return {".": _ANY, "$": r"\Z", "]": r"\]", "}": r"\}"}.get(character, character)

    def group(self) -> str:
        match = self.take(_GROUP)
        if match is None or match["foreign"] is not None:
            raise _Foreign
        capturing = match[0] == "(" or match["name"]
        self.open.append(_Group(number=self.opened + 1 if capturing else 0, before=self.opened))
        self.opened += 1 if capturing else 0
        return match[0]

    def may_skip(self, skips: bool) -> None:
        if self.open and skips:
            self.open[-1].may_skip = True

    def quantifier(self, character: str, closed: _Group | None) -> str:
        match = self.take(_QUANTIFIER) if character == "{" else self.take(re.compile(r"[*+?]"))
        if match is None:
            if self.unicode:
                raise ValueError(f"lone {{ at {self.position}")
            self.position += 1
            return r"\{"
        if self.source.startswith("+", self.position):
            raise _Foreign
        self.may_skip(match[0] in {"*", "?"} or match[0].startswith("{0"))
        if closed is not None and closed.may_skip and match[0] not in {"?", "{0}", "{1}", "{0,1}", "{1,1}"}:
            self.forgotten |= {*range(closed.before + 1, self.opened + 1)} - {closed.number}
        return match[0]

    def escape(self) -> str:
        following = self.source[self.position + 1 : self.position + 2]
        if not following:
            raise ValueError("a backslash at the end")
        if following in "bB":
            self.position += 2
            return _BOUNDARY if following == "b" else _NO_BOUNDARY
        if following == "k" and (self.unicode or self.numbers):
            return self.named_reference()
        if following in "123456789":
            reference = self.numbered_reference()
            if reference is not None:
                return reference
        if following in "pP" and self.unicode:
            return self.property()
        atom = self.atom()
        return _literal(atom) if isinstance(atom, int) else f"[{_spelled(atom)}]"

    def named_reference(self) -> str:
        match = self.take(re.compile(r"\\k<([^>]*)>"))
        if match is None or match[1] not in self.numbers:
            raise ValueError("a reference to a group that does not exist")
        return self.reference(self.numbers[match[1]])

    def numbered_reference(self) -> str | None:
        match = re.compile(r"\\([0-9]+)").match(self.source, self.position)
        if match is None or int(match[1][:6]) > self.groups:
            if self.unicode:
                raise ValueError("a reference to a group that does not exist")
            return None
        self.position = match.end()
        return self.reference(int(match[1]))

    def reference(self, number: int) -> str:
        # To a group that has not matched yet, or is still open, JavaScript takes it as the empty text.
        if number in self.forgotten:
            raise ValueError(
                "a reference to a group that a repetition may skip: JavaScript forgets it, Python does not"
            )
        return "(?:)" if any(group.number == number for group in self.open) else f"(?({number})\\g<{number}>)"

    def property(self) -> str:
        match = self.take(re.compile(r"\\[pP]\{[A-Za-z0-9_]+(?:=[A-Za-z0-9_]+)?\}"))
        if match is None:
            raise ValueError("an incomplete property")
        return match[0]

    def atom(self) -> int | _Ranges:
        """One character or one class of characters after a backslash."""
        self.position += 1
        character = self.source[self.position]
        self.position += 1
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character in "01234567":
            return self.octal(character)
        if character in "xu":
            return self.hexadecimal(character)
        if character == "c":
            return self.control()
        if self.unicode and character not in _SYNTAX:
            raise ValueError(f"\\{character} means nothing")
        return ord(character)

    def octal(self, first: str) -> int:
        digits = self.take(re.compile("[0-7]{0,2}" if first <= "3" else "[0-7]?"))
        text = first + (digits[0] if digits else "")
        if self.unicode and text != "0":
            raise ValueError(f"\\{text} means nothing")
        return int(text, 8)

    def hexadecimal(self, kind: str) -> int:
        match = self.take(re.compile("[0-9a-fA-F]{2}" if kind == "x" else "[0-9a-fA-F]{4}"))
        if match:
            return int(match[0], 16)
        if not self.unicode:
            return ord(kind)
        braced = self.take(re.compile(r"\{0*([0-9a-fA-F]{1,6})\}")) if kind == "u" else None
        if braced is None or int(braced[1], 16) > _LAST:
            raise ValueError(f"an incomplete \\{kind}")
        return int(braced[1], 16)

    def control(self) -> int:
        letter = self.take(re.compile("[A-Za-z]"))
        if letter:
            return ord(letter[0]) % 32
        if self.unicode:
            raise ValueError("an incomplete \\c")
        # The backslash stands for itself, and the c follows as the next character.
        self.position -= 1
        return ord("\\")

    def character_class(self) -> str:
        self.position += 1
        negated = self.take(re.compile(r"\^")) is not None
        parts: list[str] = []
        while not self.take(re.compile("]")):
            parts.append(self.class_part())
        if not parts:
            return r"[\x00-\U0010ffff]" if negated else "(?!)"
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def class_part(self) -> str:
        first = self.class_atom()
        if not (
            self.source.startswith("-", self.position) and self.source[self.position + 1 : self.position + 2] != "]"
        ):
            return _spelled(first)
        self.position += 1
        last = self.class_atom()
        if isinstance(first, int) and isinstance(last, int):
            if first > last:
                raise ValueError("a range out of order")
            return _spelled(((first, last),))
        if self.unicode:
            raise ValueError("a range between classes")
        return _spelled(first) + _spelled(ord("-")) + _spelled(last)

    def class_atom(self) -> int | _Ranges | str:
        character = self.source[self.position : self.position + 1]
        if not character:
            raise ValueError("a class is not closed")
        if character != "\\":
            self.position += 1
            return ord(character)
        following = self.source[self.position + 1 : self.position + 2]
        if not following:
            raise ValueError("a backslash at the end")
        if following == "b":
            self.position += 2
            return 0x08
        if following in "pP" and self.unicode:
            return self.property()
        if following == "-" and self.unicode:
            self.position += 2
            return ord("-")
        return self.atom()


def _literal(code: int) -> str:
    return re.escape(chr(code)) if code < 0x80 else chr(code)


def _spelled(atom: int | _Ranges | str) -> str:
    """A part of a class, every character as its number so that none has a meaning."""
    if isinstance(atom, str):
        return atom
    ranges = ((atom, atom),) if isinstance(atom, int) else atom
    return "".join(_code(low) if low == high else f"{_code(low)}-{_code(high)}" for low, high in ranges)


def _code(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
