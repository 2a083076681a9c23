"""The tables of a statement, and which of them a WITH defines where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from llmgate.score.sqlnodes import argument

if TYPE_CHECKING:
    from collections.abc import Iterator

    _Pending = tuple[exp.Expr, "_Scope | None"]

__all__ = ["tables_in_scope"]


@dataclass(frozen=True, slots=True)
class _Scope:
    """The names of one WITH, as seen from one place.

    Attributes:
        exact: Where each name is defined, counted from 0.
        folded: The same for names without quotes, in which case does not count.
        seen: How many of the definitions can be seen.
        outer: The WITH around.
    """

    exact: dict[str, int]
    folded: dict[str, int]
    seen: int
    outer: _Scope | None

    def defines(self, name: exp.Expression) -> bool:
        text = str(name.name)
        places = [self.exact.get(text), None if name.args.get("quoted") else self.folded.get(text.casefold())]
        here = any(place is not None and place < self.seen for place in places)
        return here or (self.outer is not None and self.outer.defines(name))


def tables_in_scope(tree: exp.Expression) -> Iterator[tuple[exp.Table, bool]]:
    """All tables, with whether a WITH that is in scope defines the name; one walk, since trees may be deep."""
    pending: list[_Pending] = [(tree, None)]
    while pending:
        node, scope = pending.pop()
        if isinstance(node, exp.Table):
            bare = isinstance(node.this, exp.Identifier) and not node.args.get("db")
            yield node, bare and scope is not None and scope.defines(node.this)
        defining = argument(node, "with")
        children: list[_Pending] = []
        if isinstance(defining, exp.With):
            scope, children = _opened(defining, scope)
        children += [(child, scope) for child in node.iter_expressions() if child is not defining]
        pending.extend(reversed(children))


def _opened(defining: exp.With, outer: _Scope | None) -> tuple[_Scope, list[_Pending]]:
    """What a WITH adds; each of its queries sees only those before it, unless the WITH is recursive."""
    exact: dict[str, int] = {}
    folded: dict[str, int] = {}
    queries = defining.expressions
    for place, query in enumerate(queries):
        alias = query.args.get("alias")
        name = alias.this if isinstance(alias, exp.TableAlias) else None
        if isinstance(name, exp.Identifier):
            exact.setdefault(name.name, place)
            if not name.args.get("quoted"):
                folded.setdefault(name.name.casefold(), place)
    everything = _Scope(exact, folded, len(queries), outer)
    if defining.args.get("recursive"):
        return everything, [(query, everything) for query in queries]
    return everything, [(query, _Scope(exact, folded, place, outer)) for place, query in enumerate(queries)]
