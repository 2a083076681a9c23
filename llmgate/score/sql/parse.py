"""Whether a text is SQL: statements read by sqlglot, and refused where it is more generous than databases are.

sqlglot is made for translation and takes much that no database would: missing lists, clauses in any order, reserved
words as names, constructs of other dialects, and whole sentences as commands that it does not read. The checks here
are made on its tokens and on its syntax trees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from sqlglot import Token, Tokenizer, TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError

from llmgate.errors import CannotRunError
from llmgate.score.sql.dialects import CONSTRUCTS, FIRST_WORDS, SHAPES
from llmgate.score.sql.rules import clause_problem, node_problem
from llmgate.score.sql.utility import EXPLAIN, is_utility

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlglot.parser import Parser

    from llmgate.score.sql.dialects import SqlDialect

__all__ = ["MAX_SQL_CHARS", "NotSqlError", "Statement", "read_statements"]

MAX_SQL_CHARS: Final = 50_000
"""Characters of a text that is read as SQL; sqlglot takes one to two seconds for the worst of so many."""
MAX_STEPS: Final = 10_000
MAX_STEPS_PER_TOKEN: Final = 20
"""Tokens that a parser may pass, forth and back; plain statements need fewer than ten for each token."""
MATCH_LIMIT_S: Final = 1.0
"""Processor time of one pattern on one statement."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement.

    Attributes:
        shape: Its tokens apart by one space: unquoted words in upper case, names in quotes as `"x"`, texts as `'x'`.
        tree: sqlglot's syntax tree; None for a statement that is known by its shape alone.
    """

    shape: str
    tree: exp.Expression | None

    @property
    def verb(self) -> str:
        """The first word, in lower case."""
        return self.shape.partition(" ")[0].lower()


def read_statements(text: str, dialect: SqlDialect) -> list[Statement]:
    """The statements of a text that holds nothing else.

    Raises:
        NotSqlError: If it is no SQL, or holds no statement.
        CannotRunError: If it is too long, too deeply nested, or trips sqlglot.
    """
    if len(text) > MAX_SQL_CHARS:
        raise CannotRunError(f"the text has {len(text)} characters; SQL is read up to {MAX_SQL_CHARS}")
    try:
        statements = [_statement(part, text, dialect) for part in _split(_tokenize(text, dialect.sqlglot))]
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


def _tokenize(text: str, name: str) -> list[Token]:
    """The tokens of a text in sqlglot's dialect of that name, if it holds only characters and words that SQL has."""
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
            routine = bool(_BODY.match(" ".join(word.text.upper() for word in part)))
    if part:
        yield part


def _words(tokens: Sequence[Token]) -> list[str]:
    """A statement's words: unquoted ones in upper case, names in quotes as `"x"`, texts as `'x'`."""
    return [
        token.text.upper() if not _is_quoted(token) else '"x"' if token.token_type == TokenType.IDENTIFIER else "'x'"
        for token in tokens
    ]


def _statement(tokens: list[Token], text: str, dialect: SqlDialect) -> Statement:
    words = _words(tokens)
    shape = " ".join(words)
    if explained := EXPLAIN.match(shape):
        return _statement(tokens[explained[0].count(" ") :], text, dialect)
    try:
        if is_utility(shape, dialect.name, timeout=MATCH_LIMIT_S):
            return Statement(shape=shape, tree=None)
    except TimeoutError as error:
        raise CannotRunError(f"the statement {shape[:40]!r} takes too long to be recognised") from error
    if problem := _word_problem(words, shape, dialect):
        raise NotSqlError(problem)
    tree = _parse(tokens, text, dialect)
    if problem := node_problem(tree, dialect):
        raise NotSqlError(problem)
    return Statement(shape=shape, tree=tree)


def _word_problem(words: Sequence[str], shape: str, dialect: SqlDialect) -> str | None:
    first = shape.partition(" ")[0]
    if dialect.name not in FIRST_WORDS.get(first, ()):
        return f"no {dialect.name} statement begins with {first[:40]!r}"
    for word in words:
        if word in CONSTRUCTS and dialect.lacks(CONSTRUCTS[word]):
            return f"{dialect.name} has no {word}"
    for pattern, having in SHAPES:
        if dialect.lacks(having) and re.search(pattern, shape):
            return f"{dialect.name} has no such statement: {shape[:40]!r}"
    return clause_problem(words, comma_ends=dialect.name in {"bigquery", "snowflake"})


def _parse(tokens: list[Token], text: str, dialect: SqlDialect) -> exp.Expression:
    if tokens[0].text.upper() == "REPLACE":
        # sqlglot does not read REPLACE INTO, which is an INSERT that deletes what is in its way.
        tokens = [Token(TokenType.INSERT, "INSERT"), *tokens[1:]]
    if [token.text.upper() for token in tokens[-2:]] == ["WITHOUT", "ROWID"] and dialect.name == "sqlite":
        # Nor what SQLite allows after a table's columns.
        tokens = tokens[:-2]
    trees = _parser(dialect.sqlglot, len(tokens)).parse(tokens, text)
    if len(trees) != 1 or not isinstance(trees[0], exp.Expression):
        raise NotSqlError("this is not one statement")
    return trees[0]


def _parser(name: str, tokens: int) -> Parser:
    """A dialect's parser that reads all or nothing.

    It gives up in time, since some nested brackets make sqlglot try all combinations of readings, and where sqlglot
    would warn that it keeps a statement unread.
    """
    dialect = Dialect.get_or_raise(name)
    left = MAX_STEPS + MAX_STEPS_PER_TOKEN * tokens

    def advance(self: Parser, times: int = 1) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise CannotRunError("the SQL can be read in too many ways")
        dialect.parser_class._advance(self, times)  # noqa: SLF001 - the one place that every reading passes

    def refuse(_: Parser) -> None:
        raise NotSqlError("a known word is followed by what is no SQL")

    strict: type[Parser] = type("Strict", (dialect.parser_class,), {"_advance": advance, "_warn_unsupported": refuse})
    return strict(dialect=dialect)
