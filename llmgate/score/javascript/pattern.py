r"""Regular expressions as JavaScript reads them, run by the `regex` package with a time limit.

A pattern is translated where the two differ in what suites rely on: `\d`, `\w` and `\b` are ASCII, `$` is the very end,
`.` stops at every line end, `\s` knows U+00A0 and U+FEFF, a brace or a letter without a meaning stands for itself, a
reference to a group that has not matched is empty (ECMA-262, 22.2.1 and Annex B.1.2). An emoji is one character. What
only Python knows, such as `(?i)` or `a++`, is an error in JavaScript; such a pattern is taken as Python reads it,
unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import regex

from llmgate.errors import CannotRunError, SuiteError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MAX_PATTERN_CHARS", "TIME_LIMIT_S", "Pattern"]

T = TypeVar("T")

TIME_LIMIT_S: Final = 2.0
"""Processor time of one search."""
MAX_PATTERN_CHARS: Final = 50_000
"""Characters of a pattern, and repetitions that it writes out: `(?:a{100}){100}` counts 10 000."""

_WORD: Final = "0-9A-Za-z_"
_SPACES: Final = "\\t-\\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_SETS: Final = {
    "d": "0-9",
    "D": r"\x00-/:-\U0010ffff",
    "w": _WORD,
    "W": r"\x00-/:-@\[-\^`{-\U0010ffff",
    "s": _SPACES,
    "S": "\\x00-\\x08\\x0e-\\x1f!-\x9f\xa1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2fff"
    "\u3001-\ufefe\uff00-\\U0010ffff",
}
"""What the letters stand for inside of brackets."""
_WHOLE: Final = {
    ".": r"[^\n\r\u2028\u2029]",
    "$": r"\Z",
    "{": r"\{",
    "[]": "(?!)",
    "[^]": r"[\x00-\U0010ffff]",
    r"\b": f"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))",
    r"\B": f"(?:(?<=[{_WORD}])(?=[{_WORD}])|(?<![{_WORD}])(?![{_WORD}]))",
}
"""What stands for a token outside of brackets."""
_LINES: Final = {
    "^": r"(?:(?<=[\n\r\u2028\u2029])|\A)",
    "$": r"(?:(?=[\n\r\u2028\u2029])|\Z)",
}
"""The same where a pattern looks at lines."""

_ESCAPE: Final = r"""\\(?:u(?P<high>[dD][89abAB]..)\\u(?P<low>[dD][c-fC-F]..) | u(?P<half>[dD][89a-fA-F])
    | u\{(?P<code>[0-9a-fA-F]+)\} | c(?P<control>[A-Za-z]) | (?P<set>[dDsSwW]) | (?P<kept>[pP]\{ | [\Wfnrtvxu0-9])
    | (?P<plain>.))"""
_TOKEN = re.compile(
    rf"""\\k<(?P<name>[^>]{{1,99}})> | \\(?P<number>[1-9][0-9]?)(?![0-9]) | \\[bB] | {_ESCAPE}
    | \[\^?\] | \[(?P<negated>\^?)(?P<members>(?:\\.|[^\]\\])+)(?P<closed>\]?)
    | (?P<group>\((?!\?)|\(\?<[^\W\d][\w$]*>) | \(\?(?:[:=!]|<[=!]) | (?P<foreign>\(\?)
    | (?:[*+?]|\{{[0-9]+(?:,[0-9]*)?\}})(?P<possessive>\+?) | .""",
    re.VERBOSE | re.DOTALL,
)
_MEMBER = re.compile(rf"{_ESCAPE} (?P<after>-(?!$))? | (?P<before>-(?=\\[dDsSwW])) | [\[&|~]", re.VERBOSE | re.DOTALL)
_STEP = re.compile(r"\{(?P<least>[0-9]+)(?:,[0-9]*)?\}|\\.|\[(?:\\.|[^\]\\])*\]?|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern.

    Attributes:
        source: As written.
        compiled: What is run.
        foreign: Whether it is taken as Python reads it.
    """

    source: str
    compiled: regex.Pattern[str]
    foreign: bool

    @classmethod
    def compile(
        cls,
        source: str,
        *,
        ignore_case: bool = False,
        any_case: bool = False,
        multiline: bool = False,
        dot_all: bool = False,
        python: bool = False,
    ) -> Pattern:
        """Translates and compiles.

        Args:
            source: The pattern.
            ignore_case: Whether the case of the letters A to Z does not count.
            any_case: Whether the case of all other letters does not count either.
            multiline: Whether `^` and `$` stand for the ends of lines.
            dot_all: Whether `.` stands for line ends, too.
            python: Whether it was written for Python, and is taken as Python reads it.

        Raises:
            SuiteError: If it does not compile. The message does not say where; the caller knows.
        """
        if len(source) > MAX_PATTERN_CHARS or _expanded_size(source) > MAX_PATTERN_CHARS:
            raise SuiteError(f"the pattern has more than {MAX_PATTERN_CHARS} characters or repetitions")
        try:
            meanings = {**_WHOLE, **(_LINES if multiline else {}), **({".": _WHOLE["[^]"]} if dot_all else {})}
            translated = None if python else _translate(source, meanings)
            case = regex.IGNORECASE if any_case else regex.IGNORECASE | regex.ASCII
            flags = regex.VERSION0 | (case if ignore_case or any_case else 0)
            compiled = regex.compile(source if translated is None else translated, flags=flags)
            return cls(source, compiled, foreign=translated is None)
        except (regex.error, ValueError, OverflowError, RecursionError, MemoryError, LookupError) as error:
            raise SuiteError(f"the pattern {source[:80]!r} does not compile: {str(error)[:120]}") from error

    def found_in(self, text: str) -> bool:
        """Whether the pattern matches anywhere.

        Raises:
            CannotRunError: If the search takes longer than the limit.
        """
        return self._search(text) is not None

    def first_in(self, text: str) -> str | None:
        """What the first group that took part in the first match holds, the whole match where there is no group.

        Raises:
            CannotRunError: If the search takes longer than the limit.
        """
        match = self._search(text)
        if match is None:
            return None
        return next((group for group in match.groups() if group is not None), match[0])

    def _search(self, text: str) -> regex.Match[str] | None:
        return self._within_limits(lambda: self.compiled.search(text, timeout=TIME_LIMIT_S, concurrent=False))

    def all_in(self, text: str) -> list[str | tuple[str, ...]]:
        """What Python's `findall` finds: the matches, or their groups if the pattern has any.

        Raises:
            CannotRunError: If the search takes longer than the limit.
        """
        return self._within_limits(lambda: self.compiled.findall(text, timeout=TIME_LIMIT_S, concurrent=False))

    def removed_from(self, text: str) -> str:
        """The text without what matches.

        Raises:
            CannotRunError: If the search takes longer than the limit.
        """
        return self._within_limits(lambda: self.compiled.sub("", text, timeout=TIME_LIMIT_S, concurrent=False))

    def _within_limits(self, search: Callable[[], T]) -> T:
        try:
            return search()
        except TimeoutError as error:
            raise CannotRunError(
                f"the pattern {self.source[:80]!r} ran into its limit of {TIME_LIMIT_S:g} s",
                fix="Avoid nested repetitions such as (a+)+",
            ) from error
        except (RecursionError, MemoryError) as error:
            raise CannotRunError(f"the pattern {self.source[:80]!r} needs too much memory") from error


def _translate(source: str, meanings: Mapping[str, str]) -> str | None:
    """The pattern for `regex`, None if it uses what only Python has.

    Raises:
        ValueError: If it cannot be said in `regex`.
    """
    tokens = list(_TOKEN.finditer(source))
    if any(token["foreign"] or token["possessive"] for token in tokens):
        return None
    groups = sum(bool(token["group"]) for token in tokens)
    return "".join(_translated(token, groups, meanings) for token in tokens)


def _translated(token: re.Match[str], groups: int, meanings: Mapping[str, str]) -> str:
    if token["members"]:
        if not token["closed"]:
            raise ValueError("a class is not closed")
        return f"[{token['negated']}{_MEMBER.sub(_member, token['members'])}]"
    reference = token["name"] or token["number"]
    if reference and (token["name"] or int(reference) <= groups):
        return f"(?({reference})\\g<{reference}>)"
    if token[0] in meanings:
        return meanings[token[0]]
    return f"[{_SETS[token['set']]}]" if token["set"] else _escaped(token)


def _member(token: re.Match[str]) -> str:
    """A part of a class; a hyphen beside a letter that stands for many is itself."""
    if token["set"]:
        return _SETS[token["set"]] + (r"\-" if token["after"] else "")
    if token["before"] or token[0] in "[&|~":
        return f"\\{token[0]}"
    return _escaped(token) + (token["after"] or "") if token[0][1:2] != "b" else r"\x08" + (token["after"] or "")


def _escaped(token: re.Match[str]) -> str:
    if token["half"]:
        raise ValueError("an emoji is one character here: write it as itself or as \\u{...}, not in two halves")
    if token["high"]:
        high, low = int(token["high"], 16), int(token["low"], 16)
        return regex.escape(chr(0x10000 + ((high & 0x3FF) << 10 | low & 0x3FF)))
    if token["code"]:
        return regex.escape(chr(int(token["code"], 16)))
    if token["control"]:
        return f"\\x{ord(token['control']) % 32:02x}"
    return token["plain"] or token[0].removesuffix(token.groupdict().get("after") or "")


def _expanded_size(source: str) -> int:
    """About how many nodes the compiled pattern has: `regex` writes out what must be repeated, `a{1000}` as 1000."""
    outer: list[int] = []
    total = last = 0
    for step in _STEP.finditer(source):
        if step["least"]:
            extra = last * max(int(step["least"][:9]) - 1, 0)
            total, last = total + extra, last + extra
        elif step[0] == "(":
            outer.append(total)
            total = 0
        elif step[0] == ")" and outer:
            last = total + 1
            total = outer.pop() + last
        else:
            total, last = total + 1, 1
    return total + sum(outer)
