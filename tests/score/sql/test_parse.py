"""What is SQL of which dialect. The verdicts are those of the databases' manuals."""

from __future__ import annotations

import pytest

from llmgate.errors import CannotRunError
from llmgate.score.sql.dialects import DIALECTS
from llmgate.score.sql.parse import MAX_SQL_CHARS, NotSqlError, read_statements


def is_sql(text: str, dialect: str = "mysql") -> bool:
    try:
        return bool(read_statements(text, DIALECTS[dialect]))
    except NotSqlError:
        return False


EVERYWHERE = (
    "SELECT a, COUNT(*) FROM t GROUP BY a HAVING COUNT(*) > 1 ORDER BY 2 DESC",
    "SELECT * FROM a INNER JOIN b ON a.id = b.id LEFT JOIN c ON b.id = c.id",
    "SELECT CASE WHEN a = 1 THEN 'x' ELSE 'y' END AS c FROM t WHERE b NOT IN (1, 2) OR c IS NULL",
    "SELECT ROW_NUMBER() OVER (PARTITION BY a ORDER BY b) AS rn FROM t",
    "WITH x AS (SELECT a FROM t), y AS (SELECT a FROM x) SELECT * FROM y",
    "(SELECT a FROM t) UNION ALL (SELECT b FROM u)",
    "SELECT t.order FROM t",
    "SELECT a b FROM t",
    "SELECT DISTINCT a b FROM t",
    "INSERT INTO t (a, b) VALUES (1, 'x'), (2, NULL)",
    "INSERT INTO t (a) SELECT b FROM u WHERE b > 1",
    "UPDATE t SET a = a + 1, b = 'x' WHERE id = 3",
    "DELETE FROM t WHERE id = 3",
    "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL)",
    "CREATE VIEW v AS SELECT a FROM t",
    "DROP TABLE IF EXISTS t",
    "ALTER TABLE t DROP COLUMN c",
    "COMMIT",
    "SELECT 1; SELECT 2;",
)

NOWHERE = (
    "",
    ";",
    "-- nothing",
    "/* nothing */",
    "orders",
    "1",
    "(1)",
    "a = 1",
    "Please list all the orders",
    "Here: SELECT 1",
    "Show me the tables",
    "Use the table",
    "Drop the table",
    "Delete the old rows",
    "Update the table",
    "Create a table",
    "Call me maybe",
    "Grant access",
    "SELECT",
    "SELECT FROM t",
    "SELECT * FROM",
    "SELECT * t",
    "SELECT a FROM t WHERE",
    "SELECT a FROM t WHERE a = 1 WHERE b = 2",
    "SELECT a FROM t WHERE a IN ()",
    "SELECT a FROM t WHERE a IN (1,)",
    "SELECT a FROM t GROUP BY",
    "SELECT a FROM t ORDER BY a WHERE b = 1",
    "SELECT a FROM t LIMIT 5 WHERE b = 1",
    "SELECT , a FROM t",
    "SELECT a,, b FROM t",
    "SELECT a FROM t, WHERE b = 1",
    "SELECT * FROM SELECT a FROM t",
    "SELECT a FROM t JOIN u ON",
    "SELECT a FROM t OUTER JOIN u ON t.id = u.id",
    "SELECT COUNT(* FROM t",
    "SELECT order FROM t",
    "SELECT a FROM group",
    "SELECT a FROM t WHERE x = \u201cy\u201d",
    "SELECT\u00a0a FROM t",
    "SELECT a FROM t; thanks",
    "INSERT INTO (a) VALUES (1)",
    "CREATE TABLE t",
    "Call me",
    "Commit to it",
    "Select a name from the list below",
    "INSERT INTO t (a, b) VALUES (1)",
    "INSERT INTO t (a)",
    "INSERT INTO t VALUES (1) (2)",
    "INSERT INTO t (1) VALUES (1)",
    "UPDATE t SET",
    "UPDATE t SET a = 1 AND b = 2",
    "UPDATE t WHERE a = 1 SET b = 2",
    "UPDATE TABLE t SET a = 1",
    "CREATE TABEL t (a INT)",
    "CREATE TABLE t (a INT,)",
    "CREATE TABLE order (a INT)",
    "CREATE VIEW v SELECT 1",
    "CREATE INDEX ix ON t ()",
    "DROP COLUMN c",
    "ALTER TABLE t FOO",
    "TRUNCATE FROM t",
    "WITH x AS (SELECT 1)",
    "WITH x AS (SELECT 1) FROM x",
    "GRANT SELECT ON t",
    "```sql\nSELECT 1\n```",
    "{{ sql }}",
)


@pytest.mark.parametrize("text", EVERYWHERE)
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_plain_sql(text: str, dialect: str) -> None:
    assert is_sql(text, dialect)


@pytest.mark.parametrize("text", NOWHERE)
@pytest.mark.parametrize("dialect", ["mysql", "postgresql", "sqlite", "transactsql"])
def test_no_sql(text: str, dialect: str) -> None:
    assert not is_sql(text, dialect)


MY = {"mysql", "mariadb"}
KNOWN = frozenset({*MY, "postgresql", "sqlite", "transactsql", "bigquery", "snowflake"})


