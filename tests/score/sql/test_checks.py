"""The checks is-sql and contains-sql: their configuration, allow-lists, code blocks, and hostile outputs."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import HOSTILE

from llmgate import evaluate_assert

if TYPE_CHECKING:
    from llmgate import Evaluation

ORDERS = ["select::null::orders"]


def check(output: object, value: object = None, *, type_: str = "is-sql") -> Evaluation:
    spec: dict[str, Any] = {"type": type_} if value is None else {"type": type_, "value": value}
    return evaluate_assert(spec, output)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("MySQL", "must be a mapping"),
        ("{{ x }}", "must be a mapping"),
        ([1], "must be a mapping"),
        (False, "must be a mapping"),
        (0, "must be a mapping"),
        ({"databasetype": "MySQL"}, "unknown key 'databasetype'"),
        ({"databaseType": "Oracle"}, "unknown databaseType 'Oracle'"),
        ({"databaseType": "postgres"}, "postgresql"),
        ({"databaseType": None}, "databaseType must be a text"),
        ({"databaseType": 5}, "databaseType must be a text"),
        ({"allowedTables": "orders"}, "allowedTables must be a list"),
        ({"allowedTables": None}, "allowedTables must be a list"),
        ({"allowedColumns": [1]}, "allowedColumns must be a list"),
        ({"allowedTables": [""]}, "an item of allowedTables is empty"),
        ({"allowedTables": ["select::(null::orders"]}, "does not compile"),
    ],
)
@pytest.mark.parametrize("type_", ["is-sql", "not-is-sql", "contains-sql", "not-contains-sql"])
@pytest.mark.parametrize("output", ["SELECT 1", "no SQL", ""])
def test_a_broken_rule_is_an_error_whatever_the_output(value: object, problem: str, type_: str, output: str) -> None:
    result = evaluate_assert({"type": type_, "value": value}, output)
    assert result.outcome == "error"
    assert problem in result.reason


def test_a_written_null_is_no_configuration() -> None:
    assert evaluate_assert({"type": "is-sql", "value": None}, "SELECT 1").outcome == "error"


@pytest.mark.parametrize("value", [None, "", {}, {"databaseType": ""}, {"databaseType": "mysql"}])
def test_without_a_dialect_it_is_mysql(value: object) -> None:
    assert check("SELECT `a` FROM t", value).outcome == "pass"
    assert check("SELECT '5'::int", value).outcome == "fail"


@pytest.mark.parametrize("name", ["Athena", "BigQuery", "DB2", "FlinkSQL", "Hive", "MariaDB", "MySQL", "NoQL"])
@pytest.mark.parametrize("output", ["SELECT a FROM t WHERE b = 1", "select count(*) from t group by a;"])
def test_every_dialect_reads_plain_sql(name: str, output: str) -> None:
    assert check(output, {"databaseType": name}).outcome == "pass"
    assert check(f"Here it is: {output}", {"databaseType": name}).outcome == "fail"


def test_an_entry_is_a_pattern_for_the_whole_name_in_any_case() -> None:
    rule = {"allowedTables": ["select::null::orders?"]}
    assert check("SELECT id FROM ORDERS", rule).outcome == "pass"
    assert check("SELECT id FROM my_orders", rule).outcome == "fail"
    assert check("SELECT id FROM orders2", rule).outcome == "fail"
    assert check("SELECT id FROM order\u017f", rule).outcome == "fail"  # a long s is not an s


@pytest.mark.parametrize(
    "output",
    [
        "SELECT id FROM orders; DROP TABLE orders",
        "SELECT id FROM orders WHERE id IN (SELECT id FROM secrets)",
        "SELECT id, (SELECT MAX(x) FROM secrets) AS x FROM orders",
        "WITH orders AS (SELECT 1) SELECT * FROM orders JOIN secrets USING (id)",
        "WITH secrets AS (SELECT * FROM secrets) SELECT * FROM secrets",
        "WITH x AS (SELECT 1) SELECT * FROM x; SELECT * FROM x",
        "SET @x = (SELECT id FROM secrets)",
        "CALL steal()",
        "DROP DATABASE shop",
        "DROP VIEW v",
        "GRANT SELECT ON orders TO eve",
        "RENAME TABLE secrets TO orders",
        "EXPLAIN SELECT * FROM secrets",
        "SELECT * FROM shop.orders",
        "SELECT id INTO OUTFILE '/tmp/x' FROM secrets",
    ],
)
def test_nothing_passes_an_allow_list_unseen(output: str) -> None:
    assert check(output, {"allowedTables": ORDERS}).outcome != "pass"


def test_an_empty_list_allows_nothing() -> None:
    assert check("SELECT id FROM orders", {"allowedTables": []}).outcome == "fail"
    assert check("SELECT id FROM orders", {"allowedColumns": []}).outcome == "fail"
    assert check("SELECT 1", {"allowedTables": [], "allowedColumns": []}).outcome == "pass"


def test_a_column_of_a_named_table_may_stand_without_it() -> None:
    rule = {"allowedColumns": ["select::orders::id"]}
    assert check("SELECT id FROM orders", rule).outcome == "pass"
    assert check("SELECT o.id FROM orders o", rule).outcome == "pass"
    assert check("SELECT u.id FROM users u", rule).outcome == "fail"


@pytest.mark.parametrize(
    ("output", "outcome"),
    [
        ("~~~~ SQL\nSELECT 1\n~~~~~", "pass"),
        ("```sql\nSELECT 1\n``` done", "fail"),
        ("    ```sql\nSELECT 1\n```", "fail"),
        ("````\n```sql\nSELECT 1\n```\n````", "fail"),
        ("```\n\n```\nSELECT 1", "fail"),
        ("- ```sql\n  SELECT 1\n  ```", "pass"),
    ],
)
def test_code_blocks(output: str, outcome: str) -> None:
    assert check(output, type_="contains-sql").outcome == outcome


LONG = 1_000_000


@pytest.mark.parametrize(
    "output",
    [
        "(" * LONG,
        "SELECT " + "(" * 70 + "1" + ")" * 70,
        "SELECT " + "NOT " * 5000 + "1",
        "SELECT " + "STRUCT( " * 40,
        "SELECT " + "JOIN x " * 200,
        "SELECT 1; " * (LONG // 10),
        "```sql\nSELECT x x x x\n```\n" * (LONG // 26),
        "GRANT " + "a ON b TO " * 4000,
    ],
)
@pytest.mark.parametrize("name", ["MySQL", "Hive"])
@pytest.mark.cpu_seconds(30)
def test_what_cannot_be_read_in_time_is_an_error_or_fails(output: str, name: str) -> None:
    for type_ in ("is-sql", "contains-sql"):
        assert check(output, {"databaseType": name, "allowedTables": []}, type_=type_).outcome in {"error", "fail"}


def test_what_is_too_long_is_an_error_also_negated() -> None:
    assert check("SELECT 1" + " " * 5 + ", 1" * 50_000, type_="not-is-sql").outcome == "error"


@pytest.mark.parametrize("output", list(HOSTILE.values()), ids=list(HOSTILE))
def test_hostile_text_is_no_sql(output: str) -> None:
    assert check(output).outcome == "fail"
    assert check(f"SELECT ' {output}", type_="contains-sql").outcome == check(f"SELECT ' {output}").outcome


WORDS = st.lists(
    st.sampled_from(
        [
            "SELECT",
            "FROM",
            "WHERE",
            "(",
            ")",
            ",",
            ".",
            "a",
            "t",
            "'x'",
            "1",
            "=",
            "*",
            "AND",
            "IN",
            "AS",
            "JOIN",
            "ON",
            "GROUP",
            "ORDER",
            "BY",
            "LIMIT",
            "UNION",
            "INSERT",
            "INTO",
            "VALUES",
            "SET",
            "UPDATE",
            "DELETE",
            "CREATE",
            "TABLE",
            "DROP",
            "ALTER",
            "WITH",
            "CASE",
            "WHEN",
            "END",
            "::",
            "[",
            "]",
            "{",
            "@",
            ";",
            "�",
            "\x00",
            "\u202e",
            "--",
            "/*",
            '"',
            "`",
            "$$",
        ]
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(words=WORDS, name=st.sampled_from(["MySQL", "PostgreSQL", "TransactSQL", "BigQuery", "Snowflake", "Sqlite"]))
def test_no_text_raises(words: list[str], name: str) -> None:
    value = {"databaseType": name, "allowedTables": ["a::b::c"], "allowedColumns": ["a::b::c"]}
    for type_ in ("is-sql", "contains-sql"):
        result = check(" ".join(words), value, type_=type_)
        assert "internal error" not in result.reason
        assert result.score in {None, 0.0, 1.0}
        assert (result.score is None) == (result.outcome == "error")


def test_sqlglot_is_silent_here_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    sqlglot = pytest.importorskip("sqlglot")
    with caplog.at_level(logging.DEBUG):
        assert check("ALTER TABLE t FOO BAR").outcome == "fail"
        assert not caplog.records
        sqlglot.parse("ALTER TABLE t FOO BAR")
        assert caplog.records


def test_sqlglot_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, llmgate; llmgate.evaluate_assert({'type': 'contains', 'value': 'a'}, 'a'); print('sqlglot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
