"""Tables and columns of statements. The expected names are node-sql-parser 5.4's, save where the comment says so."""

from __future__ import annotations

import pytest

from llmgate.score.sql.dialects import DIALECTS
from llmgate.score.sql.parse import read_statements
from llmgate.score.sql.touched import columns_of, tables_of


def tables(text: str, dialect: str = "mysql") -> set[str]:
    return set(tables_of(read_statements(text, DIALECTS[dialect]), DIALECTS[dialect]))


def columns(text: str, dialect: str = "mysql") -> set[str]:
    return set(columns_of(read_statements(text, DIALECTS[dialect]), DIALECTS[dialect]))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT 1 FROM dual", ""),
        ("SELECT a FROM t WHERE b IN (SELECT c FROM u)", "select::null::t select::null::u"),
        ("SELECT a FROM s.t", "select::s::t"),
        ("SELECT a FROM t; DELETE FROM u", "select::null::t delete::null::u"),
        ("INSERT INTO t (a) SELECT b FROM u", "insert::null::t select::null::u"),
        ("REPLACE INTO t (a) VALUES (1)", "insert::null::t"),
        ("UPDATE t JOIN u ON t.id = u.id SET t.a = u.a", "update::null::t select::null::u"),
        ("DELETE t FROM t JOIN u ON t.id = u.id", "delete::null::t select::null::u"),
        ("DELETE x FROM u JOIN t AS x ON x.id = u.id", "delete::null::t select::null::u"),
        ("CREATE TABLE t AS SELECT b FROM u", "create::null::t select::null::u"),
        ("DROP TABLE t, s.u", "drop::null::t drop::s::u"),
        ("ALTER TABLE s.t DROP COLUMN c", "alter::s::t"),
        ("ALTER TABLE t MODIFY c INT", "alter::null::t"),
        ("TRUNCATE TABLE t", "truncate::null::t"),
        ("RENAME TABLE t TO s.u, v TO w", "rename::null::null"),
        ("LOCK TABLES t READ, u WRITE", "lock::null::null"),
        ("SHOW TABLES", "show::null::null"),
        ("USE d", "use::null::null"),
        ("COMMIT", ""),
        ("SET @x = 1", ""),
        # Not listed by node-sql-parser, so that its allow-lists let them pass.
        ("SET @x = (SELECT a FROM t)", "set::null::null"),
        ("DROP VIEW v", "drop::null::v"),
        ("DROP DATABASE d", "drop::null::d"),
        ("CREATE INDEX ix ON t (a)", "create::null::t"),
        ("CALL p()", "call::null::null"),
    ],
)
def test_tables(text: str, names: str) -> None:
    assert tables(text) == set(names.split())


@pytest.mark.parametrize(
    ("text", "dialect", "names"),
    [
        ("SELECT a FROM db.s.t", "postgresql", "select::db.s::t"),
        ("SELECT a FROM srv.db.s.t", "transactsql", "select::srv.db.s::t"),
        ("SELECT a FROM `p.d.t`, p.d.u", "bigquery", "select::null::p.d.t select::p.d::u"),
        ("SELECT * FROM generate_series(1, 3)", "postgresql", ""),
        ('SELECT "A" FROM "T"', "postgresql", "select::null::T"),
    ],
)
def test_tables_of_other_dialects(text: str, dialect: str, names: str) -> None:
    assert tables(text, dialect) == set(names.split())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("WITH x AS (SELECT a FROM t) SELECT * FROM x", "t"),
        ("WITH x AS (SELECT a FROM t) SELECT * FROM X", "t"),
        ("WITH x AS (SELECT * FROM x) SELECT * FROM x", "x"),
        ("WITH x AS (SELECT * FROM y), y AS (SELECT 1) SELECT * FROM x", "y"),
        ("WITH RECURSIVE x AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM x) SELECT i FROM x", ""),
        ("WITH x AS (SELECT 1) SELECT * FROM s.x", "x"),
        ("WITH `X` AS (SELECT 1) SELECT * FROM x", "x"),
        ("WITH x AS (SELECT 1) SELECT * FROM `X`", "X"),
        ("WITH a AS (WITH b AS (SELECT 1) SELECT * FROM b) SELECT * FROM a JOIN b ON 1 = 1", "b"),
        ("WITH x AS (SELECT 1) SELECT * FROM (SELECT * FROM x) AS q", ""),
        ("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) AS q JOIN x ON 1 = 1", "x"),
        ("WITH x AS (SELECT 1) SELECT * FROM x; SELECT * FROM x", "x"),
        ("WITH x AS (SELECT 1) DELETE FROM x WHERE a IN (SELECT a FROM x)", "x"),
    ],
)
def test_a_name_of_with_is_no_table_where_it_is_in_scope(text: str, names: str) -> None:
    assert {name.rpartition("::")[2] for name in tables(text)} == set(names.split())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT COUNT(*) FROM t", ""),
        ("SELECT * FROM t", "select::null::(.*)"),
        ("SELECT x.* FROM t x", "select::t::(.*)"),
        ("SELECT o.id FROM orders O WHERE o.Total > 3", "select::orders::id select::orders::Total"),
        ("SELECT s.t.a FROM s.t", "select::s::t::a"),
        ("SELECT a AS z FROM t ORDER BY z", "select::null::a select::null::z"),
        ("SELECT id, 'x' AS y FROM t", "select::null::id select::null::x"),
        ("INSERT INTO t (a, b) SELECT c, 1 FROM u", "insert::t::a insert::t::b select::null::c"),
        ("INSERT INTO t VALUES (1)", "insert::t::(.*)"),
        ("UPDATE t SET a = b + 1 WHERE c = 2", "update::null::a select::null::b select::null::c"),
        ("UPDATE t x SET x.a = 1", "update::t::a"),
        ("DELETE FROM t WHERE a = 1", "delete::t::(.*) select::null::a"),
        ("CREATE TABLE t (a INT)", "create::null::a select::null::a"),
        ("ALTER TABLE t DROP COLUMN c", "select::null::c"),
        ("ALTER TABLE t MODIFY c INT", "alter::null::(.*)"),
        ("ALTER TABLE t ALTER COLUMN c SET DEFAULT 1", "alter::null::(.*)"),
        ("DROP TABLE t", ""),
        ("SHOW CREATE TABLE t", ""),
        # node-sql-parser knows one of the tables only, and leaves out what ON DUPLICATE KEY sets.
        ("SELECT o.id FROM orders o, users o", "select::orders::id select::users::id"),
        ("INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE b = 2", "insert::t::a update::null::b"),
        ("CALL p()", "call::null::(.*)"),
    ],
)
def test_columns(text: str, names: str) -> None:
    assert columns(text) == set(names.split())


def test_schemas_of_columns_are_joined_by_dots_outside_of_mysql() -> None:
    assert columns("SELECT s.t.a FROM s.t", "postgresql") == {"select::s.t::a"}