@pytest.mark.parametrize(
    ("text", "having"),
    [
        ("SELECT '5'::int", {"postgresql", "snowflake"}),
        ("SELECT a FROM t WHERE b ILIKE 'x%'", {"postgresql", "snowflake"}),
        ("SELECT a FROM t LIMIT 5, 10", {*MY, "sqlite"}),
        ("SELECT `a` FROM `t`", {*MY, "sqlite", "bigquery"}),
        ("SELECT TOP 5 a FROM t", {"transactsql", "snowflake"}),
        ("SELECT DISTINCT ON (a) a, b FROM t", {"postgresql"}),
        ("SELECT a FROM t WHERE b <=> 1", MY),
        ("SELECT a FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY a) = 1", {"bigquery", "snowflake"}),
        ("INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = 2", MY),
        ("INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING", {"postgresql", "sqlite"}),
        ("INSERT INTO t (a) VALUES (1) RETURNING id", {"postgresql", "sqlite", "mariadb"}),
        ("INSERT OR REPLACE INTO t (a) VALUES (1)", {"sqlite"}),
        ("REPLACE INTO t (a) VALUES (1)", {*MY, "sqlite"}),
        ("INSERT INTO t SET a = 1", MY),
        ("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)", MY),
        ("CREATE TABLE t (a JSONB)", {"postgresql"}),
        ("CREATE MATERIALIZED VIEW v AS SELECT a FROM t", {"postgresql", "bigquery", "snowflake"}),
        ("MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET a = 1", KNOWN - MY - {"sqlite"}),
        ("SELECT a FROM t WHERE b REGEXP 'x'", {*MY, "sqlite", "snowflake"}),
        ("SELECT TRY_CAST(a AS INT) FROM t", {"transactsql", "snowflake"}),
        ("SELECT COUNT(*) FILTER (WHERE a > 1) FROM t", {"postgresql", "sqlite"}),
        ("SELECT a FROM t WITH (NOLOCK)", {"transactsql"}),
        ("DELETE t WHERE a = 1", {"transactsql", "bigquery"}),
        ("PRAGMA table_info(t)", {"sqlite"}),
        ("PRAGMA journal_mode = WAL", {"sqlite"}),
        ("SHOW TABLES", {*MY, "snowflake", "postgresql"}),
        ("SET @x = 1", KNOWN - {"sqlite"}),
        ("RENAME TABLE t TO u, v TO w", MY),
        ("LOCK TABLES t READ", MY),
        ("DESCRIBE t", {*MY, "snowflake"}),
        ("ALTER TABLE t MODIFY COLUMN c VARCHAR(10)", {*MY, "snowflake"}),
        ("ALTER TABLE t ALTER COLUMN c TYPE TEXT", KNOWN - MY - {"sqlite"}),
        ("SELECT a, FROM t", {"bigquery", "snowflake"}),
        ("CREATE TABLE t (a INT) WITHOUT ROWID", {"sqlite"}),
        ("EXEC p @a = 1", {"transactsql"}),
    ],
)
def test_constructs_by_dialect(text: str, having: set[str]) -> None:
    assert {name for name in KNOWN if is_sql(text, name)} == having


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("SELECT DATE_SUB(NOW(), INTERVAL 7 DAY)", "mysql"),
        ("SELECT GROUP_CONCAT(a ORDER BY b SEPARATOR ',') FROM t", "mysql"),
        ("SELECT SQL_CALC_FOUND_ROWS id FROM t", "mysql"),
        ("SELECT id, total t FROM orders", "mysql"),
        ("SELECT a << 2, b >> 1 FROM t", "mysql"),
        ("SELECT 'select a b from c' AS s -- select d e from f", "mysql"),
        ("CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END", "mysql"),
        ("EXPLAIN SELECT * FROM t", "mysql"),
        ("SELECT $$it's$$, E'a\\nb', ARRAY[1, 2]", "postgresql"),
        ("SELECT now() - INTERVAL '1 day'", "postgresql"),
        ("SELECT a->'x'->>'y' FROM t", "postgresql"),
        ("SELECT [id] FROM [my table]", "transactsql"),
        ("DECLARE @x INT = 1", "transactsql"),
        ("BEGIN TRANSACTION", "sqlite"),
        ("SELECT * EXCEPT (a) FROM `p.d.t`, UNNEST(x) AS y", "bigquery"),
        ("SELECT * FROM db.sch.t", "snowflake"),
    ],
)
def test_more_sql(text: str, dialect: str) -> None:
    assert is_sql(text, dialect)


def test_an_explained_statement_must_be_one() -> None:
    assert not is_sql("EXPLAIN SELECT * FORM t")


def test_the_limits_are_errors() -> None:
    assert is_sql("SELECT '" + "x" * (MAX_SQL_CHARS - 20) + "'")
    with pytest.raises(CannotRunError, match="characters"):
        is_sql("SELECT '" + "x" * MAX_SQL_CHARS + "'")
    with pytest.raises(CannotRunError, match="brackets"):
        is_sql("SELECT " + "(" * 61)
    with pytest.raises(CannotRunError, match="deeply"):
        is_sql("SELECT " + "- " * 2000 + "1")
    with pytest.raises(CannotRunError, match="too many ways"):
        is_sql("SELECT " + "STRUCT( " * 30, "hive")
