"""Plain tables in CSV: a header, and one row per item."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING

from llmgate.errors import RecordError
from llmgate.record.growth import CELL, RESULT
from llmgate.record.results.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["read_csv"]


def read_csv(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """Read a CSV file; an empty cell, or NaN, is no score and counts as an error.

    Raises:
        RecordError: With file and line, for a header that lacks a column or names one twice, a row with another number
            of cells, and what `Rows` refuses.
    """
    delimiter = "\t" if source.suffix == ".tsv" else ","
    # Text is made of the bytes as it is read: as a whole it could be four times as large.
    text = io.TextIOWrapper(io.BytesIO(source.data), encoding="utf-8-sig", newline="")
    source.growth.afford(CELL * source.data.count(b"\n"))
    reader = csv.reader(text, strict=True, delimiter=delimiter)
    rows = Rows(layout, suite=suite, text=True)
    try:
        header = next(reader, [])
        _check_header(header, layout, f"{source.path}:1")
        for cells in reader:
            if not cells:
                continue
            where = f"{source.path}:{reader.line_num}"
            if len(cells) != len(header):
                raise RecordError(
                    f"the row has {len(cells)} cells, but the header names {len(header)} columns",
                    where=where,
                    fix='Quote cells that hold commas: "a, b"',
                )
            source.growth.spend(RESULT, where)
            rows.add(dict(zip(header, cells, strict=True)), where)
    except UnicodeDecodeError as error:
        raise RecordError("not UTF-8", where=f"{source.path}:{reader.line_num + 1}", fix="Save it as UTF-8") from error
    except csv.Error as error:
        raise RecordError(
            f"this is not CSV ({error})", where=f"{source.path}:{reader.line_num}", fix="Close quotes"
        ) from error
    return rows.tables(source.path)


def _check_header(header: Sequence[str], layout: Layout, where: str) -> None:
    for name, times in Counter(header).items():
        if times > 1:
            raise RecordError(f"the column {name!r} is named twice", where=where, fix="Rename one of them")
    layout.check(header, where)
