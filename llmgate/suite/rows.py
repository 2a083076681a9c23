"""JSONL bytes to rows: strict, so that a typo in one line cannot become a silently different case."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Never

from llmgate.errors import DatasetError
from llmgate.suite.asserts import Json

__all__ = ["MAX_ID_LENGTH", "Row", "column_types", "parse_rows"]

MAX_ID_LENGTH = 200
"""Characters. Ids become test names and file names of reports."""

UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
REPEAT_SUFFIX = re.compile(r"#[0-9]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a dataset.

    Attributes:
        id: Stable and unique within the dataset.
        line: 1-based line in the file.
        values: Column to value, the id included.
        digest: SHA-256 of the values as canonical JSON: blind to spacing and key order, not to anything else.
    """

    id: str
    line: int
    values: Mapping[str, Json]
    digest: str


class _NotStrictJsonError(ValueError):
    """Python's JSON reader takes it, but the JSON standard or a second reader would not."""


def parse_rows(data: bytes, *, source: str, id_column: str = "id") -> tuple[Row, ...]:
    """Read the bytes of a JSONL file.

    Args:
        data: The file.
        source: The file's name, for messages.
        id_column: The column that names the row; its value is text or an integer.

    Raises:
        DatasetError: If it is not UTF-8, has no rows, or a line is not one JSON object with a usable and unique id
            and the same columns as the others.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        raise DatasetError("starts with a byte order mark", where=source, fix="Save it as UTF-8 without BOM")
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise DatasetError("has no rows", where=source, fix="Write one JSON object per line")
    rows: list[Row] = []
    first_line: dict[str, int] = {}
    for number, raw in enumerate(lines, start=1):
        where = f"{source}:{number}"
        values = _parse_object(raw, where=where)
        row_id = _row_id(values, id_column, where=where)
        if row_id in first_line:
            raise DatasetError(
                f"the id {row_id!r} is already used in line {first_line[row_id]}",
                where=where,
                fix="Ids must be unique, because results are paired by them",
            )
        first_line[row_id] = number
        rows.append(
            Row(id=row_id, line=number, values=MappingProxyType(values), digest=_row_digest(values, where=where))
        )
    _refuse_ragged_columns(rows, source)
    return tuple(rows)


def column_types(rows: Sequence[Row]) -> dict[str, str]:
    """Map each column to its JSON types, such as `string` or `null|number`, sorted by column name."""
    seen: dict[str, set[str]] = {}
    for row in rows:
        for column, value in row.values.items():
            seen.setdefault(column, set()).add(_json_type(value))
    return {column: "|".join(sorted(seen[column])) for column in sorted(seen)}


def _json_type(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"


def _parse_object(raw: bytes, *, where: str) -> dict[str, Json]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"byte {error.start + 1} of the line is not UTF-8", where=where, fix="Save the file as UTF-8"
        ) from error
    if not text.strip():
        raise DatasetError("the line is blank", where=where, fix="Remove it, or write one JSON object")
    try:
        value = json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"not JSON: {error.msg} (column {error.colno})", where=where, fix="Write one JSON object per line"
        ) from error
    except _NotStrictJsonError as error:
        raise DatasetError(str(error), where=where, fix="Write what every JSON reader reads in the same way") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            "not JSON that can be read: a number is too long or values are nested too deeply",
            where=where,
            fix="Write long numbers as text",
        ) from error
    if not isinstance(value, dict):
        raise DatasetError(
            f"the line is a JSON {_json_type(value)}, not an object",
            where=where,
            fix='Write {"id": "…", …}',
        )
    return value


def _without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    counts = Counter(key for key, _ in pairs)
    for key, count in counts.items():
        if count > 1:
            raise _NotStrictJsonError(f"the key {key!r} stands {count} times in one object")
    return dict(pairs)


def _refuse_constant(name: str) -> Never:
    raise _NotStrictJsonError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotStrictJsonError(f"the number {text} is too large")
    return number


def _row_id(values: Mapping[str, Json], id_column: str, *, where: str) -> str:
    if id_column not in values:
        raise DatasetError(
            f"the row has no {id_column!r}",
            where=where,
            fix=f"Its columns are {', '.join(sorted(values)) or 'none'}; every row needs an id",
        )
    value = values[id_column]
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DatasetError(
            f"{id_column!r} is a JSON {_json_type(value)}", where=where, fix="An id is text or an integer"
        )
    row_id = str(value)
    problem = _id_problem(row_id)
    if problem:
        raise DatasetError(
            f"the id {row_id[:40]!r} {problem}", where=where, fix="Choose a short readable id such as 'refund-017'"
        )
    return row_id


def _id_problem(row_id: str) -> str | None:
    if not row_id.strip():
        return "is blank"
    if row_id != row_id.strip():
        return "starts or ends with white space"
    if len(row_id) > MAX_ID_LENGTH:
        return f"has {len(row_id)} characters, more than {MAX_ID_LENGTH}"
    if any(unicodedata.category(character) in UNPRINTABLE for character in row_id):
        return "holds an invisible or control character"
    # Test names are suite::case, and the second repeat of a case is shown as case#1.
    if "::" in row_id or REPEAT_SUFFIX.search(row_id):
        return "holds '::' or ends in '#' and digits, which separate the parts of a test name"
    return None


def _row_digest(values: Mapping[str, Json], *, where: str) -> str:
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return hashlib.sha256(text.encode("utf-8")).hexdigest()
    except UnicodeEncodeError as error:
        raise DatasetError(
            "holds half of a surrogate pair, which is not a character", where=where, fix="Remove the \\ud… escape"
        ) from error


def _refuse_ragged_columns(rows: Sequence[Row], source: str) -> None:
    counts = Counter(column for row in rows for column in row.values)
    for column, count in sorted(counts.items()):
        if count == len(rows):
            continue
        # Blame the minority: with one row out of many it is that row's typo.
        has_it = 2 * count <= len(rows)
        row = next(row for row in rows if (column in row.values) is has_it)
        others = len(rows) - count if has_it else count
        what = f"has a column {column!r} that {others} rows lack" if has_it else f"lacks the column {column!r}"
        raise DatasetError(
            f"row {row.id!r} {what}",
            where=f"{source}:{row.line}",
            fix="Every row needs every column; write null where there is no value",
        )
