"""What a syntax tree may not hold: parts that are missing, names that are reserved, constructs of other dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from llmgate.score.sqlfeatures import ARGUMENTS, NODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.score.sqldialect import SqlDialect

__all__ = ["argument", "node_problem"]

_STATEMENTS = (
    *(exp.Select, exp.SetOperation, exp.Subquery, exp.Values, exp.Insert, exp.Update, exp.Delete, exp.Merge),
    *(exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.MultitableInserts),
)
_PARTS = {
    owner: tuple((part, having) for (other, part), having in ARGUMENTS.items() if other == owner)
    for owner, _ in ARGUMENTS
}
_NAMING = (exp.Column, exp.Table, exp.TableAlias, exp.Alias, exp.ColumnDef, exp.Schema, exp.CTE)


def argument(node: exp.Expr, name: str) -> object:
    """A part of a node; sqlglot has added an underscore to those that are Python's keywords."""
    return node.args.get(name) or node.args.get(f"{name}_")


def node_problem(tree: exp.Expr, dialect: SqlDialect) -> str | None:
    """What is wrong with a statement in this dialect, None if nothing is."""
    if not isinstance(tree, _STATEMENTS):
        return "this is an expression, not a statement"
    for node in tree.walk():
        name = type(node).__name__
        if name in NODES and dialect.lacks(NODES[name]):
            return f"{dialect.name} has no {name}"
        for part, having in _PARTS.get(name, ()):
            if dialect.lacks(having) and argument(node, part):
                return f"{dialect.name} has no {part} in {name}"
        problem = _PROBLEMS.get(type(node))
        if problem is not None and (found := problem(node, dialect)):
            return found
    return None


def _identifier(node: exp.Expr, dialect: SqlDialect) -> str | None:
    parent = node.parent
    if node.args.get("quoted") or not isinstance(parent, _NAMING) or str(node.this).upper() not in dialect.reserved:
        return None
    qualified = isinstance(parent, exp.Column) and parent.args.get("table") and node.arg_key == "this"
    qualified = qualified or (isinstance(parent, exp.Table) and parent.args.get("db") and node.arg_key == "this")
    if qualified or (dialect.name == "snowflake" and isinstance(parent, exp.Alias)):
        return None
    return f"{str(node.this)[:40]!r} is a reserved word"


def _unread(node: exp.Expr, _: SqlDialect) -> str:
    return f"{str(node.this)[:40]} is followed by what is no SQL"


def _select(node: exp.Expr, dialect: SqlDialect) -> str | None:
    if not node.expressions:
        return "nothing is selected"
    if node.args.get("offset") and not node.args.get("limit") and dialect.lacks(_OFFSET_ALONE):
        return f"{dialect.name} has no OFFSET without LIMIT"
    return None


_OFFSET_ALONE = frozenset({"postgresql", "transactsql", "snowflake", "mariadb"})


def _alias(node: exp.Expr, _: SqlDialect) -> str | None:
    what = node.this
    return "a star has no alias" if isinstance(what, exp.Star) or getattr(what, "is_star", False) else None


def _in(node: exp.Expr, _: SqlDialect) -> str | None:
    given = any(argument(node, part) for part in ("expressions", "query", "unnest", "field"))
    return None if given else "the list after IN is empty"


def _limit(node: exp.Expr, _: SqlDialect) -> str | None:
    count = node.args.get("expression")
    named = isinstance(count, exp.Column) or (isinstance(count, exp.Literal) and count.is_string)
    return "a limit is a number" if named else None


def _join(node: exp.Expr, _: SqlDialect) -> str | None:
    side, kind = str(node.args.get("side") or ""), str(node.args.get("kind") or "")
    if (kind == "OUTER" and not side) or (side in {"LEFT", "RIGHT", "FULL"} and kind in {"INNER", "CROSS"}):
        return f"there is no {f'{side} {kind}'.strip()} JOIN"
    return None


def _insert(node: exp.Expr, dialect: SqlDialect) -> str | None:
    if isinstance(node.parent, exp.When):
        return None
    target, source = node.this, node.args.get("expression")
    columns: list[exp.Expr] = []
    if isinstance(target, exp.Schema):
        columns, target = target.expressions, target.this
    if not isinstance(target, exp.Table | exp.Directory) or not all(isinstance(c, exp.Identifier) for c in columns):
        return "INSERT names a table and columns"
    if source is None:
        return None if node.args.get("default") else "nothing is inserted"
    if not isinstance(source, exp.Values):
        return None
    alias = source.args.get("alias")
    if alias is not None and not alias.this:
        return "a comma is missing between rows"
    return _rows(source, len(columns), dialect)


def _rows(values: exp.Expr, columns: int, dialect: SqlDialect) -> str | None:
    for row in values.expressions:
        cells = row.expressions if isinstance(row, exp.Tuple) else [row]
        if not cells and (columns or not dialect.mysql_family):
            return "a row is empty"
        if columns and len(cells) != columns:
            return f"a row has {len(cells)} values for {columns} columns"
    return None


def _update(node: exp.Expr, _: SqlDialect) -> str | None:
    if not node.expressions:
        return "nothing is set"
    for one in node.expressions:
        if not isinstance(one, exp.EQ | exp.PropertyEQ) or isinstance(one.this, exp.Literal | exp.Boolean | exp.Null):
            return "SET takes assignments, with commas between them"
        if isinstance(one.expression, exp.And):
            return "assignments are joined by commas, not by AND"
    return None


def _conflict(node: exp.Expr, dialect: SqlDialect) -> str | None:
    missing = not node.args.get("duplicate") and dialect.lacks(frozenset({"postgresql", "sqlite"}))
    return f"{dialect.name} has no ON CONFLICT" if missing else None


def _create(node: exp.Expr, dialect: SqlDialect) -> str | None:
    kind = str(node.args.get("kind") or "").upper()
    if kind == "VIEW" and node.args.get("expression") is None:
        return "a view has no query"
    if kind == "TABLE":
        return _create_table(node, dialect)
    index = node.this
    if kind == "INDEX" and isinstance(index, exp.Index):
        params = index.args.get("params")
        if not index.args.get("table") or params is None or not params.args.get("columns"):
            return "an index names a table and columns"
        if not index.this and dialect.lacks(frozenset({"postgresql"})):
            return "an index has a name"
    return None


def _create_table(node: exp.Expr, dialect: SqlDialect) -> str | None:
    schema = node.this
    if not isinstance(schema, exp.Schema):
        return None if node.args.get("expression") or node.args.get("properties") else "a table has no columns"
    if not schema.expressions and dialect.name != "postgresql":
        return "a table has no columns"
    bare = any(isinstance(one, exp.Identifier) for one in schema.expressions)
    return "a column has no type" if bare and not node.args.get("expression") and dialect.name != "sqlite" else None


def _drop(node: exp.Expr, _: SqlDialect) -> str | None:
    alone = node.parent is None and str(node.args.get("kind") or "").upper() in {"COLUMN", "CONSTRAINT"}
    return "only ALTER TABLE drops columns" if alone else None


_PROBLEMS: dict[type[exp.Expr], Callable[[exp.Expr, SqlDialect], str | None]] = {
    exp.Identifier: _identifier,
    exp.Command: _unread,
    exp.Select: _select,
    exp.Alias: _alias,
    exp.In: _in,
    exp.Limit: _limit,
    exp.Join: _join,
    exp.Insert: _insert,
    exp.Update: _update,
    exp.OnConflict: _conflict,
    exp.Create: _create,
    exp.Drop: _drop,
}
