"""What may not stand in a statement although sqlglot reads it.

Among the words: clauses out of order or empty, commas beside nothing. In the syntax tree: parts that are missing, names
that are reserved, constructs of other dialects.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from llmgate.score.sql.dialects import CONSTRUCTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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

_IN: Final = ("expressions", "query", "unnest", "field")
_PARTS: Final = frozenset(("COLUMN", "CONSTRAINT"))


def argument(node: exp.Expr, name: str) -> object:
    """A part of a node; sqlglot has added an underscore to those that are Python's keywords."""
    return node.args.get(name) or node.args.get(f"{name}_")


def node_problem(tree: exp.Expr, dialect: SqlDialect) -> str | None:
    """What is wrong with a statement in this dialect, None if nothing is."""
    if not isinstance(tree, _STATEMENTS):
        return "this is an expression, not a statement"
    for node in tree.walk():
        for construct in _constructs(node):
            if construct in CONSTRUCTS and dialect.lacks(CONSTRUCTS[construct]):
                return f"{dialect.name} has no {re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', construct).upper()}"
        problem, is_broken = _RULES.get(type(node), ("", None))
        if is_broken is not None and is_broken(node, dialect):
            return f"{problem}: {node.name[:40]!r}" if node.name else problem
    return None


def _constructs(node: exp.Expr) -> Iterator[str]:
    """A node's class, the arguments that it has, and its type if it is one."""
    name = type(node).__name__
    yield name
    yield from (f"{name}.{part.rstrip('_')}" for part, value in node.args.items() if value)
    if isinstance(node, exp.DataType):
        yield f"{name}.{getattr(node.this, 'name', '')}"


def _is_reserved(node: exp.Expr, dialect: SqlDialect) -> bool:
    parent = node.parent
    if node.args.get("quoted") or not isinstance(parent, _NAMING) or str(node.this).upper() not in dialect.reserved:
        return False
    behind_a_dot = node.arg_key == "this" and (argument(parent, "table") or argument(parent, "db"))
    return not behind_a_dot and not (dialect.name == "snowflake" and isinstance(parent, exp.Alias))


def _is_no_number(node: exp.Expr, _: SqlDialect) -> bool:
    count = node.args.get("expression")
    return isinstance(count, exp.Column) or bool(getattr(count, "is_string", False))


def _is_no_join(node: exp.Expr, _: SqlDialect) -> bool:
    side, kind = str(node.args.get("side") or ""), str(node.args.get("kind") or "")
    return (kind == "OUTER" and not side) or (side in {"LEFT", "RIGHT", "FULL"} and kind in {"INNER", "CROSS"})


def _inserts_wrongly(node: exp.Expr, dialect: SqlDialect) -> bool:
    target, source = node.this, node.args.get("expression")
    columns, table = (target.expressions, target.this) if isinstance(target, exp.Schema) else ([], target)
    if isinstance(node.parent, exp.When) or not (getattr(table, "name", "") and (source or node.args.get("default"))):
        return not isinstance(node.parent, exp.When)
    if not all(isinstance(column, exp.Identifier) for column in columns):
        return True
    if not isinstance(source, exp.Values):
        return False
    if (alias := source.args.get("alias")) and not alias.this:  # a comma is missing between rows
        return True
    sizes = {len(row.expressions) if isinstance(row, exp.Tuple) else 1 for row in source.expressions}
    return sizes != {len(columns)} if columns else 0 in sizes and not dialect.mysql_family


def _updates_wrongly(node: exp.Expr, _: SqlDialect) -> bool:
    return not node.expressions or any(
        not isinstance(assignment, exp.EQ | exp.PropertyEQ) or isinstance(assignment.expression, exp.And)
        for assignment in node.expressions
    )


def _creates_nothing(node: exp.Expr, dialect: SqlDialect) -> bool:
    kind, target, query = str(node.args.get("kind")).upper(), node.this, node.args.get("expression")
    if kind == "INDEX":
        params = target.args.get("params")
        return params is None or not params.args.get("columns")
    if kind != "TABLE" or query is not None:
        return kind == "VIEW" and query is None
    columns = target.expressions if isinstance(target, exp.Schema) else []
    if not columns:
        return not node.args.get("properties") and not (isinstance(target, exp.Schema) and dialect.name == "postgresql")
    return dialect.name != "sqlite" and any(isinstance(column, exp.Identifier) for column in columns)


_RULES: Final[Mapping[type[exp.Expr], tuple[str, Callable[[exp.Expr, SqlDialect], object]]]] = {
    exp.Identifier: ("a reserved word is no name", _is_reserved),
    exp.Command: ("a known word is followed by what is no SQL", lambda *_: True),
    exp.Select: ("nothing is selected", lambda node, _: not node.expressions),
    exp.Alias: ("a star has no alias", lambda node, _: getattr(node.this, "is_star", False)),
    exp.In: ("the list after IN is empty", lambda node, _: not any(argument(node, part) for part in _IN)),
    exp.Limit: ("a limit is a number", _is_no_number),
    exp.Join: ("there is no such JOIN", _is_no_join),
    exp.Insert: ("INSERT takes a table, its columns and as many values", _inserts_wrongly),
    exp.Update: ("SET takes assignments, with commas between them", _updates_wrongly),
    exp.Create: ("columns with types, or a query, are missing", _creates_nothing),
    exp.Drop: (
        "only ALTER TABLE drops columns",
        lambda node, _: node.parent is None and node.args.get("kind") in _PARTS,
    ),
}
"""What is wrong with a node of a class, and how that is seen."""
