"""Which SQL dialects have which construct, where sqlglot is more generous than the databases are.

sqlglot reads the constructs of all dialects in each of them. Sources are the databases' manuals.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.score.sqldialect import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ARGUMENTS", "FIRST_WORDS", "NODES", "SHAPES", "SPELLINGS"]

_MY: Final = frozenset({"mysql", "mariadb"})
_MARIA: Final = frozenset({"mariadb"})
_PG: Final = frozenset({"postgresql"})
_LITE: Final = frozenset({"sqlite"})
_TS: Final = frozenset({"transactsql"})
_BQ: Final = frozenset({"bigquery"})
_SF: Final = frozenset({"snowflake"})
_NOT_LITE: Final = _MY | _PG | _TS | _BQ | _SF
_NOT_MY: Final = _PG | _LITE | _TS | _BQ | _SF

SPELLINGS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "::": _PG | _SF,
        "==": _LITE,
        "<=>": _MY,
        "~*": _PG,
        ":=": _MY,
        "RLIKE": _MY | _SF,
        "REGEXP": _MY | _LITE | _SF,
        "RETURNING": _PG | _LITE | _MARIA,
        "AUTOINCREMENT": _LITE | _SF,
        "AUTO_INCREMENT": _MY,
        "STRAIGHT_JOIN": _MY,
        "DIV": _MY,
        "TRY_CAST": _TS | _SF,
        "SAFE_CAST": _BQ,
        "GENERATE_SERIES": _NOT_MY | _MARIA,
    }
)
"""Operators and words that only these dialects have, by how an unquoted token is spelt in upper case."""

NODES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "ILike": _PG | _SF,
        "ILikeAny": _PG | _SF,
        "SimilarTo": _PG,
        "NullSafeNEQ": _NOT_MY,
        "Qualify": _BQ | _SF,
        "Filter": _PG | _LITE,
        "WithinGroup": _PG | _TS | _SF | _BQ,
        "Array": _PG | _BQ | _SF,
        "Bracket": _PG | _BQ | _SF,
        "Struct": _BQ | _SF,
        "Unnest": _PG | _BQ,
        "Fetch": _PG | _TS | _SF | _MARIA,
        "TableSample": _PG | _TS | _BQ | _SF,
        "WithTableHint": _TS,
        "IndexTableHint": _MY,
        "Merge": _PG | _TS | _BQ | _SF,
        "GeneratedAsIdentityColumnConstraint": _PG | _TS | _SF,
        "Into": _MY | _PG | _TS,
        "Lock": _MY | _PG | _SF,
    }
)
"""Classes of syntax tree nodes that only these dialects have."""

ARGUMENTS: Final[Mapping[tuple[str, str], frozenset[str]]] = MappingProxyType(
    {
        ("Insert", "alternative"): _LITE,
        ("Insert", "default"): _PG | _LITE | _TS,
        ("Insert", "ignore"): _MY,
        ("Insert", "overwrite"): _SF,
        ("Update", "from"): _NOT_MY,
        ("Update", "order"): _MY | _LITE,
        ("Update", "limit"): _MY | _LITE,
        ("Delete", "using"): _MY | _PG | _SF,
        ("Delete", "order"): _MY | _LITE,
        ("Delete", "limit"): _MY | _LITE,
        ("Distinct", "on"): _PG,
        ("Star", "except"): _BQ | _SF,
        ("Star", "replace"): _BQ | _SF,
        ("Star", "rename"): _SF,
        ("Table", "catalog"): _PG | _TS | _BQ | _SF,
        ("Table", "partition"): _MY,
        ("OnConflict", "duplicate"): _MY,
    }
)
"""Parts of nodes that only these dialects have, by class and argument."""

_TYPES_ELSEWHERE: Final = {
    "INT64|FLOAT64|BIGNUMERIC": _BQ,
    "STRING": _BQ | _SF,
    "JSONB|HSTORE|TSVECTOR|BYTEA|CITEXT": _PG,
    "UUID": _PG | _MARIA,
    "VARIANT": _SF,
    r"N?VARCHAR \( MAX \)": _TS,
}
_UNIT: Final = "(?:MICROSECOND|SECOND|MINUTE|HOUR|DAY|WEEK|MONTH|QUARTER|YEAR)"

SHAPES: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    (r"^CREATE (?:OR REPLACE )?TEMP\b", _PG | _LITE | _BQ | _SF),
    (r"^CREATE OR REPLACE (?:(?:TEMP|TEMPORARY|TRANSIENT) )?TABLE\b", _MARIA | _BQ | _SF),
    (r"^CREATE (?:OR REPLACE )?MATERIALIZED\b", _PG | _BQ | _SF),
    (r"^CREATE (?:UNIQUE )?INDEX IF NOT EXISTS\b", _PG | _LITE | _MARIA),
    (r"^CREATE (?:UNIQUE )?INDEX CONCURRENTLY\b", _PG),
    (r"^CREATE (?:UNIQUE )?INDEX .{1,300}? WHERE\b", _PG | _LITE | _TS),
    (r"^CREATE (?:UNIQUE )?INDEX (?!.{0,300}?ON )", frozenset()),
    (r"^CREATE (?:OR REPLACE )?(?:\S+ )?VIEW (?!.{0,300}? AS )", frozenset()),
    (r"^CREATE (?:TEMP |TEMPORARY )?SEQUENCE\b", _PG | _TS | _SF | _MARIA),
    *(
        (rf"^CREATE .{{0,20}}?TABLE .{{1,9999}}? [^\W\d]\w* (?:{types})(?: |$)", having)
        for types, having in _TYPES_ELSEWHERE.items()
    ),
    (r"^INSERT INTO (?:\S+ (?:\. \S+ )*)SET\b", _MY),
    (r"^INSERT IGNORE\b", _MY),
    (r"^DELETE (?!FROM\b|LOW_PRIORITY\b|QUICK\b|IGNORE\b)(?!.{0,500}? FROM\b)", _TS | _BQ),
    (r"^TRUNCATE (?:TABLE )?FROM\b", frozenset()),
    (r"^DROP INDEX (?:IF EXISTS )?\S+ ON\b", _MY | _TS),
    (r"^DROP INDEX (?!.{1,300}? ON\b)", _PG | _LITE | _SF),
    (r"^ALTER TABLE .{1,300}? (?:ADD|DROP) COLUMN IF (?:NOT )?EXISTS\b", _PG | _SF | _TS | _BQ | _MARIA),
    (r"^ALTER TABLE .{1,300}? ALTER (?:COLUMN )?+\S+ (?:TYPE|SET DATA TYPE|(?:SET|DROP) NOT NULL)\b", _PG | _SF | _BQ),
    (r"^ALTER TABLE .{1,300}? ALTER (?:COLUMN )?+\S+ (?!TYPE|SET|DROP|ADD)", _TS | _SF),
    (r"^ALTER TABLE .{1,300}? RENAME (?!TO |COLUMN |AS |INDEX |KEY |CONSTRAINT )\S+ TO\b", _PG | _LITE),
    (r"\bLIMIT \S+ , ", _MY | _LITE),
    (r"(?:[(,=]|SELECT) \[ ", _BQ | _SF),
    (r"\bIDENTITY \( \d", _TS | _SF),
    (r"^CREATE .{0,20}?TABLE (?:IF NOT EXISTS )?\S+ (?:\. \S+ )*+LIKE\b", _MY | _BQ | _SF),
    (r"^CREATE OR REPLACE VIEW\b", _MY | _PG | _BQ | _SF),
    (r"^(?:CREATE|DROP) (?:OR REPLACE )?(?:DATABASE|SCHEMA|FUNCTION|PROCEDURE|USER|ROLE)\b", _NOT_LITE),
    (r"^SELECT ALL (?!.*\bFROM\b)", frozenset()),
    (rf"\bINTERVAL 'x'(?! {_UNIT}\b| [A-Z]+_[A-Z]+\b)", _PG | _SF | _LITE | _TS),
)
"""Statements that only these dialects have: patterns that are looked for in `Statement.shape`."""

_QUERY: Final = frozenset(DIALECTS)
FIRST_WORDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    dict.fromkeys(("SELECT", "WITH", "(", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "TRUNCATE"), _QUERY)
    | {
        "VALUES": _QUERY - _TS,
        "TABLE": _QUERY - _LITE - _TS - _BQ - _SF,
        "REPLACE": _MY | _LITE,
        "MERGE": _QUERY - _MY - _LITE,
    }
)
"""Words that open a statement which sqlglot parses, with the dialects that have it."""
