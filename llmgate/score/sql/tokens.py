"""SQL as tokens: sqlglot's, with what is no SQL refused, cut into statements, and as text that patterns can match."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from sqlglot import Token, Tokenizer, TokenType
from sqlglot.dialects.dialect import Dialect

from llmgate.errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["NotSqlError", "shape_of", "split", "tokenize"]

MAX_NESTING: Final = 60
"""Open brackets at one place; sqlglot takes about fifteen stack frames for each."""

_COMMENT = re.compile(r"--[^\n]*|#[^\n]*|//[^\n]*|/\*.*?\*/|\{#.*?#\}", re.DOTALL)
_NO_WORD = re.compile(r"[^\w$#@]")
_OPEN = frozenset((TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE))
_CLOSE = frozenset((TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE))
_BODY = re.compile(
    r"CREATE (?:OR (?:REPLACE|ALTER) )?(?:\S+ = \S+(?: @ \S+)? )?(?:PROCEDURE|PROC|FUNCTION|TRIGGER|EVENT)\b"
)


class NotSqlError(ValueError):
    """The text is no SQL of this dialect."""


def tokenize(text: str, name: str) -> list[Token]:
    """The tokens of a text in sqlglot's dialect of that name.

    Raises:
        NotSqlError: If it holds characters or words that no SQL has.
        CannotRunError: If brackets are nested too deeply.
        SqlglotError: If a quotation does not end.
    """
    tokens = _tokenizer(name).tokenize(text)
    depth = end = 0
    for token in tokens:
        gap = text[end : token.start]
        if not gap.isascii() and not _COMMENT.sub(" ", gap).isascii():
            raise NotSqlError("there is white space that is not SQL's")
        end = token.end + 1
        word = token.token_type == TokenType.VAR or token.text[:1].isalpha()
        garbled = word and not _is_quoted(token) and _NO_WORD.search(token.text.replace(" ", ""))
        if garbled or token.token_type == TokenType.UNKNOWN:
            raise NotSqlError(f"{token.text[:40]!r} is no word of SQL's")
        depth += (token.token_type in _OPEN) - (token.token_type in _CLOSE)
        if depth > MAX_NESTING:
            raise CannotRunError(f"more than {MAX_NESTING} brackets are open at once")
    return tokens


@cache
def _tokenizer(name: str) -> Tokenizer:
    """A dialect's tokenizer that also splits what sqlglot would keep as the unread rest of a command."""
    dialect = Dialect.get_or_raise(name)
    plain: type[Tokenizer] = type("Plain", (dialect.tokenizer_class,), {"COMMANDS": set()})
    return plain(dialect=dialect)


def _is_quoted(token: Token) -> bool:
    return token.token_type == TokenType.IDENTIFIER or token.token_type.name.endswith("STRING")


def split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Statements at their semicolons; a routine's body keeps its own."""
    part: list[Token] = []
    routine = False
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON and not routine:
            if part:
                yield part
            part = []
            continue
        part.append(token)
        if len(part) <= 12:
            routine = bool(_BODY.match(" ".join(word.text.upper() for word in part)))
    if part:
        yield part


def shape_of(tokens: Sequence[Token]) -> list[str]:
    """A statement's words: unquoted ones in upper case, names in quotes as `"x"`, texts as `'x'`."""
    return [
        token.text.upper() if not _is_quoted(token) else '"x"' if token.token_type == TokenType.IDENTIFIER else "'x'"
        for token in tokens
    ]
