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
_WANTS: Final = (
    frozenset(
        "SELECT FROM WHERE HAVING QUALIFY LIMIT ON AND OR NOT WHEN THEN ELSE SET LIKE BETWEEN JOIN".split()
    )  # what comes next belongs to them
    | frozenset(("GROUP BY", "ORDER BY", "PARTITION BY", ","))
    | _OPERATORS
)
_ENDS: Final = frozenset(_ORDER) | _SETS | {")", "]", ",", "", "THEN", "ELSE", "AND", "OR"} | _OPERATORS - {"+"}

_NO_ROWS: Final = frozenset(("DEFAULT", "SELECT", ",", "(", "WHERE", "AND", "OR", "NOT", "GROUP BY", "ORDER BY", "="))
"""Before VALUES, what shows that no rows follow but a column of that name."""


def clause_problem(words: Sequence[str], *, comma_ends: bool) -> str | None:
    """What is out of place among a statement's words, spelt in upper case; None if nothing is.

    Args:
        words: Tokens; several words that make one token, such as `GROUP BY`, are one word here.
        comma_ends: Whether a list of columns may end with a comma.
    """
    ranks: list[int | None] = [None]
    started = words[0] != "UPDATE"
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        if before == ".":
            continue
        if comma_ends and (word, after) == (",", "FROM"):
            continue
        if problem := _neighbours(before, word, after):
            return problem
        if word == "(":
            ranks.append(None)
        elif word == ")":
            if len(ranks) == 1:
                return "a closing bracket is too many"
            ranks.pop()
        elif word == "SELECT":
            ranks[-1] = 0
        elif word in _SETS or word == "CONFLICT":
            ranks[-1] = None
        elif word == "SET" and len(ranks) == 1:
            started = True
        elif word in _ORDER and before != "DISTINCT":
            rank = ranks[-1]
            if rank is None and words[0] == "WITH" and before == ")" and len(ranks) == 1:
                return "no statement follows WITH"
            if rank is not None and (_ORDER[word] < rank or word == "FROM" == before or (word == "FROM" and rank)):
                return f"{word} is out of place"
            if rank is not None:
                ranks[-1] = _ORDER[word]
            if not started and len(ranks) == 1:
                return f"{word} stands before SET"
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

