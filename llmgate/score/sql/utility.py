"""Statements that neither read nor change rows, as patterns: `SHOW TABLES`, `SET @x = 1`, `GRANT … ON … TO …`.

sqlglot keeps most of them as unread text, and would so take any sentence that begins with their first word. A pattern
is matched against a statement's words: unquoted ones in upper case, names in quotes as `"x"`, texts as `'x'`, apart by
one space.
"""

from __future__ import annotations

import re
from typing import Final

import regex

from llmgate.score.sql.dialects import DIALECTS

__all__ = ["EXPLAIN", "is_utility"]

_WORD = r'(?:"x"|[^\W\d][\w$#]*+)'
_NAME = rf"{_WORD}(?: \. {_WORD})*+"
_NAMES = rf"{_NAME}(?: , {_NAME})*+"
_VALUE = rf"(?:'x'|-? ?[\d.]+|{_NAME})"
_ACCOUNT = rf"(?:'x'|{_NAME})(?: ?@ ?(?:'x'|{_NAME}))?"
_CALL = r"(?:\( .*\)|\( \))"
_LOCKED = rf"{_NAME}(?: AS {_NAME})? (?:READ|WRITE)(?: LOCAL)?"
_TRANSACTION = "(?: TRANSACTION| WORK| TRAN)?"
_SHOWN = (
    "(?:TABLES|DATABASES|SCHEMAS|COLUMNS|FIELDS|INDEX|INDEXES|KEYS|STATUS|VARIABLES|PROCESSLIST|TRIGGERS|EVENTS|ENGINES"
    "|GRANTS|PLUGINS|PRIVILEGES|WARNINGS|ERRORS|COLLATION|BINARY LOGS|MASTER STATUS|OPEN TABLES|TABLE STATUS"
    "|FUNCTION STATUS|PROCEDURE STATUS|CHARACTER SET|CHARSET|VIEWS|FUNCTIONS|CATALOGS|USERS|ROLES|WAREHOUSES|OBJECTS)"
)
_OBJECT = (
    "(?:USER|ROLE|SERVER|EVENT|(?:TEMP |TEMPORARY |CONSTRAINT )?TRIGGER|(?:AGGREGATE |TEMP |TABLE )?FUNCTION|PROCEDURE"
    "|PROC|EXTENSION|TYPE|DOMAIN|POLICY|RULE|LANGUAGE|LOGIN|WAREHOUSE|STAGE|STREAM|TASK|PIPE|SYNONYM|AGGREGATE)"
)
_ACTION = r"(?:SELECT|INSERT|UPDATE|DELETE|BEGIN|EXEC|EXECUTE|DROP|CREATE|ALTER|TRUNCATE|PRINT|SET|RETURN|THROW)\b"

_ALL = frozenset(DIALECTS)
_MY = frozenset({"mysql", "mariadb"})
_PG = frozenset({"postgresql", "redshift", "noql"})
_LITE = frozenset({"sqlite"})
_TS = frozenset({"transactsql"})
_BQ = frozenset({"bigquery"})
_SF = frozenset({"snowflake"})

