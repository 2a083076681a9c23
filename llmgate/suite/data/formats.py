"""The bytes of a data file become records; what the file's name says about its format."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING

from llmgate.errors import DatasetError
from llmgate.record.disk import lines_of
from llmgate.record.growth import CELL, ROW, Growth, check_rows, json_cost
from llmgate.suite.data.csv import read_csv
from llmgate.suite.data.parquet import read_parquet
from llmgate.suite.data.strict_json import json_type, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llmgate.suite.asserts import Json

__all__ = ["BOM", "NO_TYPES", "SUFFIXES", "Format", "as_jsonl", "format_of", "read_records", "suffixes"]

NO_TYPES: Mapping[str, str] = MappingProxyType({})
BOM = b"\xef\xbb\xbf"


class Format(StrEnum):
    """How rows are written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


SUFFIXES: Mapping[str, Format] = MappingProxyType(
    {
        ".jsonl": Format.JSONL,
        ".ndjson": Format.JSONL,
        ".csv": Format.CSV,
        ".parquet": Format.PARQUET,
        ".pq": Format.PARQUET,
    }
)


def suffixes(kind: Format) -> list[str]:
    """The file name endings of a format, the usual one first."""
    return [suffix for suffix, known in SUFFIXES.items() if known is kind]


def format_of(name: str | PurePath) -> Format:
    """Tell the format from a file's name; a name that says nothing means JSON Lines."""
    return SUFFIXES.get(PurePath(name).suffix.lower(), Format.JSONL)


def read_records(
    data: bytes, kind: Format, *, source: str, types: Mapping[str, str] = NO_TYPES
) -> Iterator[tuple[int, dict[str, Json]]]:
    """Read the bytes of a data file.

    Args:
        data: The file.
        kind: Its format.
        source: Its name, for messages.
        types: Column types for CSV, as a lock has them; a column that is not named is text.

    Yields:
        The line (for Parquet, the row number) and the columns of each row.

    Raises:
        DatasetError: With file, line and advice.
    """
    growth = Growth(len(data), source, error=DatasetError)
    if kind is Format.PARQUET:
        return read_parquet(data, growth=growth)
    if data.startswith(BOM):
        raise DatasetError("starts with a byte order mark", where=source, fix="Save it as UTF-8 without BOM")
    if kind is Format.JSONL or b'"' not in data:  # only quotes can keep lines of CSV from being rows
        check_rows(data.count(b"\n"), source)
    if kind is Format.CSV:
        return _counted(read_csv(data, source=source, types=types), growth)
    return _read_jsonl(data, growth)


def as_jsonl(rows: Iterable[Mapping[str, Json]]) -> bytes:
    """Write rows as JSON Lines; columns keep their order."""
    return b"".join(json.dumps(dict(row), ensure_ascii=False, allow_nan=False).encode() + b"\n" for row in rows)


def _counted(rows: Iterable[tuple[int, dict[str, Json]]], growth: Growth) -> Iterator[tuple[int, dict[str, Json]]]:
    """Rows of CSV, each paid for."""
    for count, (line, row) in enumerate(rows, start=1):
        check_rows(count, growth.where)
        growth.spend(ROW + CELL * len(row), f"{growth.where}:{line}")
        yield line, row


def _read_jsonl(data: bytes, growth: Growth) -> Iterator[tuple[int, dict[str, Json]]]:
    for number, line in enumerate(lines_of(data), start=1):
        where = f"{growth.where}:{number}"
        growth.spend(ROW + json_cost(line), where)
        yield number, _parse_object(line.removesuffix(b"\n"), where=where)


def _parse_object(raw: bytes, *, where: str) -> dict[str, Json]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"byte {error.start + 1} of the line is not UTF-8", where=where, fix="Save the file as UTF-8"
        ) from error
    if not text.strip():
        raise DatasetError("the line is blank", where=where, fix="Remove it, or write one JSON object")
    value = parse_json(text, where=where, fix="Write one JSON object per line")
    if not isinstance(value, dict):
        raise DatasetError(
            f"the line is a JSON {json_type(value)}, not an object",
            where=where,
            fix='Write {"id": "…", …}',
        )
    return value
