"""A path → its results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError, did_you_mean
from llmgate.record.results.layout import Layout
from llmgate.record.results.source import Source, read_source
from llmgate.record.scores import ScoreTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FORMATS", "SUITE", "Results", "load_results"]

SUITE: Final = "scores"
"""What the suite is called in policies and reports: a file of results does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a file holds.

    Attributes:
        source: The file.
        format: Its format.
        tables: One per metric.
        main: The metrics that gate where nobody says which.
    """

    source: str
    format: str
    tables: tuple[ScoreTable, ...]
    main: tuple[str, ...]


def load_results(path: Path | str, layout: Layout | None = None, *, kind: str | None = None) -> Results:
    """Read a file of results.

    Args:
        path: The file; gzip is unpacked.
        layout: Which columns of a plain table mean what.
        kind: One of `FORMATS`; None to tell from the content.

    Raises:
        RecordError: If it cannot be read, or holds no results.
    """
    source = read_source(path)
    kind = detect(source) if kind is None else kind
    if kind not in FORMATS:
        raise RecordError(f"there is no format {kind!r}", where=str(path), fix=did_you_mean(kind, FORMATS))
    tables = FORMATS[kind](source, layout or Layout())
    return Results(source=str(path), format=kind, tables=tables, main=tuple(table.metric for table in tables))


def detect(source: Source) -> str:
    """The format of a file, by its content; by its name only where the content leaves it open."""
    if source.data.startswith(b"PAR1"):
        return "parquet"
    if source.data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) or source.suffix in {".jsonl", ".json"}:
        return "jsonl"
    return "csv" if source.suffix in {".csv", ".tsv"} else "jsonl"


def jsonl(source: Source, layout: Layout) -> tuple[ScoreTable, ...]:
    """Plain JSON Lines."""
    from llmgate.record.results.jsonl import read_jsonl  # noqa: PLC0415 - only the reader that a file needs

    return read_jsonl(source, layout, suite=SUITE)


def csv(source: Source, layout: Layout) -> tuple[ScoreTable, ...]:
    """Plain CSV."""
    from llmgate.record.results.csvtable import read_csv  # noqa: PLC0415 - see above

    return read_csv(source, layout, suite=SUITE)


def parquet(source: Source, layout: Layout) -> tuple[ScoreTable, ...]:
    """Plain Parquet."""
    from llmgate.record.results.parquet import read_parquet  # noqa: PLC0415 - see above

    return read_parquet(source, layout, suite=SUITE)


FORMATS: Final[dict[str, Callable[[Source, Layout], tuple[ScoreTable, ...]]]] = {
    "csv": csv,
    "jsonl": jsonl,
    "parquet": parquet,
}
