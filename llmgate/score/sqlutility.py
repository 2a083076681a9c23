"""Statements that neither read nor change rows, as patterns: `SHOW TABLES`, `SET @x = 1`, `GRANT … ON … TO …`.

sqlglot keeps most of them as unread text, and would so take any sentence that begins with their first word. A pattern
is matched against a statement's shape: unquoted words in upper case, names in quotes as `"x"`, texts as `'x'`, all
tokens apart by one space.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import regex

from llmgate.score.sqldialect import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EXPLAIN", "UTILITIES", "is_utility"]

_WORD = r'(?:"x"|[^\W\d][\w$#]*+)'
_NAME = rf"{_WORD}(?: \. {_WORD})*+"
_NAMES = rf"{_NAME}(?: , {_NAME})*+"
_VALUE = rf"(?:'x'|-? ?[\d.]+|{_NAME})"
_ACCOUNT = rf"(?:'x'|{_NAME})(?: ?@ ?(?:'x'|{_NAME}))?"
_CALL = r"\( .*\)|\( \)"
_ALL = frozenset(DIALECTS)
_MY = frozenset({"mysql", "mariadb"})
_PG = frozenset({"postgresql", "redshift", "noql"})
_SHOWN = (
    "TABLES|DATABASES|SCHEMAS|COLUMNS|FIELDS|INDEX|INDEXES|KEYS|STATUS|VARIABLES|PROCESSLIST|TRIGGERS|EVENTS|ENGINES"
    "|GRANTS|PLUGINS|PRIVILEGES|WARNINGS|ERRORS|COLLATION|BINARY LOGS|MASTER STATUS|OPEN TABLES|TABLE STATUS"
    "|FUNCTION STATUS|PROCEDURE STATUS|CHARACTER SET|CHARSET|VIEWS|FUNCTIONS|CATALOGS|USERS|ROLES|WAREHOUSES|OBJECTS"
)
_OBJECT = r"(?:USER|ROLE|TRIGGER|FUNCTION|PROCEDURE|SERVER)"
_MY_OBJECT = r"(?:AGGREGATE FUNCTION|EVENT|TABLESPACE)"
_OTHER_OBJECT = (
    "(?:CONSTRAINT TRIGGER|TEMP FUNCTION|TEMPORARY FUNCTION|TABLE FUNCTION|FOREIGN TABLE|PROC|EXTENSION|TYPE|DOMAIN|POLICY|RULE"
    "|PUBLICATION|SUBSCRIPTION|LANGUAGE|LOGIN|WAREHOUSE|STAGE|STREAM|TASK|PIPE|SYNONYM|AGGREGATE|COLLATION|CAST|OPERATOR)"
)
_DEFINER = rf"(?:DEFINER = {_ACCOUNT} )?"
_OBJECTS = (
    (_ALL - {"sqlite"}, _OBJECT),
    (frozenset({"sqlite"}), "(?:TEMP |TEMPORARY )?TRIGGER"),
    (_MY, _MY_OBJECT),
    (_ALL - _MY - {"sqlite"}, _OTHER_OBJECT),
)
_ACTION = "(?:SELECT|INSERT|UPDATE|DELETE|BEGIN|EXEC|EXECUTE|DROP|CREATE|ALTER|TRUNCATE|PRINT|SET|RETURN|RAISERROR|THROW)\\b"
_TRANSACTION = "(?: TRANSACTION| WORK| TRAN)?"

UTILITIES: Final[Mapping[str, tuple[tuple[frozenset[str], str], ...]]] = MappingProxyType(
    {
        "SHOW": (
            (
                _MY | {"snowflake", "hive", "trino", "athena"},
                rf"SHOW (?:FULL |EXTENDED |GLOBAL |SESSION |TERSE )?(?:{_SHOWN})"
                rf"(?: (?:FROM|IN|FOR|ON)(?: TABLE| DATABASE| SCHEMA)? {_ACCOUNT}){{0,2}}(?: LIKE 'x'| WHERE .+)?",
            ),
            (_MY | {"hive", "trino"}, rf"SHOW CREATE [A-Z]+ (?:IF NOT EXISTS )?{_NAME}"),
            (_PG, rf"SHOW (?:ALL|TIME ZONE|TRANSACTION ISOLATION LEVEL|{_NAME})"),
        ),
        "DESCRIBE": (
            (_ALL - {"postgresql", "sqlite", "transactsql", "bigquery"}, rf"DESC(?:RIBE)? (?:TABLE |VIEW )?{_NAME}(?: (?!TABLE\b){_WORD})?"),
        ),
        "USE": ((_ALL - _PG - {"sqlite", "bigquery"}, rf"USE (?:(?:DATABASE|SCHEMA|WAREHOUSE|ROLE|CATALOG) )?{_NAME}"),),
        "SET": (
            (_ALL - {"transactsql", "sqlite"}, rf"SET (?:(?:GLOBAL|SESSION|LOCAL|PERSIST) )?(?:@ ){{0,2}}{_NAME} :?= .+"),
            (_MY, r"SET (?:NAMES|CHARACTER SET|CHARSET) \S+(?: COLLATE \S+)?"),
            (_MY | {"transactsql"}, r"SET (?:(?:GLOBAL|SESSION) )?TRANSACTION .+"),
            (_PG, rf"SET (?:(?:LOCAL|SESSION) )?(?:{_NAME} TO .+|TIME ZONE .+|ROLE .+|TRANSACTION .+|CHARACTERISTICS .+)"),
            (frozenset({"transactsql"}), rf"SET (?:@ ?{_NAME} (?:[-+*/] )?= .+|{_NAME}(?: {_NAME})? (?:ON|OFF)|{_NAME} {_VALUE})"),
        ),
        "BEGIN": (
            (_ALL - {"transactsql"}, rf"BEGIN(?: DEFERRED| IMMEDIATE| EXCLUSIVE)?{_TRANSACTION}(?: ISOLATION LEVEL .+)?"),
            (frozenset({"transactsql"}), rf"BEGIN (?:TRAN|TRANSACTION)(?: {_NAME})?"),
        ),
        "START": ((_ALL - {"transactsql", "sqlite"}, r"START TRANSACTION(?: (?:READ|WITH|ISOLATION) .+)?"),),
        "COMMIT": ((_ALL, rf"COMMIT{_TRANSACTION}(?: AND (?:NO )?CHAIN)?"),),
        "END": ((_PG | {"sqlite"}, r"END(?: TRANSACTION| WORK)?"),),
        "ROLLBACK": ((_ALL, rf"ROLLBACK{_TRANSACTION}(?: TO(?: SAVEPOINT)? {_NAME})?"),),
        "ABORT": ((_PG, r"ABORT(?: TRANSACTION| WORK)?"),),
        "SAVEPOINT": ((_ALL, rf"SAVEPOINT {_NAME}"),),
        "RELEASE": ((_ALL, rf"RELEASE(?: SAVEPOINT)? {_NAME}"),),
        "LOCK": (
            (_MY, rf"LOCK TABLES? {_NAME}(?: AS {_NAME})? (?:READ|WRITE)(?: LOCAL)?(?: , {_NAME}(?: AS {_NAME})? (?:READ|WRITE))*"),
            (_PG, rf"LOCK(?: TABLE)? {_NAMES}(?: IN [A-Z ]+ MODE)?(?: NOWAIT)?"),
        ),
        "UNLOCK": ((_MY, "UNLOCK TABLES?"),),
        "GRANT": ((_ALL - {"sqlite"}, rf"GRANT (?:.+ ON .+|{_NAMES}) TO {_ACCOUNT}.*"),),
        "REVOKE": ((_ALL - {"sqlite"}, rf"REVOKE (?:.+ ON .+|{_NAMES}) FROM {_ACCOUNT}.*"),),
        "CALL": ((_ALL - {"transactsql", "sqlite"}, rf"CALL {_NAME} ?(?:{_CALL})"), (_MY, rf"CALL {_NAME}")),
        "EXEC": ((frozenset({"transactsql"}), rf"EXEC(?:UTE)? (?:@ ?\w+ = )?{_NAME}(?: (?:@|'x'|-? ?[\d.]+|\().*)?"),),
        "EXECUTE": (
            (frozenset({"transactsql"}), rf"EXECUTE (?:@ ?\w+ = )?{_NAME}(?: (?:@|'x'|-? ?[\d.]+|\().*)?"),
            (_MY | _PG, rf"EXECUTE {_NAME}(?: ?(?:{_CALL})| USING .+)?"),
            (frozenset({"bigquery", "snowflake"}), r"EXECUTE IMMEDIATE .+"),
        ),
        "PREPARE": ((_MY, rf"PREPARE {_NAME} FROM (?:'x'|@ ?\w+)"), (_PG, rf"PREPARE {_NAME}(?: ?\( .*\))? AS .+")),
        "DEALLOCATE": ((_MY | _PG, rf"DEALLOCATE (?:PREPARE )?{_NAME}"),),
        "RENAME": ((_MY, rf"RENAME TABLES? {_NAME} TO {_NAME}(?: , {_NAME} TO {_NAME})*"), (_MY, r"RENAME USER .+ TO .+")),
        "DO": ((_MY, rf"DO {_NAME} \(.*"), (_PG, r"DO (?:LANGUAGE \S+ )?'x'")),
        "ANALYZE": ((_MY, rf"ANALYZE (?:\w+ )?TABLE {_NAMES}"), (_PG | {"sqlite"}, rf"ANALYZE(?: VERBOSE)?(?: {_NAMES})?")),
        "OPTIMIZE": ((_MY, rf"OPTIMIZE (?:\w+ )?TABLES? {_NAMES}"),),
        "CHECK": ((_MY, rf"CHECK TABLE {_NAMES}(?: [A-Z]+)*"),),
        "REPAIR": ((_MY, rf"REPAIR (?:\w+ )?TABLE {_NAMES}(?: [A-Z_]+)*"),),
        "FLUSH": ((_MY, rf"FLUSH (?:PRIVILEGES|TABLES?|LOGS|HOSTS|STATUS)(?: {_NAMES})?(?: WITH READ LOCK)?"),),
        "KILL": ((_MY, r"KILL (?:CONNECTION |QUERY )?\d+"),),
        "LOAD": ((_MY, rf"LOAD DATA (?:LOCAL )?INFILE 'x' (?:IGNORE |REPLACE )?INTO TABLE {_NAME}.*"),),
        "HANDLER": ((_MY, rf"HANDLER {_NAME} (?:OPEN|READ|CLOSE).*"),),
        "VACUUM": ((_PG | {"sqlite"}, rf"VACUUM(?: (?:FULL|FREEZE|VERBOSE|ANALYZE))*(?: {_NAMES})?(?: INTO 'x')?"),),
        "REINDEX": ((_PG, rf"REINDEX (?:TABLE|INDEX|SCHEMA|DATABASE|SYSTEM) {_NAME}"), (frozenset({"sqlite"}), rf"REINDEX(?: {_NAME})?")),
        "PRAGMA": ((frozenset({"sqlite"}), rf"PRAGMA {_NAME}(?: = {_VALUE}| \( {_VALUE} \))?"),),
        "ATTACH": ((frozenset({"sqlite"}), rf"ATTACH (?:DATABASE )?'x' AS {_NAME}"),),
        "DETACH": ((frozenset({"sqlite"}), rf"DETACH (?:DATABASE )?{_NAME}"),),
        "COPY": ((_PG | {"snowflake"}, rf"COPY (?:INTO )?(?:@ ?\S+|{_NAME}|\( .+ \)).* (?:FROM|TO) .+"),),
        "COMMENT": ((_PG | {"snowflake", "trino"}, rf"COMMENT (?:IF EXISTS )?ON [A-Z ]+ {_NAME}.* IS (?:'x'|NULL)"),),
        "LISTEN": ((_PG, rf"LISTEN {_NAME}"),),
        "UNLISTEN": ((_PG, rf"UNLISTEN (?:{_NAME}|\*)"),),
        "NOTIFY": ((_PG, rf"NOTIFY {_NAME}(?: , 'x')?"),),
        "REFRESH": ((_PG, rf"REFRESH MATERIALIZED VIEW (?:CONCURRENTLY )?{_NAME}(?: WITH (?:NO )?DATA)?"),),
        "RESET": ((_PG, rf"RESET {_NAME}"),),
        "DISCARD": ((_PG, r"DISCARD (?:ALL|PLANS|SEQUENCES|TEMP)"),),
        "CHECKPOINT": ((_PG | {"transactsql"}, r"CHECKPOINT"),),
        "DECLARE": (
            (frozenset({"transactsql"}), rf"DECLARE @ ?\w+ (?:AS )?{_NAME}.*"),
            (frozenset({"bigquery"}), rf"DECLARE {_NAMES} {_NAME}.*"),
        ),
        "PRINT": ((frozenset({"transactsql"}), rf"PRINT (?:'x'|@ ?\w+|\d+|{_NAME} \(.*)(?: \+ .+)?"),),
        "IF": ((frozenset({"transactsql"}), rf"IF .+ {_ACTION}.*"),),
        "WHILE": ((frozenset({"transactsql"}), rf"WHILE .+ {_ACTION}.*"),),
        "GO": ((frozenset({"transactsql"}), r"GO(?: \d+)?"),),
        "CREATE": tuple(
            (having, rf"CREATE (?:OR REPLACE |OR ALTER )?{_DEFINER}{kind} (?:IF NOT EXISTS )?{_ACCOUNT}(?: .+)?")
            for having, kind in _OBJECTS
        ),
        "DROP": tuple(
            (having, rf"DROP {kind} (?:IF EXISTS )?{_ACCOUNT}(?: (?:{_CALL}))?(?: , {_ACCOUNT})*(?: ON {_NAME})?(?: CASCADE| RESTRICT)?")
            for having, kind in _OBJECTS
        ),
        "ALTER": (
            *((having, rf"ALTER {kind} (?:IF EXISTS )?{_ACCOUNT} .+") for having, kind in _OBJECTS),
            (_ALL - {"sqlite"}, rf"ALTER (?:DATABASE|SCHEMA|SEQUENCE|INDEX|MATERIALIZED VIEW) (?:IF EXISTS )?{_NAME} .+"),
            (_MY | {"snowflake"}, rf"ALTER TABLE {_NAME} MODIFY (?:COLUMN )?{_WORD} {_WORD}.*"),
            (_MY, rf"ALTER TABLE {_NAME} CHANGE (?:COLUMN )?{_WORD} {_WORD} {_WORD}.*"),
            (frozenset({"sqlite", "snowflake", "transactsql"}), rf"ALTER TABLE {_NAME} DROP (?!COLUMN\b|CONSTRAINT\b){_WORD}"),
            (_MY, rf"ALTER TABLE {_NAME} RENAME (?:INDEX|KEY) {_WORD} TO {_WORD}"),
            (_MY, rf"ALTER TABLE {_NAME} (?:CONVERT TO|ENGINE|ENABLE|DISABLE|ORDER BY|DEFAULT|AUTO_INCREMENT|COMMENT) \S+.*"),
            (
                _PG,
                rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME} (?:OWNER TO|SET|RESET|ENABLE|DISABLE|ATTACH|DETACH|INHERIT"
                r"|NO INHERIT|VALIDATE|CLUSTER|REPLICA) .+",
            ),
        ),
    }
)  # fmt: skip
"""First words with the dialects that have the statement and its whole shape."""
_SYNONYMS: Final = MappingProxyType({"DESC": "DESCRIBE"})

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
    first = shape.split(" ", 1)[0]
    patterns = UTILITIES.get(_SYNONYMS.get(first, first), ())
    return any(
        dialect in having and regex.fullmatch(pattern, shape, flags=regex.DOTALL, timeout=timeout)
        for having, pattern in patterns
    )
