"""How rows differ from what was locked, or from another dataset: row by row, field by field, and in words."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.asserts import Json
from llmgate.suite.data.strict_json import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.suite.data.rows import Row

__all__ = ["Drift", "RowDiff", "compare_rows", "diff_lines", "diff_rows", "diff_with_digests"]

NAMED_ROWS: Final = 5
"""How many rows of a kind a message names before it only counts."""
SHOWN_CHARS: Final = 120
"""Of a value."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedField:
    """One value that differs; `sides` has no `before` or `after` where the column does not exist."""

    column: str
    sides: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDiff:
    """Rows by id.

    Attributes:
        added: Ids that only the second dataset has, in its order.
        removed: Ids that only the first one has, in its order.
        changed: Id to the fields that differ, in the order of the second; empty where only digests are known.
        moved: Whether the rows that both have stand in another order.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, tuple[ChangedField, ...]]
    moved: bool

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.moved)

    def to_json(self) -> dict[str, Any]:
        """As plain data; a column that one side lacks has no value there."""
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            "changed": {
                row: {field.column: dict(field.sides) for field in fields} for row, fields in self.changed.items()
            },
            "moved": self.moved,
        }


def diff_rows(before: Sequence[Row], after: Sequence[Row]) -> RowDiff:
    """Compare two datasets by id."""
    diff = diff_with_digests({row.id: row.digest for row in before}, after)
    old, new = ({row.id: row.values for row in rows} for rows in (before, after))
    return replace(diff, changed={row_id: _fields(old[row_id], new[row_id]) for row_id in diff.changed})


def diff_with_digests(locked: Mapping[str, str], after: Sequence[Row]) -> RowDiff:
    """Compare a dataset with the digests of its lock, which does not know the fields."""
    drift = compare_rows(locked, after)
    changed: dict[str, tuple[ChangedField, ...]] = dict.fromkeys(drift.changed, ())
    return RowDiff(added=drift.added, removed=drift.removed, changed=changed, moved=bool(drift.moved))


def diff_lines(diff: RowDiff) -> list[str]:
    """Word a difference: `+` added, `-` removed, `~` changed."""
    lines = [f"+ {row}" for row in diff.added] + [f"- {row}" for row in diff.removed]
    for row, fields in diff.changed.items():
        lines.append(f"~ {row}")
        for field in fields:
            before, after = (
                _shown(field.sides[side]) if side in field.sides else "(no such column)" for side in ("before", "after")
            )
            lines.append(f"    {field.column}: {before} → {after}")
    if diff.moved:
        lines.append("rows stand in another order")
    counts = f"{len(diff.added)} added, {len(diff.removed)} removed, {len(diff.changed)} changed"
    return [*lines, counts if diff else "no differences"]


def _fields(before: Mapping[str, Json], after: Mapping[str, Json]) -> tuple[ChangedField, ...]:
    fields = []
    for column in sorted(before.keys() | after.keys()):
        sides = {side: row[column] for side, row in (("before", before), ("after", after)) if column in row}
        if len({canonical(value) for value in sides.values()}) > 1 or len(sides) == 1:
            fields.append(ChangedField(column=column, sides=sides))
    return tuple(fields)


def _shown(value: Json) -> str:
    text = canonical(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
