"""How rows differ from what was locked, in values and in words."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.suite.rows import Row

__all__ = ["NAMED_ROWS", "Drift", "compare_rows"]

NAMED_ROWS = 5
"""How many rows of a kind a message names before it only counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Row ids by what happened to them since the lock.

    Attributes:
        changed: Same id, other content, in file order.
        added: New ids, in file order.
        removed: Ids that are gone, in locked order.
        moved: Unchanged set of ids in another order: the fewest rows whose return restores it, in file order.
        line: First line of the file that differs, None if rows are only missing or nothing differs.
    """

    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    line: int | None = None

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.removed or self.moved)

    def __str__(self) -> str:
        """For example `row 'a' changed and rows 'b', 'c' added`."""
        kinds = (("changed", self.changed), ("added", self.added), ("removed", self.removed), ("moved", self.moved))
        parts = [f"{_named(ids)} {verb}" for verb, ids in kinds if ids]
        return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def compare_rows(locked: Mapping[str, str], rows: Sequence[Row]) -> Drift:
    """Compare rows with the locked digests.

    Args:
        locked: Row id to digest, in locked order.
        rows: The rows that are there, in file order.
    """
    present = {row.id for row in rows}
    changed = [row for row in rows if row.id in locked and locked[row.id] != row.digest]
    added = [row for row in rows if row.id not in locked]
    removed = tuple(row_id for row_id in locked if row_id not in present)
    moved = _moved(locked, [row for row in rows if row.id in locked])
    lines = [row.line for row in (*changed, *added, *moved)]
    return Drift(
        changed=tuple(row.id for row in changed),
        added=tuple(row.id for row in added),
        removed=removed,
        moved=tuple(row.id for row in moved),
        line=min(lines, default=None),
    )


def _moved(locked: Mapping[str, str], kept: Sequence[Row]) -> list[Row]:
    """Return the rows outside a longest run that still stands in locked order (patience sorting)."""
    rank = {row_id: index for index, row_id in enumerate(locked)}
    tops: list[int] = []
    tails: list[int] = []
    previous: list[int] = []
    for index, row in enumerate(kept):
        pile = bisect_left(tops, rank[row.id])
        previous.append(tails[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [rank[row.id]]
        tails[pile : pile + 1] = [index]
    in_order: set[int] = set()
    at = tails[-1] if tails else -1
    while at >= 0:
        in_order.add(at)
        at = previous[at]
    return [row for index, row in enumerate(kept) if index not in in_order]


def _named(ids: Sequence[str]) -> str:
    named = ", ".join(repr(row_id) for row_id in ids[:NAMED_ROWS])
    rest = len(ids) - NAMED_ROWS
    return f"row{'s' * (len(ids) > 1)} {named}" + (f" and {rest} more" if rest > 0 else "")
