"""Statements that neither read nor change rows, as patterns: `SHOW TABLES`, `SET @x = 1`, `GRANT … ON … TO …`.

sqlglot keeps most of them as unread text, and would so take any sentence that begins with their first word. A pattern
is matched against a statement's shape: unquoted words in upper case, names in quotes as `"x"`, texts as `'x'`, all
tokens apart by one space.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import regex

from llmgate.score.sqldialect import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EXPLAIN", "is_utility"]

_WORD = r'(?:"x"|[^\W\d][\w$#]*+)'
_NAME = rf"{_WORD}(?: \. {_WORD})*+"
_NAMES = rf"{_NAME}(?: , {_NAME})*+"
_NUMBER = r"-? ?[\d.]+"
_VALUE = rf"(?:'x'|{_NUMBER}|{_NAME})"
_VARIABLE = r"@ ?\w+"
_ACCOUNT = rf"(?:'x'|{_NAME})(?: ?@ ?(?:'x'|{_NAME}))?"
_CALL = r"(?:\( .*\)|\( \))"
_TRANSACTION = "(?: TRANSACTION| WORK| TRAN)?"
_ACTION = (
    r"(?:SELECT|INSERT|UPDATE|DELETE|BEGIN|EXEC|EXECUTE|DROP|CREATE|ALTER|TRUNCATE|PRINT|SET|RETURN|RAISERROR|THROW)\b"
)
_SHOWN = (
    "(?:TABLES|DATABASES|SCHEMAS|COLUMNS|FIELDS|INDEX|INDEXES|KEYS|STATUS|VARIABLES|PROCESSLIST|TRIGGERS|EVENTS|ENGINES"
    "|GRANTS|PLUGINS|PRIVILEGES|WARNINGS|ERRORS|COLLATION|BINARY LOGS|MASTER STATUS|OPEN TABLES|TABLE STATUS"
    "|FUNCTION STATUS|PROCEDURE STATUS|CHARACTER SET|CHARSET|VIEWS|FUNCTIONS|CATALOGS|USERS|ROLES|WAREHOUSES|OBJECTS)"
)
_LOCKED = rf"{_NAME}(?: AS {_NAME})? (?:READ|WRITE)(?: LOCAL)?"

_ALL = frozenset(DIALECTS)
_MY = frozenset({"mysql", "mariadb"})
_PG = frozenset({"postgresql", "redshift", "noql"})
_LITE = frozenset({"sqlite"})
_TS = frozenset({"transactsql"})
_BQ = frozenset({"bigquery"})
_SF = frozenset({"snowflake"})

_OBJECTS = (
    (_ALL - _LITE, "(?:USER|ROLE|TRIGGER|FUNCTION|PROCEDURE|SERVER)"),
    (_LITE, "(?:TEMP |TEMPORARY )?TRIGGER"),
    (_MY, "(?:AGGREGATE FUNCTION|EVENT|TABLESPACE)"),
    (
        _ALL - _MY - _LITE,
        "(?:CONSTRAINT TRIGGER|TEMP FUNCTION|TEMPORARY FUNCTION|TABLE FUNCTION|FOREIGN TABLE|PROC|EXTENSION|TYPE"
        "|DOMAIN|POLICY|RULE|PUBLICATION|SUBSCRIPTION|LANGUAGE|LOGIN|WAREHOUSE|STAGE|STREAM|TASK|PIPE|SYNONYM"
        "|AGGREGATE|COLLATION|CAST|OPERATOR)",
    ),
)
_DROPPED = rf"{_ACCOUNT}(?: {_CALL})?(?: , {_ACCOUNT})*(?: ON {_NAME})?(?: CASCADE| RESTRICT)?"

_PATTERNS: Final[tuple[tuple[frozenset[str], str], ...]] = (
    (
        _MY | _SF | {"hive", "trino", "athena"},
        rf"SHOW (?:FULL |EXTENDED |GLOBAL |SESSION |TERSE )?{_SHOWN}"
        rf"(?: (?:FROM|IN|FOR|ON)(?: TABLE| DATABASE| SCHEMA)? {_ACCOUNT}){{0,2}}(?: LIKE 'x'| WHERE .+)?",
    ),
    (_MY | {"hive", "trino"}, rf"SHOW CREATE [A-Z]+ (?:IF NOT EXISTS )?{_NAME}"),
    (_PG, rf"SHOW (?:ALL|TIME ZONE|TRANSACTION ISOLATION LEVEL|{_NAME})"),
    (_ALL - {"postgresql"} - _LITE - _TS - _BQ, rf"DESCRIBE (?:TABLE |VIEW )?{_NAME}(?: (?!TABLE\b){_WORD})?"),
    (_ALL - {"postgresql"} - _LITE - _TS - _BQ, rf"DESC (?:TABLE |VIEW )?{_NAME}(?: (?!TABLE\b){_WORD})?"),
    (_ALL - _PG - _LITE - _BQ, rf"USE (?:(?:DATABASE|SCHEMA|WAREHOUSE|ROLE|CATALOG) )?{_NAME}"),
    (_ALL - _TS - _LITE, rf"SET (?:(?:GLOBAL|SESSION|LOCAL|PERSIST) )?(?:@ ){{0,2}}{_NAME} :?= .+"),
    (_MY, r"SET (?:NAMES|CHARACTER SET|CHARSET) \S+(?: COLLATE \S+)?"),
    (_MY | _TS, r"SET (?:(?:GLOBAL|SESSION) )?TRANSACTION .+"),
    (
        _PG,
        rf"SET (?:(?:LOCAL|SESSION) )?"
        rf"(?:{_NAME} TO .+|TIME ZONE .+|ROLE .+|TRANSACTION .+|CHARACTERISTICS .+)",
    ),
    (_TS, rf"SET (?:@ ?{_NAME} (?:[-+*/] )?= .+|{_NAME}(?: {_NAME})? (?:ON|OFF)|{_NAME} {_VALUE})"),
    (_ALL - _TS, rf"BEGIN(?: DEFERRED| IMMEDIATE| EXCLUSIVE)?{_TRANSACTION}(?: ISOLATION LEVEL .+)?"),
    (_TS, rf"BEGIN (?:TRAN|TRANSACTION)(?: {_NAME})?"),
    (_ALL - _TS - _LITE, r"START TRANSACTION(?: (?:READ|WITH|ISOLATION) .+)?"),
    (_ALL, rf"COMMIT{_TRANSACTION}(?: AND (?:NO )?CHAIN)?"),
    (_PG | _LITE, r"END(?: TRANSACTION| WORK)?"),
    (_ALL, rf"ROLLBACK{_TRANSACTION}(?: TO(?: SAVEPOINT)? {_NAME})?"),
    (_PG, r"ABORT(?: TRANSACTION| WORK)?"),
    (_ALL, rf"SAVEPOINT {_NAME}"),
    (_ALL, rf"RELEASE(?: SAVEPOINT)? {_NAME}"),
    (_MY, rf"LOCK TABLES? {_LOCKED}(?: , {_LOCKED})*"),
    (_PG, rf"LOCK(?: TABLE)? {_NAMES}(?: IN [A-Z ]+ MODE)?(?: NOWAIT)?"),
    (_MY, "UNLOCK TABLES?"),
    (_ALL - _LITE, rf"GRANT (?:.+ ON .+|{_NAMES}) TO {_ACCOUNT}.*"),
    (_ALL - _LITE, rf"REVOKE (?:.+ ON .+|{_NAMES}) FROM {_ACCOUNT}.*"),
    (_ALL - _TS - _LITE, rf"CALL {_NAME} ?{_CALL}"),
    (_MY, rf"CALL {_NAME}"),
    *((_TS, rf"{verb} (?:{_VARIABLE} = )?{_NAME}(?: (?:@|'x'|{_NUMBER}|\().*)?") for verb in ("EXEC", "EXECUTE")),
    (_MY | _PG, rf"EXECUTE {_NAME}(?: ?{_CALL}| USING .+)?"),
    (_BQ | _SF, r"EXECUTE IMMEDIATE .+"),
    (_MY, rf"PREPARE {_NAME} FROM (?:'x'|{_VARIABLE})"),
    (_PG, rf"PREPARE {_NAME}(?: ?\( .*\))? AS .+"),
    (_MY | _PG, rf"DEALLOCATE (?:PREPARE )?{_NAME}"),
    (_MY, rf"RENAME TABLES? {_NAME} TO {_NAME}(?: , {_NAME} TO {_NAME})*"),
    (_MY, r"RENAME USER .+ TO .+"),
    (_MY, rf"DO {_NAME} \(.*"),
    (_PG, r"DO (?:LANGUAGE \S+ )?'x'"),
    (_MY, rf"ANALYZE (?:\w+ )?TABLE {_NAMES}"),
    (_PG | _LITE, rf"ANALYZE(?: VERBOSE)?(?: {_NAMES})?"),
    (_MY, rf"OPTIMIZE (?:\w+ )?TABLES? {_NAMES}"),
    (_MY, rf"CHECK TABLE {_NAMES}(?: [A-Z]+)*"),
    (_MY, rf"REPAIR (?:\w+ )?TABLE {_NAMES}(?: [A-Z_]+)*"),
    (_MY, rf"FLUSH (?:PRIVILEGES|TABLES?|LOGS|HOSTS|STATUS)(?: {_NAMES})?(?: WITH READ LOCK)?"),
    (_MY, r"KILL (?:CONNECTION |QUERY )?\d+"),
    (_MY, rf"LOAD DATA (?:LOCAL )?INFILE 'x' (?:IGNORE |REPLACE )?INTO TABLE {_NAME}.*"),
    (_MY, rf"HANDLER {_NAME} (?:OPEN|READ|CLOSE).*"),
    (_PG | _LITE, rf"VACUUM(?: (?:FULL|FREEZE|VERBOSE|ANALYZE))*(?: {_NAMES})?(?: INTO 'x')?"),
    (_PG, rf"REINDEX (?:TABLE|INDEX|SCHEMA|DATABASE|SYSTEM) {_NAME}"),
    (_LITE, rf"REINDEX(?: {_NAME})?"),
    (_LITE, rf"PRAGMA {_NAME}(?: = {_VALUE}| \( {_VALUE} \))?"),
    (_LITE, rf"ATTACH (?:DATABASE )?'x' AS {_NAME}"),
    (_LITE, rf"DETACH (?:DATABASE )?{_NAME}"),
    (_PG | _SF, rf"COPY (?:INTO )?(?:@ ?\S+|{_NAME}|\( .+ \)).* (?:FROM|TO) .+"),
    (_PG | _SF | {"trino"}, rf"COMMENT (?:IF EXISTS )?ON [A-Z ]+ {_NAME}.* IS (?:'x'|NULL)"),
    (_PG, rf"LISTEN {_NAME}"),
    (_PG, rf"UNLISTEN (?:{_NAME}|\*)"),
    (_PG, rf"NOTIFY {_NAME}(?: , 'x')?"),
    (_PG, rf"REFRESH MATERIALIZED VIEW (?:CONCURRENTLY )?{_NAME}(?: WITH (?:NO )?DATA)?"),
    (_PG, rf"RESET {_NAME}"),
    (_PG, r"DISCARD (?:ALL|PLANS|SEQUENCES|TEMP)"),
    (_PG | _TS, r"CHECKPOINT"),
    (_TS, rf"DECLARE {_VARIABLE} (?:AS )?{_NAME}.*"),
    (_BQ, rf"DECLARE {_NAMES} {_NAME}.*"),
    (_TS, rf"PRINT (?:'x'|{_VARIABLE}|\d+|{_NAME} \(.*)(?: \+ .+)?"),
    (_TS, rf"IF .+ {_ACTION}.*"),
    (_TS, rf"WHILE .+ {_ACTION}.*"),
    (_TS, r"GO(?: \d+)?"),
    *(
        (
            having,
            rf"CREATE (?:OR REPLACE |OR ALTER )?(?:DEFINER = {_ACCOUNT} )?{kind} (?:IF NOT EXISTS )?{_ACCOUNT}(?: .+)?",
        )
        for having, kind in _OBJECTS
    ),
    *((having, rf"DROP {kind} (?:IF EXISTS )?{_DROPPED}") for having, kind in _OBJECTS),
    *((having, rf"ALTER {kind} (?:IF EXISTS )?{_ACCOUNT} .+") for having, kind in _OBJECTS),
    (_ALL - _LITE, rf"ALTER (?:DATABASE|SCHEMA|SEQUENCE|INDEX|MATERIALIZED VIEW) (?:IF EXISTS )?{_NAME} .+"),
    (_MY | _SF, rf"ALTER TABLE {_NAME} MODIFY (?:COLUMN )?{_WORD} {_WORD}.*"),
    (_MY, rf"ALTER TABLE {_NAME} CHANGE (?:COLUMN )?{_WORD} {_WORD} {_WORD}.*"),
    (_LITE | _SF | _TS, rf"ALTER TABLE {_NAME} DROP (?!COLUMN\b|CONSTRAINT\b){_WORD}"),
    (_MY, rf"ALTER TABLE {_NAME} RENAME (?:INDEX|KEY) {_WORD} TO {_WORD}"),
    (
        _MY,
        rf"ALTER TABLE {_NAME} (?:CONVERT TO|ENGINE|ENABLE|DISABLE|ORDER BY|DEFAULT|AUTO_INCREMENT|COMMENT) \S+.*",
    ),
    (
        _PG,
        rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME} (?:OWNER TO|SET|RESET|ENABLE|DISABLE|ATTACH|DETACH|INHERIT"
        r"|NO INHERIT|VALIDATE|CLUSTER|REPLICA) .+",
    ),
)
"""Whole shapes, each with the dialects that have the statement."""


def _by_verb(
    patterns: Iterable[tuple[frozenset[str], str]],
) -> dict[str, list[tuple[frozenset[str], str]]]:
    grouped: dict[str, list[tuple[frozenset[str], str]]] = {}
    for having, pattern in patterns:
        grouped.setdefault(re.match("[A-Z]+", pattern)[0], []).append((having, pattern))  # type: ignore[index]
    return grouped


_UTILITIES: Final = _by_verb(_PATTERNS)

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
    return any(
        dialect in having and regex.fullmatch(pattern, shape, flags=regex.DOTALL, timeout=timeout)
        for having, pattern in _UTILITIES.get(shape.split(" ", 1)[0], ())
    )
