"""A table of the calibration."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Sheet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table.

    Attributes:
        id: For links.
        title: Its heading.
        lead: What it tells, one or two sentences.
        header: Titles of the columns; the first is text, the others are figures.
        rows: Cells, one per column.
    """

    id: str
    title: str
    lead: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