_PATTERNS: Final[tuple[tuple[frozenset[str], str, str], ...]] = (
    (
        _MY | _SF | {"hive", "trino", "athena"},
        "SHOW",
        rf" (?:(?:FULL|GLOBAL|SESSION|TERSE) )?{_SHOWN}"
        rf"(?: (?:FROM|IN|FOR|ON)(?: TABLE| DATABASE| SCHEMA)? {_ACCOUNT}){{0,2}}(?: LIKE 'x'| WHERE .+)?",
    ),
    (_MY | {"hive", "trino"}, "SHOW", rf" CREATE [A-Z]+ {_NAME}"),
    (_PG, "SHOW", rf" (?:ALL|TIME ZONE|TRANSACTION ISOLATION LEVEL|{_NAME})"),
    (_ALL - {"postgresql"} - _LITE - _TS - _BQ, "DESCRIBE|DESC", rf" (?:TABLE |VIEW )?{_NAME}(?: (?!TABLE\b){_WORD})?"),
    (_ALL - _PG - _LITE - _BQ, "USE", rf" (?:(?:DATABASE|SCHEMA|WAREHOUSE|ROLE|CATALOG) )?{_NAME}"),
    (_ALL - _TS - _LITE, "SET", rf" (?:(?:GLOBAL|SESSION|LOCAL|PERSIST) )?(?:@ ){{0,2}}{_NAME} :?= .+"),
    (_MY, "SET", r" (?:NAMES|CHARACTER SET|CHARSET) \S+(?: COLLATE \S+)?"),
    (_MY | _TS, "SET", r" (?:(?:GLOBAL|SESSION) )?TRANSACTION .+"),
    (_PG, "SET", rf" (?:(?:LOCAL|SESSION) )?(?:{_NAME} TO|TIME ZONE|ROLE|TRANSACTION) .+"),
    (_TS, "SET", rf" (?:@ ?{_NAME} (?:[-+*/] )?= .+|{_NAME}(?: {_NAME})? (?:ON|OFF)|{_NAME} {_VALUE})"),
    (_ALL - _TS, "BEGIN", rf"(?: DEFERRED| IMMEDIATE| EXCLUSIVE)?{_TRANSACTION}(?: ISOLATION LEVEL .+)?"),
    (_TS, "BEGIN", rf" (?:TRAN|TRANSACTION)(?: {_NAME})?"),
    (_ALL - _TS - _LITE, "START", r" TRANSACTION(?: (?:READ|WITH|ISOLATION) .+)?"),
    (_ALL, "COMMIT", rf"{_TRANSACTION}(?: AND (?:NO )?CHAIN)?"),
    (_ALL, "ROLLBACK", rf"{_TRANSACTION}(?: TO(?: SAVEPOINT)? {_NAME})?"),
    (_PG | _LITE, "END|ABORT", r"(?: TRANSACTION| WORK)?"),
    (_ALL, "SAVEPOINT|RELEASE", rf"(?: SAVEPOINT)? {_NAME}"),
    (_MY, "LOCK", rf" TABLES? {_LOCKED}(?: , {_LOCKED})*"),
    (_PG, "LOCK", rf"(?: TABLE)? {_NAMES}(?: IN [A-Z ]+ MODE)?(?: NOWAIT)?"),
    (_MY, "UNLOCK", " TABLES?"),
    (_ALL - _LITE, "GRANT|REVOKE", rf" (?:.+ ON .+|{_NAMES}) (?:TO|FROM) {_ACCOUNT}.*"),
    (_ALL - _TS - _LITE, "CALL", rf" {_NAME} ?{_CALL}"),
    (_TS, "EXEC|EXECUTE", rf" (?:@ ?\w+ = )?{_NAME}(?: (?:@|'x'|-? ?[\d.]|\().*)?"),
    (_MY | _PG, "EXECUTE", rf" {_NAME}(?: ?{_CALL}| USING .+)?"),
    (_BQ | _SF, "EXECUTE", r" IMMEDIATE .+"),
    (_MY, "PREPARE", rf" {_NAME} FROM (?:'x'|@ ?\w+)"),
    (_PG, "PREPARE", rf" {_NAME}(?: ?\( .*\))? AS .+"),
    (_MY | _PG, "DEALLOCATE", rf" (?:PREPARE )?{_NAME}"),
    (_MY, "RENAME", rf" TABLES? {_NAME} TO {_NAME}(?: , {_NAME} TO {_NAME})*"),
    (_MY, "ANALYZE|OPTIMIZE|CHECK|REPAIR", rf" TABLES? {_NAMES}"),
    (_PG | _LITE, "ANALYZE|VACUUM", rf"(?: (?:FULL|FREEZE|VERBOSE|ANALYZE))*(?: {_NAMES})?"),
    (_MY, "FLUSH", rf" (?:PRIVILEGES|TABLES?|LOGS|HOSTS|STATUS)(?: {_NAMES})?(?: WITH READ LOCK)?"),
    (_MY, "KILL", r" (?:CONNECTION |QUERY )?\d+"),
    (_MY, "LOAD", rf" DATA (?:LOCAL )?INFILE 'x' (?:IGNORE |REPLACE )?INTO TABLE {_NAME}.*"),
    (_PG | _LITE, "REINDEX", rf"(?: (?:TABLE|INDEX|SCHEMA|DATABASE))? {_NAME}"),
    (_LITE, "PRAGMA", rf" {_NAME}(?: = {_VALUE}| \( {_VALUE} \))?"),
    (_LITE, "ATTACH|DETACH", rf" (?:DATABASE )?(?:'x' AS )?{_NAME}"),
    (_PG | _SF, "COPY", rf" (?:INTO )?(?:@ ?\S+|{_NAME}|\( .+ \)).* (?:FROM|TO) .+"),
    (_PG | _SF | {"trino"}, "COMMENT", rf" (?:IF EXISTS )?ON [A-Z ]+ {_NAME}.* IS (?:'x'|NULL)"),
    (_PG, "REFRESH", rf" MATERIALIZED VIEW (?:CONCURRENTLY )?{_NAME}(?: WITH (?:NO )?DATA)?"),
    (_TS, "DECLARE", rf" @ ?\w+ (?:AS )?{_NAME}.*"),
    (_BQ, "DECLARE", rf" {_NAMES} {_NAME}.*"),
    (_TS, "PRINT", rf" (?:'x'|@ ?\w+|\d+|{_NAME} \(.*)(?: \+ .+)?"),
    (_TS, "IF|WHILE", rf" .+ {_ACTION}.*"),
    (_TS, "GO", r"(?: \d+)?"),
    (
        _ALL - _LITE,
        "CREATE",
        rf" (?:OR REPLACE |OR ALTER )?(?:DEFINER = {_ACCOUNT} )?{_OBJECT} (?:IF NOT EXISTS )?{_ACCOUNT}(?: .+)?",
    ),
    (_LITE, "CREATE", rf" (?:TEMP |TEMPORARY )?TRIGGER (?:IF NOT EXISTS )?{_NAME} .+"),
    (
        _ALL - _LITE,
        "DROP",
        rf" {_OBJECT} (?:IF EXISTS )?{_ACCOUNT}(?: {_CALL})?(?: ON {_NAME})?(?: CASCADE| RESTRICT)?",
    ),
    (_LITE, "DROP", rf" TRIGGER (?:IF EXISTS )?{_NAME}"),
    (_ALL - _LITE, "ALTER", rf" (?:{_OBJECT}|DATABASE|SCHEMA|SEQUENCE|INDEX) (?:IF EXISTS )?{_ACCOUNT} .+"),
    (_MY, "ALTER", rf" TABLE {_NAME} CONVERT TO CHARACTER SET .+"),
    (_PG, "ALTER", rf" TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME} (?:OWNER|ENABLE|DISABLE|ATTACH|DETACH|VALIDATE) .+"),
)
"""The dialects that have a statement, the words that it begins with, and what follows to its end."""


EXPLAIN: Final = re.compile(
    r"(?:EXPLAIN|DESCRIBE|DESC)(?: (?:ANALYZE|VERBOSE|EXTENDED|PARTITIONS|QUERY PLAN|FORMAT = \w+|\( [A-Z ,]+ \)))*+ "
    r"(?=(?:SELECT|WITH|INSERT|UPDATE|DELETE|REPLACE|\() )"
)
"""What stands before a statement that is to be explained."""


def is_utility(shape: str, dialect: str, *, timeout: float) -> bool:
    """Whether a statement of this shape is one of the patterns' in this dialect.

    Raises:
        TimeoutError: If a pattern takes longer than that many seconds.
    """
    first = shape.partition(" ")[0]
    return any(
        first in verbs.split("|") and regex.fullmatch(f"(?:{verbs}){rest}", shape, flags=regex.DOTALL, timeout=timeout)
        for having, verbs, rest in _PATTERNS
        if dialect in having
    )
