"""JavaScript's regular expressions in small programs: flags, positions, and what is found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.score.expression.spending import ThrownError, unknown
from llmgate.score.expression.values import JsFunction, JsMatch, JsRegex, joined, js_text
from llmgate.score.javascript.pattern import Pattern
from llmgate.suite.template.javascript import UNDEFINED, utf16_length, utf16_units

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.score.expression.spending import Spending

__all__ = ["compiled", "execute", "find_all", "replaced", "split"]

_FLAGS: Final = frozenset("gimsu")
_ESCAPED = re.compile(r"\\(?:u([dD][89a-fA-F][0-9a-fA-F]{2})|(.))", re.DOTALL)
_MODES = re.compile(r"\(\?[a-z-]+[:)]|\\[pPu]\{")
_ASSERTION = re.compile(r"\\([bB])|\\.|\[(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEATED_ASSERTION = re.compile(r"[\^$](?:[*+?]|\{[0-9])")
_REFERENCE = re.compile(r"\$(?:([$&`'])|([1-9][0-9]?)|<([^>]*)>)")


def compiled(source: str, flags: str) -> JsRegex:
    """A pattern with its flags.

    Raises:
        SuiteError: If it is not a pattern of JavaScript, or cannot be evaluated here.
    """
    if len(set(flags)) < len(flags) or not _FLAGS.issuperset(flags):
        raise SuiteError(f"patterns have no flags {flags!r} here", fix="Use g, i, m, s and u")
    written = source
    if "u" not in flags:
        if _MODES.search(source):
            raise SuiteError(f"the pattern {source[:60]!r} means something else without the flag u")
        # A half of an emoji is a character of its own here.
        written = _ESCAPED.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[0], utf16_units(source))
    plain = written.isascii() and not re.search(r"\\[ux]", written)
    if _REPEATED_ASSERTION.search(_ASSERTION.sub(lambda m: "^" if m[1] else "x", written)):
        raise SuiteError(f"the pattern {source[:60]!r} repeats what has no length, which is an error in JavaScript")
    pattern = Pattern.compile(
        written,
        ignore_case="i" in flags,
        any_case="i" in flags and not plain,
        multiline="m" in flags,
        dot_all="s" in flags,
    )
    if pattern.foreign:
        raise SuiteError(f"the pattern {source[:60]!r} is none of JavaScript")
    return JsRegex(source, flags, pattern)


def _subject(regex: JsRegex, text: str) -> str:
    return joined(text) if "u" in regex.flags else text


def _position(regex: JsRegex, subject: str, at: int) -> int:
    return utf16_length(subject[:at]) if "u" in regex.flags else at


def _found(regex: JsRegex, subject: str, match: Any) -> JsMatch:
    groups = [UNDEFINED if group is None else utf16_units(group) for group in match.groups()]
    result = JsMatch([utf16_units(match[0]), *groups])
    result.at = float(_position(regex, subject, match.start()))
    named = match.groupdict()
    if named:
        result.groups = {key: UNDEFINED if value is None else utf16_units(value) for key, value in named.items()}
    return result


def execute(regex: JsRegex, text: str, spending: Spending) -> JsMatch | None:
    """`regex.exec(text)`; with the flag `g` it goes on where the last one ended."""
    spending.chars(len(text))
    moving = "g" in regex.flags
    if moving and "u" in regex.flags:
        raise unknown("`exec` or `test` of a pattern with the flags g and u")
    subject = _subject(regex, text)
    start = regex.last if moving else 0
    match = None
    if start <= len(subject):
        match = spending.search(regex.pattern.compiled, "search", subject, start, concurrent=False)
    if moving:
        regex.last = match.end() if match else 0
    return _found(regex, subject, match) if match else None


def find_all(regex: JsRegex, text: str, spending: Spending) -> list[JsMatch]:
    """Every match, from the left."""
    spending.chars(len(text))
    subject = _subject(regex, text)
    found = spending.search(regex.pattern.compiled, "finditer", subject, concurrent=False)
    spending.steps(len(found))
    regex.last = 0
    return [_found(regex, subject, match) for match in found]


def replaced(
    text: str, old: object, new: object, spending: Spending, call: Callable[..., object], *, every: bool
) -> str:
    """`text.replace(old, new)`, and `replaceAll`."""
    if isinstance(old, JsRegex):
        if every and "g" not in old.flags:
            raise ThrownError("replaceAll must be called with a global RegExp")
        whole = "g" in old.flags
        matches = find_all(old, text, spending) if whole else [m for m in (execute(old, text, spending),) if m]
    else:
        needle = js_text(old, spending)
        spending.chars(len(text))
        matches, at = [], text.find(needle)
        while at >= 0:
            match = JsMatch([needle])
            match.at = float(at)
            matches.append(match)
            spending.steps(1)
            at = text.find(needle, at + max(len(needle), 1)) if every and at < len(text) else -1
    pieces: list[str] = []
    end = 0
    for match in matches:
        at = int(match.at)
        whole_text = str(match[0])
        if isinstance(new, JsFunction):
            value = js_text(call(new, [*match, match.at, text]), spending)
        else:
            value = _filled(js_text(new, spending), match, text)
        spending.chars(len(value))
        pieces += [text[end:at], value]
        end = at + len(whole_text)
    result = "".join([*pieces, text[end:]])
    spending.chars(len(result))
    return result


def _filled(template: str, match: JsMatch, text: str) -> str:
    if "$" not in template:
        return template
    at, end = int(match.at), int(match.at) + len(str(match[0]))

    def part(reference: re.Match[str]) -> str:
        if reference[1]:
            return {"$": "$", "&": str(match[0]), "`": text[:at], "'": text[end:]}[reference[1]]
        if reference[3] is not None:
            raise unknown("a named group in a replacement")
        number = int(reference[2])
        if not 0 < number < len(match):
            raise unknown(f"the replacement {template[:40]!r}")
        return "" if match[number] is UNDEFINED else str(match[number])

    return _REFERENCE.sub(part, template)


def split(text: str, separator: object, limit: float, spending: Spending) -> list[object]:
    """`text.split(separator, limit)`."""
    spending.steps(len(text) / 4)  # as if each fourth character were a part
    if separator is UNDEFINED:
        parts: list[object] = [text]
    elif isinstance(separator, JsRegex):
        parts = _split_by(separator, text, spending)
    else:
        needle = js_text(separator, spending)
        parts = list(text.split(needle)) if needle else list(text)
    spending.steps(len(parts))
    return parts if limit < 0 else parts[: int(limit)]


def _split_by(separator: JsRegex, text: str, spending: Spending) -> list[object]:
    """A match of nothing splits between characters, never at the ends."""
    parts: list[object] = []
    if not text:
        return [] if execute(JsRegex(separator.source, "", separator.pattern), text, spending) else [text]
    end = 0
    for match in find_all(separator, text, spending):
        at, length = int(match.at), len(str(match[0]))
        if not length and (at <= end or at >= len(text)):
            continue
        if at >= len(text):
            break
        parts += [text[end:at], *match[1:]]
        end = at + length
    return [*parts, text[end:]]
