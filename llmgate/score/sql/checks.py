"""The checks `is-sql` and `contains-sql`: is this SQL of a dialect, and does it touch only what it may?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError, SuiteError, did_you_mean
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind
from llmgate.score.assertion.rule import invalid_value, shown
from llmgate.score.javascript.pattern import Pattern
from llmgate.score.sql.dialects import DIALECTS, SqlDialect
from llmgate.score.text.code_fence import code_blocks
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES"]

CHECK_LIMIT_S: Final = 3.0
"""Time for comparing what one output touches with an allow-list."""

MAX_BLOCK_CHARS: Final = 60_000
"""Characters of all code blocks that are tried before one is found to be SQL."""

_KEYS = ("allowedColumns", "allowedTables", "databaseType")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """The value of an assert.

    Attributes:
        dialect: What the text has to be.
        tables: Patterns of which each table must match one; None if every table may be touched.
        columns: The same for columns.
    """

    dialect: SqlDialect
    tables: tuple[Pattern, ...] | None
    columns: tuple[Pattern, ...] | None


def _is_sql(spec: AssertSpec) -> Evaluate:
    rule = _rule(spec)

    def evaluate(context: CheckContext) -> Finding:
        problem = _problem(context.text, rule)
        return Finding.of(problem is None, problem or f"valid SQL ({rule.dialect.name})")

    return evaluate


def _contains_sql(spec: AssertSpec) -> Evaluate:
    rule = _rule(spec)

    def evaluate(context: CheckContext) -> Finding:
        problem: str | None = None
        chars = 0
        blocks = [block for block in code_blocks(context.text) if block.closed and block.info.lower() in {"", "sql"}]
        for block in [block.code for block in blocks] or [context.text]:
            chars += len(block)
            if chars > MAX_BLOCK_CHARS:
                raise CannotRunError(f"the code blocks have more than {MAX_BLOCK_CHARS} characters together")
            problem = _problem(block, rule)
            if problem is None:
                break
        return Finding.of(problem is None, problem or f"holds valid SQL ({rule.dialect.name})")

    return evaluate


def _rule(spec: AssertSpec) -> _Rule:
    value: object = spec.value if spec.has_value else {}
    # An empty text is how promptfoo's CSV files say that there is no configuration.
    value = {} if value == "" else value
    if not isinstance(value, Mapping):
        raise invalid_value(spec, f"the value must be a mapping with any of {', '.join(_KEYS)}, not {shown(value)}")
    for key in value:
        if key not in _KEYS:
            raise invalid_value(spec, f"unknown key {key!r}", did_you_mean(str(key), _KEYS))
    columns = _entries(spec, value, "allowedColumns")
    return _Rule(
        dialect=_dialect(spec, value.get("databaseType", "")),
        tables=_patterns(spec, _entries(spec, value, "allowedTables")),
        columns=_patterns(spec, columns if columns is None else _with_unnamed_tables(columns)),
    )


def _dialect(spec: AssertSpec, name: object) -> SqlDialect:
    if not isinstance(name, str):
        raise invalid_value(spec, f"databaseType must be a text, not {shown(name)}")
    dialect = DIALECTS.get(name.lower() or "mysql")
    if dialect is None:
        fix = did_you_mean(name.lower(), DIALECTS) or f"Write one of {', '.join(DIALECTS)}"
        raise invalid_value(spec, f"unknown databaseType {name[:40]!r}", fix)
    return dialect


def _entries(spec: AssertSpec, value: Mapping[object, object], key: str) -> list[str] | None:
    if key not in value:
        return None
    entries = value[key]
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise invalid_value(spec, f"{key} must be a list of texts, not {shown(entries)}")
    if "" in entries:
        raise invalid_value(spec, f"an item of {key} is empty", "Write `action::schema::table`")
    return list(entries)


def _with_unnamed_tables(entries: list[str]) -> list[str]:
    """`select::orders::id` allows `id` also where the statement does not say whose it is, as in promptfoo."""
    parts = [entry.split("::") for entry in entries]
    return [*entries, *(f"{part[0]}::null::{part[2]}" for part in parts if len(part) == 3 and part[1] != "null")]


def _patterns(spec: AssertSpec, entries: list[str] | None) -> tuple[Pattern, ...] | None:
    if entries is None:
        return None
    try:
        # Without a group around it, as node-sql-parser does: `a|b` is `^a` or `b$`.
        return tuple(Pattern.compile(f"^{entry}$", ignore_case=True) for entry in dict.fromkeys(entries))
    except SuiteError as error:
        raise invalid_value(spec, error.what, "Check brackets and quantifiers") from error


def _problem(text: str, rule: _Rule) -> str | None:
    """Why a text is not what the rule wants, None if it is.

    Raises:
        CannotRunError: If that cannot be told.
    """
    # Importing sqlglot takes a quarter of a second, and most suites do not need it.
    from llmgate.score.sql import parse, touched  # noqa: PLC0415 - see above

    try:
        statements = parse.read_statements(javascript.trim(text), rule.dialect)
    except parse.NotSqlError as error:
        return f"no valid SQL ({rule.dialect.name}): {error}"[:200]
    deadline = time.monotonic() + CHECK_LIMIT_S
    for kind, allowed, names in (
        ("table", rule.tables, touched.tables_of),
        ("column", rule.columns, touched.columns_of),
    ):
        if allowed is None:
            continue
        for name in names(statements, rule.dialect):
            if time.monotonic() > deadline:
                raise CannotRunError(f"comparing with the list of allowed {kind}s takes too long")
            if not any(pattern.found_in(name) for pattern in allowed):
                return f"the {kind} {name[:120]!r} is not allowed"
    return None


_VALUE: Final = '`{databaseType: PostgreSQL, allowedTables: ["select::null::users"], allowedColumns: […]}` (optional)'

TYPES: Final = (
    CheckKind(
        id="is-sql",
        passes="the answer is SQL of a dialect that touches only what it may",
        value=_VALUE,
        example={"value": {"databaseType": "PostgreSQL", "allowedTables": ["select::(.*)::t"]}},
        version="2",
        prepare=_is_sql,
    ),
    CheckKind(
        id="contains-sql",
        passes="it has such SQL in it",
        value=_VALUE,
        example={"value": {"allowedColumns": ["select::null::a"]}},
        version="2",
        prepare=_contains_sql,
    ),
)
