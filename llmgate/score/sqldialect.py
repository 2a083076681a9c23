"""The SQL dialects that a suite can name, with the words that are no names in them.

The names of the dialects, and the reserved words that count, are those of the npm package node-sql-parser, which
promptfoo uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["DIALECTS", "SqlDialect"]


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


_COMMON: Final = """
    ALL ALTER AND AS ASC BETWEEN BY CASE CREATE DELETE DESC DISTINCT DROP ELSE END EXISTS FROM FULL GROUP HAVING IN
    INNER INSERT INTO IS JOIN LEFT LIKE LIMIT NOT ON OR ORDER OUTER RECURSIVE RIGHT SELECT SET TABLE THEN TRUNCATE
    UNION UPDATE USING WHEN WHERE WITH
"""
_MYSQL_WORDS: Final = """
    ADD ANALYZE BEFORE BIGINT BOTH CALL CASCADE CHANGE CHECK COLLATE CONDITION CONSTRAINT CONTINUE CONVERT CROSS CURSOR
    DATABASE DATABASES DECIMAL DECLARE DEFAULT DESCRIBE DISTINCTROW DIV DOUBLE EACH ELSEIF EXCEPT EXIT EXPLAIN FETCH
    FLOAT FOR FORCE FOREIGN FUNCTION GENERATED GRANT GROUPING GROUPS IGNORE INFILE INT INTEGER INTERSECT INTERVAL KEY
    KEYS KILL LAG LATERAL LEADING LINES LOAD LOCK LOW_PRIORITY MATCH MOD MODIFIES NATURAL NUMERIC OF OPTIMIZE OPTION
    OUT OVER PARTITION PRIMARY PROCEDURE RANGE RANK READ REFERENCES REGEXP RELEASE RENAME REPLACE RETURN REVOKE RLIKE
    ROW ROWS ROW_NUMBER SCHEMA SEPARATOR SHOW SQL STRAIGHT_JOIN TERMINATED TO TRAILING TRIGGER UNIQUE UNLOCK UNSIGNED
    USAGE USE VALUES VARCHAR WHILE WINDOW WRITE XOR YEAR_MONTH ZEROFILL
"""
_MARIADB_WORDS: Final = "CROSS EXCEPT FOR INTERSECT KEY LATERAL NATURAL READ RENAME VALUES WRITE"
_RESERVED: Final = frozenset(_COMMON.split())
_NOT_RESERVED: Final = {"mysql": {"END", "TRUNCATE"}, "postgresql": {"TRUNCATE"}}
_MORE_RESERVED: Final[Mapping[str, Collection[str]]] = {
    "mysql": _MYSQL_WORDS.split(),
    "mariadb": (
        "CROSS",
        "EXCEPT",
        "FOR",
        "INTERSECT",
        "KEY",
        "LATERAL",
        "NATURAL",
        "READ",
        "RENAME",
        "VALUES",
        "WRITE",
    ),
    "postgresql": {"CONSTRAINT", "EXCEPT", "ILIKE", "INTERSECT", "OFFSET", "WINDOW"},
    "sqlite": {"VALUES"},
    "transactsql": {"CROSS", "FOR", "KEY", "PIVOT", "UNPIVOT", "VALUES"},
    "bigquery": {"ARRAY", "CROSS", "EXCEPT", "FOR", "INTERSECT", "PARTITION", "UNNEST", "WINDOW"},
    "snowflake": {"QUALIFY", "WINDOW"},
}


def _dialect(name: str, sqlglot: str, *, checked: bool = True) -> SqlDialect:
    words = _RESERVED.difference(_NOT_RESERVED.get(name, ())).union(_MORE_RESERVED.get(name, ()))
    return SqlDialect(name=name, sqlglot=sqlglot, reserved=words, checked=checked)


DIALECTS: Final[Mapping[str, SqlDialect]] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            _dialect("athena", "trino", checked=False),
            _dialect("bigquery", "bigquery"),
            _dialect("db2", "", checked=False),
            _dialect("flinksql", "", checked=False),
            _dialect("hive", "hive", checked=False),
            _dialect("mariadb", "mysql"),
            _dialect("mysql", "mysql"),
            _dialect("noql", "postgres", checked=False),
            _dialect("postgresql", "postgres"),
            _dialect("redshift", "redshift", checked=False),
            _dialect("snowflake", "snowflake"),
            _dialect("sqlite", "sqlite"),
            _dialect("transactsql", "tsql"),
            _dialect("trino", "trino", checked=False),
        )
    }
)
"""The dialects by name in lower case."""
