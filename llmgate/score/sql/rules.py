"""What may not stand in a statement although sqlglot reads it.

Among the words: clauses out of order or empty, commas beside nothing. In the syntax tree: parts that are missing, names
that are reserved, constructs of other dialects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlglot import exp

from llmgate.score.sql.dialects import ARGUMENTS, NODES, TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmgate.score.sql.dialects import SqlDialect

__all__ = ["argument", "clause_problem", "node_problem"]

_CLAUSES: Final = ("FROM", "WHERE", "GROUP BY", "HAVING", "QUALIFY", "ORDER BY", "LIMIT")
_RANKS: Final = {word: rank for rank, word in enumerate(_CLAUSES, start=1)}
_STARTS: Final = frozenset(("SELECT", "SET", "DELETE", "UNION", "INTERSECT", "EXCEPT", "MINUS", "CONFLICT"))
"""After these, any clause may follow."""
_OPERATORS: Final = frozenset(("/", "%", "=", "<", ">", "<=", ">=", "<>", "!=", "||", "&&", "::"))
_WORDS_THAT_WANT: Final = """
    SELECT FROM WHERE HAVING QUALIFY LIMIT ON AND OR NOT WHEN THEN ELSE SET LIKE BETWEEN JOIN + ,
"""
_WANTS: Final = frozenset(_WORDS_THAT_WANT.split()) | {"GROUP BY", "ORDER BY", "PARTITION BY"} | _OPERATORS
"""What belongs to something that comes next."""
_ENDS: Final = frozenset((*_CLAUSES, "UNION", "INTERSECT", "EXCEPT", ")", "]", ",", "", "THEN", "ELSE", "AND", "OR"))
_NOTHING: Final = _ENDS | _OPERATORS
_BEFORE_A_NAME: Final = frozenset((*_CLAUSES, "DEFAULT", "SELECT", ",", "(", "AND", "OR", "NOT", "=")) - {"FROM"}
"""Before VALUES, what shows that no rows follow but a column of that name."""


def clause_problem(words: Sequence[str], *, comma_ends: bool) -> str | None:
    """What is out of place among a statement's words, spelt in upper case; None if nothing is.

    Args:
        words: Tokens; several words that make one token, such as `GROUP BY`, are one word here.
        comma_ends: Whether a list of columns may end with a comma.
    """
    ranks: list[int | None] = [None]
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        if before == "." or (comma_ends and (word, after) == (",", "FROM")):
            continue
        problem = _neighbours(before, word, after)
        if word == "(":
            ranks.append(None)
        elif word == ")":
            ranks.pop()
            problem = problem or (None if ranks else "a closing bracket is too many")
        elif word in _STARTS:
            ranks[-1] = 0
        elif word in _RANKS and before != "DISTINCT":  # IS DISTINCT FROM
            problem = problem or _order(word, ranks, words[0])
        if problem:
            return problem
    return None


def _order(word: str, ranks: list[int | None], verb: str) -> str | None:
    """What is out of order about a clause, which becomes the last one seen at its open bracket."""
    rank, seen = _RANKS[word], ranks[-1]
    if seen is None:
        alone = len(ranks) == 1 and verb in {"UPDATE", "WITH"}
        return f"{word} stands before the statement that it belongs to" if alone else None
    ranks[-1] = rank
    return f"{word} is out of place" if rank < seen or (word == "FROM" and seen) else None


def _neighbours(before: str, word: str, after: str) -> str | None:
    # Two signs make a shift, and AND in BETWEEN … AND is followed by a value as everywhere.
    if word in _WANTS and after in _NOTHING and not (word == after and word in {"<", ">"}):
        return f"nothing follows {word}"
    if word == "," and before in {"", "(", "SELECT", "FROM"}:
        return "nothing stands before a comma"
    if word in {"FROM", "JOIN"} and after == "SELECT":
        return f"a subquery after {word} needs brackets"
    if word == "AS" and after[:1].isdigit():
        return "a number is no name"
    if word == "VALUES" and before not in _BEFORE_A_NAME and after not in {"(", "ROW"}:
        return "values stand in brackets"
    return None


_STATEMENTS = (
    *(exp.Select, exp.SetOperation, exp.Subquery, exp.Values, exp.Insert, exp.Update, exp.Delete, exp.Merge),
    *(exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.MultitableInserts),
)
_NAMING = (exp.Column, exp.Table, exp.TableAlias, exp.Alias, exp.ColumnDef, exp.Schema, exp.CTE)


def argument(node: exp.Expr, name: str) -> object:
    """A part of a node; sqlglot has added an underscore to those that are Python's keywords."""
    return node.args.get(name) or node.args.get(f"{name}_")


