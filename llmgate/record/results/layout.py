"""Which columns of a plain table mean what, and what is done about the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Layout"]

ITEM: Final = "item_id"
SCORE: Final = "score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a person says about the columns of a table. Without a word the names are those of the attributes' defaults.

    Attributes:
        item: Column of the item's id, unique within the file; None for `item_id`.
        scores: Columns of scores, each a metric of that name; empty for `score` alone.
        cluster: Column of the cluster key; None for `cluster`, if there is one.
        human: Column of what people say of the same answers; None for `human`, if there is one.
        slices: Columns that split the items into slices.
        only: Column and value: rows with another value are left out.
    """

    item: str | None = None
    scores: tuple[str, ...] = ()
    cluster: str | None = None
    human: str | None = None
    slices: tuple[str, ...] = ()
    only: tuple[tuple[str, str], ...] = ()

    @property
    def named(self) -> bool:
        """Whether somebody named the columns to be read, so that there may be others."""
        return self.item is not None or bool(self.scores)

    @property
    def item_column(self) -> str:
        """Column of the item's id."""
        return self.item or ITEM

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Columns of scores."""
        return self.scores or (SCORE,)

    @property
    def cluster_column(self) -> str:
        """Column of the cluster key."""
        return self.cluster or "cluster"

    @property
    def human_column(self) -> str:
        """Column of people's scores."""
        return self.human or "human"

    @property
    def error_column(self) -> str:
        """Column that says why an item has no score."""
        return "error"

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that have to be there."""
        asked = (self.cluster, self.human, *self.slices, *(column for column, _ in self.only))
        return (self.item_column, *self.score_columns, *(column for column in asked if column is not None))

    @property
    def known(self) -> tuple[str, ...]:
        """Columns that are read."""
        optional = (self.cluster_column, self.human_column, self.error_column)
        return tuple(dict.fromkeys((*self.required, *optional)))

    @property
    def chosen(self) -> str:
        """Which rows are read, for messages; empty for all."""
        return f" with {' and '.join(f'{column} = {value}' for column, value in self.only)}" if self.only else ""

    def check(self, columns: Iterable[str], where: str) -> None:
        """Refuse a table that lacks a column, or has one that nobody named.

        Raises:
            RecordError: With the nearest name.
        """
        there = list(columns)
        if not self.named:
            for column in there:
                if column not in self.known:
                    near = nearest(column, self.known)
                    fix = f"Did you mean {near!r}?" if near else self._ways()
                    raise RecordError(f"unknown key {column!r}", where=where, fix=fix)
        for column in self.required:
            if column not in there:
                near = nearest(column, there)
                fix = f"Did you mean {near!r}?" if near else "Every row needs an item_id and a score"
                raise RecordError(f"no {column!r}", where=where, fix=fix)

    def _ways(self) -> str:
        return f"Known keys: {', '.join(self.known)}. Or name the columns: --id COLUMN --score COLUMN"
