"""Whether a text is SQL: statements read by sqlglot, and refused where it is more generous than databases are.

sqlglot is made for translation and takes much that no database would: missing lists, clauses in any order, reserved
words as names, constructs of other dialects, and whole sentences as commands that it does not read. The checks here
are made on its tokens and on its syntax trees, and need none of its internals.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import regex
import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, Tokenizer, TokenType

from llmgate.errors import CannotRunError
from llmgate.score.sqlclauses import clause_problem
from llmgate.score.sqldialect import FIRST_WORDS, SHAPES, SPELLINGS, SqlDialect
from llmgate.score.sqlnodes import node_problem
from llmgate.score.sqlutility import EXPLAIN, is_utility

__all__ = ["MAX_SQL_CHARS", "NotSqlError", "Statement", "read_statements"]

MAX_SQL_CHARS: Final = 100_000
"""Characters of a text that is read as SQL; sqlglot takes about a second for so many."""
MAX_NESTING: Final = 60
"""Open brackets at one place; sqlglot takes about fifteen stack frames for each."""
MATCH_LIMIT_S: Final = 1.0
"""Processor time of one pattern on one statement."""

_COMMENT = re.compile(r"--[^\n]*|#[^\n]*|//[^\n]*|/\*.*?\*/|\{#.*?#\}", re.DOTALL)
_NO_WORD = re.compile(r"[^\w$#@]")
_MODIFIERS = frozenset(("ALL", "DISTINCT"))
_MY_MODIFIERS = _MODIFIERS | {
    *("DISTINCTROW", "HIGH_PRIORITY", "STRAIGHT_JOIN", "SQL_BIG_RESULT", "SQL_BUFFER_RESULT", "SQL_CACHE"),
    *("SQL_CALC_FOUND_ROWS", "SQL_NO_CACHE", "SQL_SMALL_RESULT"),
}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPEN = frozenset((TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE))
_CLOSE = frozenset((TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE))
_BODY = re.compile(r"CREATE (?:OR (?:REPLACE|ALTER) )?(?:\S+ = \S+(?: @ \S+)? )?(?:PROCEDURE|PROC|FUNCTION|TRIGGER|EVENT)\b")


class NotSqlError(ValueError):
    """The text is no SQL of this dialect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement.

    Attributes:
        shape: Its tokens apart by one space: unquoted words in upper case, names in quotes as `"x"`, texts as `'x'`.
        tree: sqlglot's syntax tree; None for a statement that is known by its shape alone.
        named: The tables that such a statement names, each as schema and name.
    """

    shape: str
    tree: exp.Expression | None
    named: tuple[tuple[str, ...], ...] = ()


def read_statements(text: str, dialect: SqlDialect) -> list[Statement]:
    """The statements of a text that holds nothing else.

    Raises:
        NotSqlError: If it is no SQL, or holds no statement.
        CannotRunError: If it is too long, too deeply nested, or trips sqlglot.
    """
    if len(text) > MAX_SQL_CHARS:
        raise CannotRunError(f"the text has {len(text)} characters; SQL is read up to {MAX_SQL_CHARS}")
    with _silenced():
        try:
            tokens = _tokenizer(dialect.sqlglot).tokenize(text)
            _check_characters(text, tokens)
            statements = [_statement(part, text, dialect) for part in _split(tokens)]
        except SqlglotError as error:
            raise NotSqlError(str(error).partition("\n")[0]) from error
        except RecursionError as error:
            raise CannotRunError("the SQL is nested too deeply to be read") from error
        except (CannotRunError, NotSqlError):
            raise
        except Exception as error:
            raise CannotRunError(f"sqlglot cannot read this: {type(error).__name__}: {str(error)[:120]}") from error
    if not statements:
        raise NotSqlError("there is no statement")
    return statements


_quiet: ContextVar[bool] = ContextVar("_quiet", default=False)


def _loud(_: logging.LogRecord) -> bool:
    return not _quiet.get()


logging.getLogger("sqlglot").addFilter(_loud)


@contextmanager
def _silenced() -> Iterator[None]:
    """sqlglot warns of statements that it does not read, which are judged here; others' use of it stays as it is."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


@lru_cache(maxsize=None)
def _tokenizer(name: str) -> Tokenizer:
    """A dialect's tokenizer that also splits what sqlglot would keep as the unread rest of a command."""
    dialect = Dialect.get_or_raise(name)
    plain: type[Tokenizer] = type("Plain", (dialect.tokenizer_class,), {"COMMANDS": set()})
    return plain(dialect=dialect)


def _check_characters(text: str, tokens: Sequence[Token]) -> None:
    depth = 0
    end = 0
    for token in tokens:
        gap = text[end : token.start]
        if not gap.isascii() and not _COMMENT.sub(" ", gap).isascii():
            raise NotSqlError("there is white space that is not SQL's")
        end = token.end + 1
        if token.token_type == TokenType.UNKNOWN:
            raise NotSqlError(f"{token.text[:40]!r} is no sign of SQL's")
        if not _quoted(token) and _is_word(token) and _NO_WORD.search(token.text.replace(" ", "")):
            raise NotSqlError(f"{token.text[:40]!r} is no word")
        depth += (token.token_type in _OPEN) - (token.token_type in _CLOSE)
        if depth > MAX_NESTING:
            raise CannotRunError(f"more than {MAX_NESTING} brackets are open at once")


def _is_word(token: Token) -> bool:
    return token.token_type == TokenType.VAR or token.text[:1].isalpha()