def node_problem(tree: exp.Expr, dialect: SqlDialect) -> str | None:
    """What is wrong with a statement in this dialect, None if nothing is."""
    if not isinstance(tree, _STATEMENTS):
        return "this is an expression, not a statement"
    for node in tree.walk():
        name = "OnDuplicate" if node.args.get("duplicate") else type(node).__name__
        if name in NODES and dialect.lacks(NODES[name]):
            return f"{dialect.name} has no {name}"
        for (owner, part), having in ARGUMENTS.items():
            if owner == name and dialect.lacks(having) and argument(node, part):
                return f"{dialect.name} has no {part} in {name}"
        rule = _RULES.get(type(node))
        problem = rule(node, dialect) if rule is not None else None
        if problem:
            return problem
    return None


def _identifier(node: exp.Expr, dialect: SqlDialect) -> str | None:
    parent = node.parent
    if node.args.get("quoted") or not isinstance(parent, _NAMING) or str(node.this).upper() not in dialect.reserved:
        return None
    behind_a_dot = node.arg_key == "this" and (argument(parent, "table") or argument(parent, "db"))
    as_alias = dialect.name == "snowflake" and isinstance(parent, exp.Alias)
    return None if behind_a_dot or as_alias else f"{str(node.this)[:40]!r} is a reserved word"


def _type(node: exp.Expr, dialect: SqlDialect) -> str | None:
    name = str(getattr(node.this, "name", node.this))
    return f"{dialect.name} has no type {name}" if name in TYPES and dialect.lacks(TYPES[name]) else None


def _alias(node: exp.Expr, _: SqlDialect) -> str | None:
    return "a star has no alias" if isinstance(node.this, exp.Star) or getattr(node.this, "is_star", False) else None


def _in(node: exp.Expr, _: SqlDialect) -> str | None:
    given = any(argument(node, part) for part in ("expressions", "query", "unnest", "field"))
    return None if given else "the list after IN is empty"


def _limit(node: exp.Expr, _: SqlDialect) -> str | None:
    count = node.args.get("expression")
    return "a limit is a number" if isinstance(count, exp.Column) or getattr(count, "is_string", False) else None


def _join(node: exp.Expr, _: SqlDialect) -> str | None:
    side, kind = str(node.args.get("side") or ""), str(node.args.get("kind") or "")
    if (kind == "OUTER" and not side) or (side in {"LEFT", "RIGHT", "FULL"} and kind in {"INNER", "CROSS"}):
        return f"there is no {f'{side} {kind}'.strip()} JOIN"
    return None


def _insert(node: exp.Expr, dialect: SqlDialect) -> str | None:
    target, source = node.this, node.args.get("expression")
    if isinstance(node.parent, exp.When):
        return None
    columns, table = (target.expressions, target.this) if isinstance(target, exp.Schema) else ([], target)
    if not getattr(table, "name", "") or not all(isinstance(column, exp.Identifier) for column in columns):
        return "INSERT names a table and columns"
    if source is None and not node.args.get("default"):
        return "nothing is inserted"
    if not isinstance(source, exp.Values):
        return None
    if (alias := source.args.get("alias")) and not alias.this:
        return "a comma is missing between rows"
    sizes = {len(row.expressions) if isinstance(row, exp.Tuple) else 1 for row in source.expressions}
    wrong = sizes != {len(columns)} if columns else 0 in sizes and not dialect.mysql_family
    return "a row has more or fewer values than there are columns" if wrong else None


def _update(node: exp.Expr, _: SqlDialect) -> str | None:
    for assignment in node.expressions:
        if not isinstance(assignment, exp.EQ | exp.PropertyEQ) or isinstance(assignment.expression, exp.And):
            return "SET takes assignments, with commas between them"
    return None if node.expressions else "nothing is set"


def _create(node: exp.Expr, dialect: SqlDialect) -> str | None:
    kind, target, query = str(node.args.get("kind") or "").upper(), node.this, node.args.get("expression")
    if kind == "VIEW":
        return None if query is not None else "a view has no query"
    if kind == "INDEX":
        params = target.args.get("params")
        return None if params is not None and params.args.get("columns") else "an index names a table and columns"
    if kind != "TABLE" or query is not None:
        return None
    columns = target.expressions if isinstance(target, exp.Schema) else []
    empty = isinstance(target, exp.Schema) and dialect.name == "postgresql"
    if not (columns or empty or node.args.get("properties")):
        return "a table has no columns"
    bare = any(isinstance(column, exp.Identifier) for column in columns)
    return "a column has no type" if bare and dialect.name != "sqlite" else None


def _drop(node: exp.Expr, _: SqlDialect) -> str | None:
    alone = node.parent is None and str(node.args.get("kind") or "").upper() in {"COLUMN", "CONSTRAINT"}
    return "only ALTER TABLE drops columns" if alone else None


_RULES: Final[Mapping[type[exp.Expr], Callable[[exp.Expr, SqlDialect], str | None]]] = {
    exp.Identifier: _identifier,
    exp.DataType: _type,
    exp.Command: lambda *_: "a known word is followed by what is no SQL",
    exp.Select: lambda node, _: None if node.expressions else "nothing is selected",
    exp.Alias: _alias,
    exp.In: _in,
    exp.Limit: _limit,
    exp.Join: _join,
    exp.Insert: _insert,
    exp.Update: _update,
    exp.Create: _create,
    exp.Drop: _drop,
}
