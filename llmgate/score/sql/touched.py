"""Which tables and columns statements touch, as node-sql-parser writes them: `select::null::orders`, `update::t::a`.

A table is `action::schema::table`, with `null` for a schema that is not named; a column is `action::table::column`,
with `null` for a table that is not named and `(.*)` for all columns. Aliases stand for their tables. A name that WITH
defines is no table where it is defined. Unlike node-sql-parser, statements whose tables are not told apart are listed
too, so that an allow-list does not let them pass unseen: `DROP VIEW v` is `drop::null::v`, `CALL p()` is
`call::null::null`, `LOCK TABLES t READ` is `lock::null::null`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlglot import exp

from llmgate.score.sql.rules import argument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmgate.score.sql.dialects import SqlDialect
    from llmgate.score.sql.parse import Statement

__all__ = ["columns_of", "tables_of"]

_NONE: Final = "null"
_ALL: Final = "(.*)"
_TOUCH_NOTHING: Final = frozenset(
    ("SET", "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "UNLOCK", "PRINT", "GO")
) | {"DECLARE"}
_TOUCH_NO_ROW: Final = _TOUCH_NOTHING | {"SHOW", "USE", "DESCRIBE", "DESC"}
_TOUCHING: Final = frozenset(
    ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "DROP", "ALTER", "TRUNCATE", "EXEC", "EXECUTE", "CALL")
) | {"INTO"}

_NAMED_CHANGES = (exp.ColumnDef, exp.Drop, exp.RenameColumn)
"""What ALTER TABLE does to columns that the syntax tree names as such."""


def tables_of(statements: Sequence[Statement], dialect: SqlDialect) -> list[str]:
    """The tables of all statements, each once, in order."""
    return list(dict.fromkeys(name for statement in statements for name in _tables(statement, dialect)))


def columns_of(statements: Sequence[Statement], dialect: SqlDialect) -> list[str]:
    """The columns of all statements, each once, in order."""
    return list(dict.fromkeys(name for statement in statements for name in _columns(statement, dialect)))


def _tables(statement: Statement, dialect: SqlDialect) -> Iterator[str]:
    tree = statement.tree
    if tree is None:
        if not _harmless(statement, _TOUCH_NOTHING):
            yield _name(statement.verb, (_NONE,))
        return
    targets = _delete_targets(tree)
    found = False
    for table, defined in _tables_in_scope(tree):
        parts = _parts(table)
        action = _target(table)
        if not parts or (defined and action is None) or (dialect.mysql_family and parts == ("dual",)):
            continue
        if isinstance(table.parent, exp.Delete) and table.arg_key == "tables":
            continue
        found = True
        if targets:
            action = "delete" if {table.alias_or_name.casefold(), parts[-1].casefold()} & targets else "select"
        yield _name(action or "select", parts)
    if not found and isinstance(tree, exp.Create | exp.Drop | exp.Alter | exp.TruncateTable):
        yield _name(statement.verb, (_NONE,))


def _harmless(statement: Statement, verbs: frozenset[str]) -> bool:
    """Whether a statement that was not parsed touches nothing, as far as its words tell."""
    words = statement.shape.split(" ")
    return words[0] in verbs and not _TOUCHING.intersection(words[2:])  # the second word is CREATE in SHOW CREATE


def _name(action: str, parts: Sequence[str]) -> str:
    return f"{action}::{'.'.join(parts[:-1]) or _NONE}::{parts[-1]}"


def _parts(table: exp.Expression) -> tuple[str, ...]:
    """Server, database, schema and name, as far as they are there; nothing for a function that gives a table."""
    last = table.this
    if not isinstance(last, exp.Identifier | exp.Dot):
        return ()
    named = [part for key in ("catalog", "db") if (part := table.args.get(key))]
    parts = tuple(
        str(identifier.name) for part in (*named, last) for identifier in part.find_all(exp.Identifier, bfs=False)
    )
    # BigQuery's `project.set.table` in one pair of quotes is one name to node-sql-parser.
    return (".".join(parts),) if table.meta.get("quoted_table") else parts


_TARGETS: Final[tuple[tuple[type[exp.Expression], str], ...]] = (
    (exp.Insert, "insert"),
    (exp.Update, "update"),
    (exp.Delete, "delete"),
    (exp.Merge, "merge"),
    (exp.Create, "create"),
    (exp.Drop, "drop"),
    (exp.Alter, "alter"),
    (exp.AlterRename, "alter"),
    (exp.TruncateTable, "truncate"),
    (exp.Into, "insert"),
)
_TARGET_KEYS: Final = frozenset(("this", "tables", "expressions", "cluster"))


def _target(table: exp.Expression) -> str | None:
    """What a statement does to a table, None if it only reads it."""
    node = table
    while isinstance(node.parent, exp.Schema | exp.Subquery | exp.Index | exp.OnProperty):
        node = node.parent
    if node.arg_key not in _TARGET_KEYS:
        return None
    return next((action for kind, action in _TARGETS if isinstance(node.parent, kind)), None)


def _delete_targets(tree: exp.Expression) -> frozenset[str]:
    """The names between DELETE and FROM, which say which of the tables after it lose rows."""
    named = tree.args.get("tables") if isinstance(tree, exp.Delete) else None
    return frozenset(table.name.casefold() for table in named or ())


def _columns(statement: Statement, dialect: SqlDialect) -> Iterator[str]:
    tree = statement.tree
    if tree is None:
        if not _harmless(statement, _TOUCH_NO_ROW):
            yield f"{statement.verb}::{_NONE}::{_ALL}"
        return
    aliases = _aliases(tree)
    for node in tree.walk():
        if isinstance(node, exp.Column):
            yield from _column(node, aliases, dialect)
        elif isinstance(node, exp.Insert | exp.Delete):
            yield from _rows(node, aliases)
        elif isinstance(node, exp.ColumnDef) and isinstance(node.parent, exp.Schema | exp.Alter):
            yield from (f"{action}::{_NONE}::{node.name}" for action in ("select", "create"))
        elif isinstance(node, exp.Alter) and not isinstance((node.args.get("actions") or [None])[0], _NAMED_CHANGES):
            yield f"alter::{_NONE}::{_ALL}"
        elif name := _projected(node):
            yield f"select::{_NONE}::{name}"


def _aliases(tree: exp.Expression) -> dict[str, list[str]]:
    """Tables by alias; an alias that is used twice stands for both."""
    found: dict[str, list[str]] = {}
    for table in tree.find_all(exp.Table):
        if table.alias and table.name:
            found.setdefault(table.alias.casefold(), []).append(table.name)
    return found


def _column(column: exp.Column, aliases: Mapping[str, list[str]], dialect: SqlDialect) -> Iterator[str]:
    action = "select"
    side: exp.Expr = column.parent if isinstance(column.parent, exp.Tuple) else column
    assignment = side.parent
    if isinstance(assignment, exp.EQ) and side.arg_key == "this" and assignment.arg_key == "expressions":
        action = "update" if isinstance(assignment.parent, exp.Update | exp.OnConflict) else action
    name = _ALL if isinstance(column.this, exp.Star) else column.name
    outer = [str(part.name) for key in ("catalog", "db") if (part := column.args.get(key))]
    joint = "::" if dialect.mysql_family else "."
    for table in aliases.get(column.table.casefold(), [column.table]) if column.table else [_NONE]:
        yield f"{action}::{joint.join([*outer, table])}::{name}"


def _rows(node: exp.Expression, aliases: Mapping[str, list[str]]) -> Iterator[str]:
    """The columns that INSERT names, all columns where it names none, and where DELETE removes rows."""
    if isinstance(node, exp.Delete):
        for table in node.args.get("tables") or [node.this]:
            yield from (f"delete::{name}::{_ALL}" for name in aliases.get(table.name.casefold(), [table.name]))
        return
    if isinstance(node.parent, exp.When):
        return
    target = node.this
    columns = target.expressions if isinstance(target, exp.Schema) else []
    table = target.this if isinstance(target, exp.Schema) else target
    for name in [column.name for column in columns] or [_ALL]:
        yield f"insert::{table.name}::{name}"


def _projected(node: exp.Expr) -> str | None:
    """The star of SELECT *, and a text in its place, which node-sql-parser takes for a column in double quotes."""
    parent, key = node.parent, node.arg_key
    if isinstance(node, exp.Star):
        return _ALL if isinstance(parent, exp.Select | exp.Returning) else None
    if not isinstance(node, exp.Literal) or not node.is_string:
        return None
    if isinstance(parent, exp.Alias) and key == "this":
        key, parent = parent.arg_key, parent.parent
    return str(node.name) if isinstance(parent, exp.Select) and key == "expressions" else None


_Scope = tuple[str, "_Scope"] | None
"""A name that a WITH defines, and the names that could be seen before it."""


def _tables_in_scope(tree: exp.Expression) -> Iterator[tuple[exp.Table, bool]]:
    """All tables, with whether a WITH that is in scope defines the name; one walk, since trees may be deep."""
    pending: list[tuple[exp.Expr, _Scope]] = [(tree, None)]
    while pending:
        node, scope = pending.pop()
        if isinstance(node, exp.Table):
            bare = isinstance(node.this, exp.Identifier) and not node.args.get("db")
            yield node, bare and _defines(scope, _key(node.this))
        children: list[tuple[exp.Expr, _Scope]] = []
        defining = argument(node, "with")
        if isinstance(defining, exp.With):
            for query in defining.expressions:
                children.append((query, scope))
                alias = query.args.get("alias")
                if isinstance(alias, exp.TableAlias) and isinstance(alias.this, exp.Identifier):
                    scope = (_key(alias.this), scope)
            if defining.args.get("recursive"):
                children = [(query, scope) for query, _ in children]
        children += [(child, scope) for child in node.iter_expressions() if child is not defining]
        pending.extend(reversed(children))


def _key(name: exp.Expression) -> str:
    """A name as it is compared: its case counts only in quotes."""
    return str(name.name) if name.args.get("quoted") else str(name.name).casefold()


def _defines(scope: _Scope, key: str) -> bool:
    while scope is not None:
        name, scope = scope
        if name == key:
            return True
    return False
