"""Evidence that is a table: every format shows it the same way."""

from __future__ import annotations

from dataclasses import dataclass

from llmgate.report.pieces import State

__all__ = ["Column", "Panel", "PanelRow", "columns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a panel."""

    title: str
    number: bool = False


def columns(*titles: str, number: bool = False) -> tuple[Column, ...]:
    """Columns of the same kind, from their titles."""
    return tuple(Column(title=title, number=number) for title in titles)


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRow:
    """One row of a panel: a cell per column, and how it looks."""

    cells: tuple[str, ...]
    state: State | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Evidence that is a table and needs no layout of its own: every format shows it the same way.

    Attributes:
        id: Anchor within the page, lower case with dashes.
        title: Heading.
        tag: A few words beside the heading.
        lead: What the reader has to know to read it.
        columns: Of the table; the first one names the rows.
        rows: May be empty: a panel can be a sentence alone.
        left_out: Rows that are not shown.
        serious: Whether it is part of why the verdict is no PASS.
    """

    id: str
    title: str
    tag: str = ""
    lead: str
    columns: tuple[Column, ...] = ()
    rows: tuple[PanelRow, ...] = ()
    left_out: int = 0
    serious: bool = False
