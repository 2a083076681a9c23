"""Which tables and columns statements touch, as node-sql-parser writes them: `select::null::orders`, `update::t::a`.

A table is `action::schema::table`, with `null` for a schema that is not named; a column is `action::table::column`,
with `null` for a table that is not named and `(.*)` for all columns. Aliases stand for their tables. A name that WITH
defines is no table where it is defined. Unlike node-sql-parser, statements whose tables are not told apart are listed
too, so that an allow-list does not let them pass unseen: `DROP VIEW v` is `drop::null::v`, `CALL p()` is
`call::null::null`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from llmgate.score.sqlnodes import argument

if TYPE_CHECKING:
    from llmgate.score.sqldialect import SqlDialect
    from llmgate.score.sqlsyntax import Statement

__all__ = ["columns_of", "tables_of"]

_NONE: Final = "null"
_ALL: Final = "(.*)"
_TOUCH_NOTHING: Final = frozenset("SET BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE UNLOCK PRINT GO DECLARE".split())
_TOUCH_NO_ROW: Final = _TOUCH_NOTHING | frozenset(("SHOW", "USE", "DESCRIBE", "DESC"))


def tables_of(statements: Sequence[Statement], dialect: SqlDialect) -> list[str]:
    """The tables of all statements, each once, in order."""
    return list(dict.fromkeys(name for one in statements for name in _tables(one, dialect)))


def columns_of(statements: Sequence[Statement], dialect: SqlDialect) -> list[str]:
    """The columns of all statements, each once, in order."""
    return list(dict.fromkeys(name for one in statements for name in _columns(one, dialect)))


def _tables(statement: Statement, dialect: SqlDialect) -> Iterator[str]:
    tree = statement.tree
    if tree is None:
        verb = _verb(statement)
        if verb not in _TOUCH_NOTHING:
            for parts in statement.named or ((_NONE,),):
                yield f"{verb.lower()}::{'.'.join(parts[:-1]) or _NONE}::{parts[-1]}"
        return
    targets = _delete_targets(tree)
    found = False
    for table in tree.find_all(exp.Table):
        parts = _parts(table)
        if not parts or _defined_by_with(table) or (dialect.mysql_family and parts == ["dual"]):
            continue
        if isinstance(table.parent, exp.Delete) and table.arg_key == "tables":
            continue
        found = True
        yield f"{_action(table, targets)}::{'.'.join(parts[:-1]) or _NONE}::{parts[-1]}"
    if not found and isinstance(tree, exp.Create | exp.Drop | exp.Alter | exp.TruncateTable):
        yield f"{_verb(statement).lower()}::{_NONE}::{_NONE}"


def _verb(statement: Statement) -> str:
    return statement.shape.split(" ", 1)[0]


def _parts(table: exp.Expression) -> list[str]:
    """Server, database, schema and name, as far as they are there; nothing for a function that gives a table."""
    last = table.this
    if not isinstance(last, exp.Identifier | exp.Dot):
        return []
    named = [table.args.get("catalog"), table.args.get("db"), last]
    return [str(one.name) for part in named if part for one in (part.find_all(exp.Identifier, bfs=False))]


def _action(table: exp.Expression, targets: frozenset[str]) -> str:
    node = table
    while isinstance(node.parent, exp.Schema | exp.Subquery | exp.Index) and node.arg_key in {"this", "table"}:
        node = node.parent
    parent = node.parent
    for kind, action in _TARGETS.items():
        if isinstance(parent, kind) and node.arg_key in {"this", "tables", "expressions"}:
            return action if action != "delete" or not targets else _deleted(table, targets)
    if targets and table.find_ancestor(exp.Delete, exp.Select, exp.Subquery) is not None:
        owner = table.find_ancestor(exp.Delete, exp.Select, exp.Subquery)
        return _deleted(table, targets) if isinstance(owner, exp.Delete) else "select"
    return "select"


_TARGETS: Final[dict[type[exp.Expression], str]] = {
    exp.Insert: "insert",
    exp.Update: "update",
    exp.Delete: "delete",
    exp.Merge: "merge",
    exp.Create: "create",
    exp.Drop: "drop",
    exp.Alter: "alter",
    exp.AlterRename: "alter",
    exp.TruncateTable: "truncate",
    exp.Into: "insert",
}


def _delete_targets(tree: exp.Expression) -> frozenset[str]:
    """The names between DELETE and FROM, which say which of the tables after it lose rows."""
    named = tree.args.get("tables") if isinstance(tree, exp.Delete) else None
    return frozenset(table.name.casefold() for table in named or ())


def _deleted(table: exp.Expression, targets: frozenset[str]) -> str:
    return "delete" if {table.alias_or_name.casefold(), table.name.casefold()} & targets else "select"


def _defined_by_with(table: exp.Expression) -> bool:
    """Whether the table is a name of a WITH that is in scope: not yet in its own query unless it is recursive."""
    if table.args.get("db") or isinstance(table.parent, exp.Schema) or not isinstance(table.this, exp.Identifier):
        return False
    if isinstance(table.parent, tuple(_TARGETS)) and table.arg_key in {"this", "tables"}:
        return False
    node: exp.Expression | None = table
    inside: exp.Expression | None = None
    while node is not None:
        if isinstance(node, exp.CTE):
            inside = node
        scope = node if isinstance(node, exp.With) else argument(node, "with")
        if isinstance(scope, exp.With) and _names_it(scope, inside if inside and inside.parent is scope else None, table):
            return True
        node = node.parent
    return False


def _names_it(scope: exp.With, inside: exp.Expression | None, table: exp.Expression) -> bool:
    for query in scope.expressions:
        if query is inside and not scope.args.get("recursive"):
            return False
        alias = query.args.get("alias")
        if isinstance(alias, exp.TableAlias) and _same_name(alias.this, table.this):
            return True
    return False


def _same_name(left: exp.Expression, right: exp.Expression) -> bool:
    if left.args.get("quoted") or right.args.get("quoted"):
        return str(left.name) == str(right.name)
    return str(left.name).casefold() == str(right.name).casefold()


def _columns(statement: Statement, dialect: SqlDialect) -> Iterator[str]:
    tree = statement.tree
    if tree is None:
        verb = _verb(statement)
        if verb not in _TOUCH_NO_ROW:
            yield f"{verb.lower()}::{_NONE}::{_ALL}"
        return
    aliases = _aliases(tree)
    for node in tree.walk():
        if isinstance(node, exp.Column):
            yield from _column(node, aliases, dialect)
        elif isinstance(node, exp.Star) and isinstance(node.parent, exp.Select | exp.Returning):
            yield f"select::{_NONE}::{_ALL}"
        elif isinstance(node, exp.Literal) and node.is_string and _is_projection(node):
            # node-sql-parser takes it for a column, which in double quotes it may be.
            yield f"select::{_NONE}::{node.name}"
        elif isinstance(node, exp.Insert) and not isinstance(node.parent, exp.When):
            yield from _inserted(node)
        elif isinstance(node, exp.Delete):
            for table in node.args.get("tables") or [node.this]:
                yield from (f"delete::{name}::{_ALL}" for name in _resolved(table.name, aliases))
        elif isinstance(node, exp.ColumnDef) and isinstance(node.find_ancestor(exp.Create, exp.Alter), exp.Expression):
            yield from (f"{action}::{_NONE}::{node.name}" for action in ("select", "create"))


def _aliases(tree: exp.Expression) -> dict[str, list[str]]:
    """Tables by alias; an alias that is used twice stands for both."""
    found: dict[str, list[str]] = {}
    for table in tree.find_all(exp.Table):
        if table.alias and table.name:
            found.setdefault(table.alias.casefold(), []).append(table.name)
    return found


def _resolved(name: str, aliases: dict[str, list[str]]) -> list[str]:
    return aliases.get(name.casefold(), [name])


def _column(column: exp.Expression, aliases: dict[str, list[str]], dialect: SqlDialect) -> Iterator[str]:
    name = _ALL if isinstance(column.this, exp.Star) else column.name
    action = "select"
    update = column.find_ancestor(exp.Update, exp.Select)
    assignment = column.parent.parent if isinstance(column.parent, exp.Tuple) else column.parent
    if isinstance(update, exp.Update) and isinstance(assignment, exp.EQ) and assignment.parent is update:
        left = assignment.this is column or assignment.this is column.parent
        action = "update" if left and assignment.arg_key == "expressions" else action
    qualifiers = [str(part.name) for key in ("catalog", "db") if (part := column.args.get(key))]
    tables = _resolved(column.args["table"].name, aliases) if column.args.get("table") else [_NONE]
    joint = "::" if dialect.mysql_family else "."
    for table in tables:
        yield f"{action}::{joint.join([*qualifiers, table])}::{name}"


def _is_projection(node: exp.Expression) -> bool:
    parent = node.parent
    if isinstance(parent, exp.Alias) and node.arg_key == "this":
        node, parent = parent, parent.parent
    return isinstance(parent, exp.Select) and node.arg_key == "expressions"


def _inserted(insert: exp.Expression) -> Iterator[str]:
    target = insert.this
    table = target.this if isinstance(target, exp.Schema) else target
    columns = target.expressions if isinstance(target, exp.Schema) else []
    for name in [column.name for column in columns] or [_ALL]:
        yield f"insert::{table.name}::{name}"
