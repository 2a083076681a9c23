"""Whether a text is SQL: statements read by sqlglot, and refused where it is more generous than databases are.

sqlglot is made for translation and takes much that no database would: missing lists, clauses in any order, reserved
words as names, constructs of other dialects, and whole sentences as commands that it does not read. The checks here
are made on its tokens and on its syntax trees.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError

from llmgate.errors import CannotRunError
from llmgate.score.sqlclauses import clause_problem
from llmgate.score.sqlfeatures import FIRST_WORDS, SHAPES, SPELLINGS
from llmgate.score.sqlnodes import node_problem
from llmgate.score.sqltokens import NotSqlError, is_quoted, named_tables, shape_of, split, tokenize
from llmgate.score.sqlutility import EXPLAIN, is_utility

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlglot.parser import Parser

    from llmgate.score.sqldialect import SqlDialect

__all__ = ["MAX_SQL_CHARS", "NotSqlError", "Statement", "read_statements"]

MAX_SQL_CHARS: Final = 50_000
"""Characters of a text that is read as SQL; sqlglot takes one to two seconds for the worst of so many."""
MAX_STEPS: Final = 10_000
MAX_STEPS_PER_TOKEN: Final = 20
"""Tokens that a parser may pass, forth and back; plain statements need fewer than ten for each token."""
MATCH_LIMIT_S: Final = 1.0
"""Processor time of one pattern on one statement."""

_MODIFIERS = frozenset(("ALL", "DISTINCT"))
_MY_MODIFIERS = _MODIFIERS | {
    *("DISTINCTROW", "HIGH_PRIORITY", "STRAIGHT_JOIN", "SQL_BIG_RESULT", "SQL_BUFFER_RESULT", "SQL_CACHE"),
    *("SQL_CALC_FOUND_ROWS", "SQL_NO_CACHE", "SQL_SMALL_RESULT"),
}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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

    @property
    def verb(self) -> str:
        """The first word."""
        return self.shape.partition(" ")[0]


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
            statements = [_statement(part, text, dialect) for part in split(tokenize(text, dialect.sqlglot))]
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
    """Sqlglot warns of statements that it does not read, which are judged here; others' use of it stays as it is."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _statement(tokens: list[Token], text: str, dialect: SqlDialect) -> Statement:
    shape = shape_of(tokens)
    if explained := EXPLAIN.match(shape):
        skipped = explained[0].count(" ")
        return _statement(tokens[skipped:], text, dialect)
    if _matches(shape, dialect):
        return Statement(shape=shape, tree=None, named=tuple(named_tables(tokens)))
    first = shape.split(" ", 1)[0]
    if dialect.name not in FIRST_WORDS.get(first, ()):
        raise NotSqlError(f"no {dialect.name} statement begins with {first[:40]!r}")
    words = ["''" if is_quoted(token) else token.text.upper() for token in tokens]
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
    for place in (place + 1 for place, word in enumerate(words) if word == "SELECT"):
        start = next((one for one in range(place, len(words)) if words[one] not in modifiers), len(words))
        pair = words[start : start + 2]
        if words[start + 2 : start + 3] == ["FROM"] and all(_PLAIN.fullmatch(one) for one in pair):
            return True
    return False


def _parse(tokens: list[Token], text: str, dialect: SqlDialect) -> exp.Expression:
    if tokens[0].text.upper() == "REPLACE":
        # sqlglot does not read REPLACE INTO, which is an INSERT that deletes what is in its way.
        tokens = [Token(TokenType.INSERT, "INSERT"), *tokens[1:]]
    if dialect.name == "sqlite":
        tokens = _without_options(tokens)
    trees = _parser(dialect.sqlglot, len(tokens)).parse(tokens, text)
    if len(trees) != 1 or not isinstance(trees[0], exp.Expression):
        raise NotSqlError("this is not one statement")
    return trees[0]


def _parser(name: str, tokens: int) -> Parser:
    """A dialect's parser that gives up, since some nested brackets make sqlglot try all combinations of readings."""
    dialect = Dialect.get_or_raise(name)
    left = MAX_STEPS + MAX_STEPS_PER_TOKEN * tokens

    def advance(self: Parser, times: int = 1) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise CannotRunError("the SQL can be read in too many ways")
        dialect.parser_class._advance(self, times)  # noqa: SLF001 - the one place that every reading passes

    bounded: type[Parser] = type("Bounded", (dialect.parser_class,), {"_advance": advance})
    return bounded(dialect=dialect)


def _without_options(tokens: list[Token]) -> list[Token]:
    """A statement without what SQLite allows after a table's columns, which sqlglot does not read."""
    words = [token.text.upper() for token in tokens]
    if words[:1] == ["CREATE"]:
        for options in (["WITHOUT", "ROWID"], ["STRICT"], [","], ["WITHOUT", "ROWID"]):
            if words[-len(options) :] == options and ")" in words[: -len(options)]:
                del words[-len(options) :]
    return tokens[: len(words)]
