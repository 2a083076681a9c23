"""What stands where in a statement: clauses in their order, none of them empty, commas only between things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["clause_problem"]

_ORDER: Final = {
    word: rank
    for rank, words in enumerate(
        (("FROM",), ("WHERE",), ("GROUP BY",), ("HAVING",), ("QUALIFY",), ("ORDER BY",), ("LIMIT",)), start=1
    )
    for word in words
}
_SETS: Final = frozenset(("UNION", "INTERSECT", "EXCEPT", "MINUS"))
_OPERATORS: Final = frozenset(("+", "/", "%", "=", "<", ">", "<=", ">=", "<>", "!=", "||", "&&", "::"))
_WORDS_THAT_WANT: Final = """
    SELECT FROM WHERE HAVING QUALIFY LIMIT ON AND OR NOT WHEN THEN ELSE SET LIKE BETWEEN JOIN
"""
_WANTS: Final = frozenset(_WORDS_THAT_WANT.split()) | {"GROUP BY", "ORDER BY", "PARTITION BY", ","} | _OPERATORS
"""What belongs to something that comes next."""
_ENDS: Final = frozenset(_ORDER) | _SETS | {")", "]", ",", "", "THEN", "ELSE", "AND", "OR"} | _OPERATORS - {"+"}

_NO_ROWS: Final = frozenset(("DEFAULT", "SELECT", ",", "(", "WHERE", "AND", "OR", "NOT", "GROUP BY", "ORDER BY", "="))
"""Before VALUES, what shows that no rows follow but a column of that name."""


def clause_problem(words: Sequence[str], *, comma_ends: bool) -> str | None:
    """What is out of place among a statement's words, spelt in upper case; None if nothing is.

    Args:
        words: Tokens; several words that make one token, such as `GROUP BY`, are one word here.
        comma_ends: Whether a list of columns may end with a comma.
    """
    order = _Order(words[0])
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        if before == "." or (comma_ends and (word, after) == (",", "FROM")):
            continue
        problem = _neighbours(before, word, after) or order.problem(before, word)
        if problem:
            return problem
    return None


class _Order:
    """Where each open bracket's SELECT stands among its clauses; None outside of one."""

    __slots__ = ("first", "ranks", "set_seen")

    def __init__(self, first: str) -> None:
        self.first = first
        self.ranks: list[int | None] = [None]
        self.set_seen = first != "UPDATE"

    def problem(self, before: str, word: str) -> str | None:
        if word in _ORDER and before != "DISTINCT":  # IS DISTINCT FROM
            return self._clause(before, word)
        if word == "(":
            self.ranks.append(None)
        elif word == ")":
            if len(self.ranks) == 1:
                return "a closing bracket is too many"
            self.ranks.pop()
        elif word == "SELECT":
            self.ranks[-1] = 0
        elif word in _SETS or word == "CONFLICT":
            self.ranks[-1] = None
        self.set_seen |= word == "SET" and len(self.ranks) == 1
        return None

    def _clause(self, before: str, word: str) -> str | None:
        outside = len(self.ranks) == 1
        rank = self.ranks[-1]
        if not self.set_seen and outside:
            return f"{word} stands before SET"
        if rank is None:
            lonely = self.first == "WITH" and before == ")" and outside
            return "no statement follows WITH" if lonely else None
        if _ORDER[word] < rank or (word == "FROM" and rank):
            return f"{word} is out of place"
        self.ranks[-1] = _ORDER[word]
        return None


def _neighbours(before: str, word: str, after: str) -> str | None:
    # Two signs make a shift, and AND in BETWEEN … AND is followed by a value as everywhere.
    if word in _WANTS and after in _ENDS and not (word == after and word in {"<", ">"}):
        return f"nothing follows {word}"
    if word == "," and before in {"", "(", "SELECT", "FROM"}:
        return "nothing stands before a comma"
    if word in {"FROM", "JOIN"} and after == "SELECT":
        return f"a subquery after {word} needs brackets"
    if word == "AS" and after[:1].isdigit():
        return "a number is no name"
    if word == "VALUES" and before not in _NO_ROWS and after not in {"(", "ROW"}:
        return "values stand in brackets"
    return None
