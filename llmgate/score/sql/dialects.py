"""The SQL dialects that a suite can name, and what each has.

sqlglot reads the constructs of all dialects in each of them; those that are told apart here are the ones that a model
is likely to take from the wrong database. Sources are the databases' manuals.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONSTRUCTS", "DIALECTS", "FIRST_WORDS", "SHAPES", "SqlDialect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlDialect:
    """A dialect that a suite can name.

    Attributes:
        name: In lower case.
        sqlglot: sqlglot's name of it, or of its nearest relative.
        reserved: Words, in upper case, that are no names unless quoted or behind a dot.
        checked: Whether it is known which constructs it lacks; otherwise it has every one.
    """

    name: str
    sqlglot: str
    reserved: frozenset[str]
    checked: bool = True

    @property
    def mysql_family(self) -> bool:
        """Whether this is MySQL or MariaDB."""
        return self.name in {"mysql", "mariadb"}

    def lacks(self, having: frozenset[str]) -> bool:
        """Whether a construct that only these dialects have is missing here."""
        return self.checked and self.name not in having


_RESERVED: Final = """
    ALL ALTER AND AS ASC BETWEEN BY CASE CREATE DELETE DESC DISTINCT DROP ELSE EXISTS FROM GROUP HAVING IN INNER INSERT
    INTO IS JOIN LEFT LIKE LIMIT NOT ON OR ORDER OUTER RIGHT SELECT SET TABLE THEN UNION UPDATE USING WHEN WHERE WITH
"""
_MY_RESERVED: Final = """
    CALL CHECK CROSS DATABASE DEFAULT DESCRIBE DIV EXCEPT EXPLAIN FETCH FLOAT FOR FOREIGN FUNCTION GRANT GROUPS IGNORE
    INT INTEGER INTERVAL KEY KEYS LOAD LOCK MATCH NATURAL OF OPTION OVER PARTITION PRIMARY RANGE RANK READ REFERENCES
    REGEXP RENAME REPLACE ROW ROWS SCHEMA SHOW TO TRIGGER UNIQUE USE VALUES VARCHAR WINDOW WRITE
"""


def _dialect(name: str, sqlglot: str, reserved: str = "", *, checked: bool = True) -> SqlDialect:
    words = frozenset(f"{_RESERVED} {reserved}".split())
    return SqlDialect(name=name, sqlglot=sqlglot, reserved=words, checked=checked)


DIALECTS: Final[Mapping[str, SqlDialect]] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            _dialect("athena", "trino", checked=False),
            _dialect("bigquery", "bigquery", "END ARRAY CROSS EXCEPT FOR INTERSECT PARTITION UNNEST WINDOW"),
            _dialect("db2", "", checked=False),
            _dialect("flinksql", "", checked=False),
            _dialect("hive", "hive", checked=False),
            _dialect("mariadb", "mysql", "CROSS EXCEPT FOR INTERSECT KEY LATERAL NATURAL READ RENAME VALUES WRITE"),
            _dialect("mysql", "mysql", _MY_RESERVED),
            _dialect("noql", "postgres", checked=False),
            _dialect("postgresql", "postgres", "END CONSTRAINT EXCEPT ILIKE INTERSECT OFFSET WINDOW"),
            _dialect("redshift", "redshift", checked=False),
            _dialect("snowflake", "snowflake", "QUALIFY WINDOW"),
            _dialect("sqlite", "sqlite", "END VALUES"),
            _dialect("transactsql", "tsql", "END CROSS FOR KEY PIVOT UNPIVOT VALUES"),
            _dialect("trino", "trino", checked=False),
        )
    }
)
"""The dialects by name in lower case. The names are those of the npm package node-sql-parser, which promptfoo uses."""

_MY: Final = frozenset({"mysql", "mariadb"})
_PG: Final = frozenset({"postgresql"})
_LITE: Final = frozenset({"sqlite"})
_TS: Final = frozenset({"transactsql"})
_BQ: Final = frozenset({"bigquery"})
_SF: Final = frozenset({"snowflake"})
_MARIA: Final = frozenset({"mariadb"})
_NOT_MY: Final = _PG | _LITE | _TS | _BQ | _SF
_QUERY: Final = frozenset(DIALECTS)

_CONSTRUCTS: Final = (
    (_MY, "<=> := AUTO_INCREMENT IntDiv Insert.ignore"),
    (_LITE, "== Insert.alternative"),
    (_PG, "~* Distinct.on DataType.JSONB DataType.HSTORE DataType.TSVECTOR"),
    (_TS, "WithTableHint"),
    (_BQ, "SAFE_CAST"),
    (_SF, "DataType.VARIANT"),
    (_MY | _LITE, "Update.order Update.limit Delete.limit"),
    (_MY | _SF, "RLIKE"),
    (_MY | _LITE | _SF, "REGEXP"),
    (_MY | _PG | _SF, "Delete.using"),
    (_MARIA | _PG, "DataType.UUID"),
    (_MARIA | _PG | _LITE, "Returning"),
    (_MARIA | _PG | _TS | _SF, "Fetch"),
    (_PG | _LITE, "Filter"),
    (_PG | _BQ, "Unnest"),
    (_PG | _SF, ":: ILike"),
    (_PG | _BQ | _SF, "Array Bracket MaterializedProperty"),
    (_PG | _TS | _SF, "GeneratedAsIdentityColumnConstraint"),
    (_NOT_MY - _LITE, "WithinGroup AlterColumn.dtype Table.catalog"),
    (_NOT_MY, "NullSafeNEQ Update.from"),
    (_LITE | _SF, "AUTOINCREMENT"),
    (_TS | _SF, "TRY_CAST"),
    (_BQ | _SF, "Qualify Struct Star.except Star.replace"),
)
CONSTRUCTS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {construct: having for having, constructs in _CONSTRUCTS for construct in constructs.split()}
)
"""What only these dialects have: words and signs, classes of syntax tree nodes, their arguments, and types."""

SHAPES: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    (r"\bLIMIT \S+ , ", _MY | _LITE),
    (r"^INSERT INTO \S+ (?:\. \S+ )*SET\b", _MY),
    (r"\bON DUPLICATE KEY\b", _MY),
    (r"\bON CONFLICT (?:\(|ON|DO) ", _PG | _LITE),
    (r"^CREATE OR REPLACE (?:(?:TEMP|TEMPORARY|TRANSIENT) )?TABLE\b", _MARIA | _BQ | _SF),
    (r"\bINTERVAL 'x'(?! (?:(?:MICRO)?SECOND|MINUTE|HOUR|DAY|WEEK|MONTH|QUARTER|YEAR|[A-Z]+_[A-Z]+)\b)", _NOT_MY - _BQ),
    (r"^CREATE (?:OR REPLACE )?VIEW (?!.{0,300}? AS )", frozenset()),
    (r"^DELETE (?!FROM\b|LOW_PRIORITY\b|QUICK\b|IGNORE\b)(?!.{0,500}? FROM\b)", _TS | _BQ),
    (r"^TRUNCATE (?:TABLE )?FROM\b", frozenset()),
)
"""Statements that only these dialects have: patterns that are looked for in `Statement.shape`."""

FIRST_WORDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    dict.fromkeys(("SELECT", "WITH", "(", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "TRUNCATE"), _QUERY)
    | {"VALUES": _QUERY - _TS, "TABLE": _MY | _PG, "REPLACE": _MY | _LITE, "MERGE": _QUERY - _MY - _LITE}
)
"""Words that open a statement which sqlglot parses, with the dialects that have it."""