def _quoted(token: Token) -> bool:
    return token.token_type == TokenType.IDENTIFIER or token.token_type.name.endswith("STRING")


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
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
            routine = bool(_BODY.match(" ".join(one.text.upper() for one in part)))
    if part:
        yield part


def _shape(tokens: Sequence[Token]) -> str:
    return " ".join(
        token.text.upper() if not _quoted(token) else '"x"' if token.token_type == TokenType.IDENTIFIER else "'x'"
        for token in tokens
    )


def _statement(tokens: list[Token], text: str, dialect: SqlDialect) -> Statement:
    shape = _shape(tokens)
    if explained := EXPLAIN.match(shape):
        skipped = explained[0].count(" ")
        return _statement(tokens[skipped:], text, dialect)
    if _matches(shape, dialect):
        return Statement(shape=shape, tree=None, named=tuple(_named(tokens)))
    first = shape.split(" ", 1)[0]
    if dialect.name not in FIRST_WORDS.get(first, ()):
        raise NotSqlError(f"no {dialect.name} statement begins with {first[:40]!r}")
    words = ["''" if _quoted(token) else token.text.upper() for token in tokens]
    _check_words(words, dialect)
    if problem := clause_problem(words, comma_ends=dialect.name in {"bigquery", "snowflake"}):
        raise NotSqlError(problem)
    for pattern, having in SHAPES:
        if dialect.lacks(having) and re.search(pattern, shape):
            raise NotSqlError(f"{dialect.name} has no such statement: {shape[:40]!r}")
    tree = _parse(tokens, text, dialect)
    if problem := node_problem(tree, dialect):
        raise NotSqlError(problem)
    return Statement(shape=shape, tree=tree)


def _matches(shape: str, dialect: SqlDialect) -> bool:
    try:
        return is_utility(shape, dialect.name, timeout=MATCH_LIMIT_S)
    except TimeoutError as error:
        raise CannotRunError(f"the statement {shape[:40]!r} takes too long to be recognised") from error


def _named(tokens: Sequence[Token]) -> Iterator[tuple[str, ...]]:
    """The tables after TABLE, and all that RENAME TABLE and LOCK TABLES list."""
    words = [token.text.upper() for token in tokens]
    start = next((place + 1 for place, word in enumerate(words) if word in {"TABLE", "TABLES"}), len(words))
    several = words[0] in {"RENAME", "LOCK"}
    while start < len(words):
        while start < len(words) and words[start] in {"IF", "EXISTS", "ONLY", "TO", ","}:
            start += 1
        end = start
        while end + 1 < len(words) and words[end + 1] == ".":
            end += 2
        yield tuple(token.text for token in tokens[start : end + 1 : 2])
        start = end + 1
        while start < len(words) and words[start] not in {"TO", ","}:
            start += 1
        if not several:
            return


def _check_words(words: Sequence[str], dialect: SqlDialect) -> None:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        having = SPELLINGS.get(word)
        if having is not None and dialect.lacks(having) and (not _PLAIN.fullmatch(word) or _is_used(word, following)):
            raise NotSqlError(f"{dialect.name} has no {word}")
    if _missing_comma(words, dialect):
        raise NotSqlError("two words stand before FROM, as if a comma were missing")


def _is_used(word: str, following: str) -> bool:
    """Whether a word stands for the construct, and not for a column of that name."""
    if word in {"TRY_CAST", "SAFE_CAST", "GENERATE_SERIES"}:
        return following == "("
    if word in {"AUTOINCREMENT", "AUTO_INCREMENT"}:
        return True
    return following not in {"", ",", ")", ".", "FROM", "=", "("}


def _missing_comma(words: Sequence[str], dialect: SqlDialect) -> bool:
    """Whether `SELECT a b FROM` stands anywhere: promptfoo takes a first column's bare alias for a missing comma."""
    modifiers = _MY_MODIFIERS if dialect.mysql_family else _MODIFIERS
    for place, word in enumerate(words):
        if word != "SELECT":
            continue
        place += 1
        while place < len(words) and words[place] in modifiers:
            place += 1
        rest = words[place : place + 3]
        if len(rest) == 3 and rest[2] == "FROM" and all(_PLAIN.fullmatch(one) for one in rest[:2]):
            return True
    return False


def _parse(tokens: list[Token], text: str, dialect: SqlDialect) -> exp.Expression:
    if tokens[0].text.upper() == "REPLACE":
        # sqlglot does not read REPLACE INTO, which is an INSERT that deletes what is in its way.
        tokens = [Token(TokenType.INSERT, "INSERT"), *tokens[1:]]
    if dialect.name == "sqlite":
        tokens = _without_options(tokens)
    trees = Dialect.get_or_raise(dialect.sqlglot).parser().parse(tokens, text)
    if len(trees) != 1 or not isinstance(trees[0], exp.Expression):
        raise NotSqlError("this is not one statement")
    return trees[0]


def _without_options(tokens: list[Token]) -> list[Token]:
    """A statement without what SQLite allows after a table's columns, which sqlglot does not read."""
    words = [token.text.upper() for token in tokens]
    if words[:1] == ["CREATE"]:
        for options in (["WITHOUT", "ROWID"], ["STRICT"], [","], ["WITHOUT", "ROWID"]):
            if words[-len(options) :] == options and ")" in words[: -len(options)]:
                del words[-len(options) :]
    return tokens[: len(words)]
