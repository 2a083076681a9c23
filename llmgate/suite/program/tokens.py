"""The tokens of JavaScript, as far as small programs use them (ECMA-262, 12)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from llmgate.errors import SuiteError
from llmgate.suite.template.javascript import WHITESPACE, utf16_units

__all__ = ["SourceToken", "tokenize"]

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_SPACE = re.compile(f"(?:[{re.escape(WHITESPACE)}]|//[^\n\r\u2028\u2029]*|/\\*.*?\\*/)+", re.DOTALL)
_NUMBER = re.compile(
    r"(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+"
    r"|(?>(?:0|[1-9][0-9]*(?:_[0-9]+)*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w$])"
)
_WORD = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_SIGN = re.compile(
    r"\.\.\.|=>|\?\.(?![0-9])|\?\?=?|\|\|=?|&&=?|===|!==|==|!=|\*\*=?|<=|>=|\+\+|--|\+=|-=|\*=|/=|%=|[-+*/%<>=!?:,;.(){}\[\]]"
)
_REGEX = re.compile(r"/((?:\\[^\n\r\u2028\u2029]|\[(?:\\[^\n\r\u2028\u2029]|[^\]\\\n\r])*\]|[^/\\\[\n\r])+)/([a-z]*)")
_ENDS_VALUE: Final = frozenset({")", "]", "}", "++", "--"})
_BEFORE_VALUE: Final = frozenset(
    {*("return", "typeof", "case", "in", "of", "instanceof", "new", "delete", "void", "throw", "else", "do")}
)
_TERMINATORS: Final = frozenset("\n\r\u2028\u2029")


@dataclass(frozen=True, slots=True)
class SourceToken:
    """One token.

    Attributes:
        kind: `word`, `number`, `text`, `template`, `regex`, `sign` or `end`.
        value: The word, the sign, or what the literal says.
        line: From 1.
        after_newline: Whether a line ends before it.
        parts: Of a template its texts and the tokens of its expressions in turn; of a regex its flags.
    """

    kind: str
    value: str
    line: int
    after_newline: bool
    parts: tuple[str | tuple[SourceToken, ...], ...] = ()


def problem(line: int, what: str) -> SuiteError:
    """What is wrong in a line of code."""
    return SuiteError(f"line {line} of the code: {what}")


def tokenize(code: str) -> tuple[SourceToken, ...]:
    """All tokens of a program, and one of kind `end`.

    Raises:
        SuiteError: If something in it is no token that small programs have.
    """
    tokens, position = _tokens(code, 0, inner=False, nested=0)
    if position < len(code):
        raise problem(code.count("\n", 0, position) + 1, "a closing brace without an opening one")
    return tokens


def _tokens(code: str, position: int, *, inner: bool, nested: int) -> tuple[tuple[SourceToken, ...], int]:
    tokens: list[SourceToken] = []
    braces = 0
    while True:
        space = _SPACE.match(code, position)
        newline = position == 0
        if space:
            newline = newline or not _TERMINATORS.isdisjoint(space[0])
            position = space.end()
        line = code.count("\n", 0, position) + 1
        if position >= len(code):
            tokens.append(SourceToken("end", "", line, after_newline=True))
            return tuple(tokens), position
        character = code[position]
        if inner and character == "}" and not braces:
            tokens.append(SourceToken("end", "", line, after_newline=True))
            return tuple(tokens), position
        if character == "`":
            parts, position = _template(code, position + 1, line, nested)
            tokens.append(SourceToken("template", "", line, newline, parts))
            continue
        token, position = _simple(code, position, line, newline, tokens[-1] if tokens else None)
        braces += {"{": 1, "}": -1}.get(token.value, 0) if token.kind == "sign" else 0
        tokens.append(token)


def _simple(code: str, position: int, line: int, newline: bool, last: SourceToken | None) -> tuple[SourceToken, int]:
    character = code[position]
    if character in "'\"":
        text, position = _quoted(code, position + 1, character, line)
        return SourceToken("text", text, line, newline), position
    if number := _NUMBER.match(code, position):
        return SourceToken("number", number[0].replace("_", ""), line, newline), number.end()
    if word := _WORD.match(code, position):
        return SourceToken("word", word[0], line, newline), word.end()
    if character == "/" and not _is_value(last):
        found = _REGEX.match(code, position)
        if found is None:
            raise problem(line, "a regular expression that does not end")
        return SourceToken("regex", found[1], line, newline, (found[2],)), found.end()
    if sign := _SIGN.match(code, position):
        return SourceToken("sign", sign[0], line, newline), sign.end()
    raise problem(line, f"{code[position : position + 10]!r} is not understood")


def _is_value(last: SourceToken | None) -> bool:
    """Whether a slash after this token divides; after `}` and `)` it does, which is right for all but statements."""
    if last is None:
        return False
    if last.kind == "sign":
        return last.value in _ENDS_VALUE
    return last.value not in _BEFORE_VALUE if last.kind == "word" else True


def _quoted(code: str, position: int, end: str, line: int) -> tuple[str, int]:
    pieces: list[str] = []
    while True:
        character = code[position : position + 1]
        if not character or character in "\n\r":
            raise problem(line, "a text that does not end")
        if character == end:
            return utf16_units("".join(pieces)), position + 1
        if character == "\\":
            piece, position = _escape(code, position + 1, line)
            pieces.append(piece)
        else:
            pieces.append(character)
            position += 1


def _escape(code: str, position: int, line: int) -> tuple[str, int]:
    character = code[position : position + 1]
    if character in {"u", "x"}:
        form = r"u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})"
        found = re.compile(form).match(code, position)
        number = int(next(group for group in found.groups() if group), 16) if found else -1
        if found is None or number > 0x10FFFF:
            raise problem(line, "an escape that is none")
        return chr(number), found.end()
    if not character or (character.isdigit() and (character != "0" or code[position + 1 : position + 2].isdigit())):
        raise problem(line, "an escape that is none")
    if character in _TERMINATORS:
        return "", position + (2 if code[position : position + 2] == "\r\n" else 1)
    return _ESCAPES.get(character, character), position + 1


def _template(
    code: str, position: int, line: int, nested: int
) -> tuple[tuple[str | tuple[SourceToken, ...], ...], int]:
    if nested > 5:
        raise problem(line, "templates are nested too deeply")
    parts: list[str | tuple[SourceToken, ...]] = []
    pieces: list[str] = []
    while True:
        character = code[position : position + 1]
        if not character:
            raise problem(line, "a template that does not end")
        if character == "`":
            return (*parts, utf16_units("".join(pieces))), position + 1
        if character == "\\":
            piece, position = _escape(code, position + 1, line)
            pieces.append(piece)
        elif code.startswith("${", position):
            parts.append(utf16_units("".join(pieces)))
            pieces = []
            inner, position = _tokens(code, position + 2, inner=True, nested=nested + 1)
            if code[position : position + 1] != "}":
                raise problem(line, "a template whose expression does not end")
            parts.append(inner)
            position += 1
        else:
            pieces.append("\n" if character == "\r" else character)
            position += 2 if code.startswith("\r\n", position) else 1
