"""CSV as RFC 4180 has it: UTF-8, a header, quotes doubled inside quotes, and nothing guessed.

A cell is text. Only the lock can say otherwise: a column that it calls `number`, `boolean`, `array` or `object` holds
JSON of that type, and an empty cell is null where the type has `null` in it. Line ends are CRLF or LF. A column whose
name starts with `__` means something to llmgate and is kept as it is.

Reference: RFC 4180, section 2. Stricter than Python's csv module, which takes a bare quote inside a cell.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from llmgate.errors import DatasetError
from llmgate.suite.data.strict_json import json_type, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmgate.suite.asserts import Json

__all__ = ["TYPE_NAMES", "check_types", "read_csv"]

TYPE_NAMES = frozenset({"null", "boolean", "number", "string", "array", "object"})
"""What a type is made of; several are joined by `|`."""

CELL = re.compile(r'"((?:[^"]++|"")*+)"|([^",\r\n]*+)')
END = re.compile(r"(,)|(\r?\n)|\Z")


def read_csv(data: bytes, *, source: str, types: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Json]]]:
    """Read a CSV file with a header.

    Args:
        data: The file.
        source: Its name, for messages.
        types: Column to JSON types; a column that is not named is text.

    Yields:
        The line on which a record starts, and its columns.

    Raises:
        DatasetError: With file, line and advice.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DatasetError("the line is not UTF-8", where=f"{source}:{line}", fix="Save the file as UTF-8") from error
    records = _records(text, source)
    header = next(records, (1, []))[1]
    _check_header(header, source)
    for line, cells in records:
        where = f"{source}:{line}"
        if cells == [""]:
            raise DatasetError("the line is blank", where=where, fix="Remove it")
        if len(cells) != len(header):
            raise DatasetError(
                f"the row has {len(cells)} cells, but the header names {len(header)} columns",
                where=where,
                fix="Quote cells that hold commas, quotes or line breaks, and write every cell",
            )
        yield (
            line,
            {
                name: _typed(cell, types.get(name, "string"), name, where)
                for name, cell in zip(header, cells, strict=True)
            },
        )


def check_types(types: Mapping[str, str], *, source: str) -> None:
    """Refuse types that the cells of a column cannot have.

    Raises:
        DatasetError: With the types that there are.
    """
    for name, kinds in types.items():
        parts = set(kinds.split("|"))
        if not parts <= TYPE_NAMES:
            raise DatasetError(
                f"the column {name!r} cannot have the type {kinds!r}",
                where=source,
                fix=f"Types are {', '.join(sorted(TYPE_NAMES))}, or several with | between them",
            )
        if "string" in parts and parts - {"string", "null"}:
            raise DatasetError(
                f"the column {name!r} cannot be {kinds!r}: nobody could tell text from the rest",
                where=source,
                fix="Make it text, or keep the data as JSON Lines",
            )


def _records(text: str, source: str) -> Iterator[tuple[int, list[str]]]:
    position, line = 0, 1
    while position < len(text):
        first_line, cells, ended = line, [], False
        while not ended:
            cell = CELL.match(text, position)
            if cell is None:  # pragma: no cover - the second branch of CELL matches the empty text
                raise TypeError
            quoted, bare = cell.groups()
            end = END.match(text, cell.end())
            if end is None:
                raise _malformed(text, cell.end(), f"{source}:{first_line}", quoted=quoted is not None)
            cells.append(bare if quoted is None else quoted.replace('""', '"'))
            line += (quoted or "").count("\n")
            position, ended = end.end(), end.group(1) is None
        line += 1
        yield first_line, cells


def _malformed(text: str, position: int, where: str, *, quoted: bool) -> DatasetError:
    if quoted:
        return DatasetError("something follows a closing quote", where=where, fix="Double the quotes inside a cell")
    if text[position] == "\r":
        return DatasetError("a carriage return stands alone", where=where, fix="End lines with LF or CRLF")
    if text[position - 1 : position] in {"", ",", "\n"}:
        return DatasetError("a quote is never closed", where=where, fix="Close it, and double the quotes inside")
    return DatasetError(
        "a quote stands inside a cell that is not quoted", where=where, fix="Quote the cell and double its quotes"
    )


def _check_header(header: Sequence[str], source: str) -> None:
    where = f"{source}:1"
    for name, count in Counter(header).items():
        if not name:
            raise DatasetError("a column has no name", where=where, fix="Name every column in the first line")
        if name != name.strip():
            raise DatasetError(
                f"the column name {name!r} starts or ends with white space", where=where, fix="Remove it"
            )
        if count > 1:
            raise DatasetError(f"the column {name!r} is named {count} times", where=where, fix="Rename one of them")


def _typed(cell: str, kinds: str, name: str, where: str) -> Json:
    if kinds == "string":
        return cell
    parts = kinds.split("|")
    if not cell and "null" in parts:
        return None
    if "string" in parts:
        return cell
    try:
        value = parse_json(cell, where=where, fix="Correct the cell")
        if json_type(value) in parts:
            return value
        what = f"a JSON {json_type(value)}"
    except DatasetError as error:
        what = error.what
    raise DatasetError(
        f"the cell of {name!r} should be {kinds} and is {what if cell else 'empty'}",
        where=where,
        fix=f"Correct it, or lock a new version with `--type {name}=string`",
    )
