"""The bytes of a data file to rows: strict, so that a typo in one line cannot become a silently different case."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import overload

from llmgate.errors import DatasetError
from llmgate.suite.asserts import Json
from llmgate.suite.data.formats import NO_TYPES, Format, read_records
from llmgate.suite.data.spool import Spool, pack, unpack
from llmgate.suite.data.strict_json import json_type

__all__ = ["MAX_ID_LENGTH", "RESERVED", "DatasetRows", "Row", "parse_rows"]

RESERVED = "__"
"""Columns whose names start so speak to llmgate (`__expected`, …); a row without one says nothing."""

MAX_ID_LENGTH = 200
"""Characters. Ids become test names and file names of reports."""

ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
REPEAT_SUFFIX = re.compile(r"#[0-9]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a dataset.

    Attributes:
        id: Stable and unique within the dataset.
        line: 1-based line in the file; in a Parquet file, the number of the row.
        values: Column to value, the id included.
        digest: SHA-256 of the values as canonical JSON: blind to spacing and key order, not to anything else.
    """

    id: str
    line: int
    values: Mapping[str, Json]
    digest: str


class DatasetRows(Sequence[Row]):
    """Rows in order. Each is made anew when it is asked for: what they hold lies in a spool."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._seen: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def add(self, row: Row) -> None:
        """Keep one more."""
        for column, value in row.values.items():
            self._seen[column][json_type(value)] += 1
        self._spool.add(pack((row.id, row.line, bytes.fromhex(row.digest), dict(row.values))))

    @property
    def column_types(self) -> dict[str, str]:
        """Each column with its JSON types, such as `string` or `null|number`, sorted by column name."""
        return {column: "|".join(sorted(self._seen[column])) for column in sorted(self._seen)}

    @property
    def column_counts(self) -> dict[str, int]:
        """Each column with the number of rows that have it, sorted by column name."""
        return {column: self._seen[column].total() for column in sorted(self._seen)}

    def __len__(self) -> int:
        return len(self._spool)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        """A row, or some of them."""
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        row_id, line, digest, values = unpack(self._spool[index + len(self) if index < 0 else index])
        return Row(id=row_id, line=line, values=MappingProxyType(values), digest=digest.hex())


def parse_rows(
    data: bytes,
    *,
    source: str,
    id_column: str = "id",
    kind: Format = Format.JSONL,
    types: Mapping[str, str] = NO_TYPES,
) -> DatasetRows:
    """Read the bytes of a data file.

    Args:
        data: The file.
        source: The file's name, for messages.
        id_column: The column that names the row; its value is text or an integer.
        kind: The file's format.
        types: Column types for CSV, as a lock has them; a column that is not named is text.

    Raises:
        DatasetError: If it is malformed, has no rows, or a row has no usable and unique id or other columns than the
            rest.
    """
    rows = DatasetRows()
    first_line: dict[str, int] = {}
    for number, values in read_records(data, kind, source=source, types=types):
        where = f"{source}:{number}"
        row_id = _row_id(values, id_column, where=where)
        if row_id in first_line:
            raise DatasetError(
                f"the id {row_id!r} is already used in line {first_line[row_id]}",
                where=where,
                fix="Ids must be unique, because results are paired by them",
            )
        first_line[row_id] = number
        rows.add(Row(id=row_id, line=number, values=MappingProxyType(values), digest=_row_digest(values, where=where)))
    if not rows:
        fix = "Write one JSON object per line" if kind is Format.JSONL else "Write at least one row"
        raise DatasetError("has no rows", where=source, fix=fix)
    _refuse_ragged_columns(rows, source)
    return rows


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
            f"{id_column!r} is a JSON {json_type(value)}", where=where, fix="An id is text or an integer"
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
    plain = row_id.isascii() and row_id.isprintable()
    if not plain and any(unicodedata.category(character) in UNPRINTABLE for character in row_id):
        return "holds an invisible or control character"
    # Test names are suite::case, and the second repeat of a case is shown as case#1.
    if "::" in row_id or REPEAT_SUFFIX.search(row_id):
        return "holds '::' or ends in '#' and digits, which separate the parts of a test name"
    return None


def _row_digest(values: Mapping[str, Json], *, where: str) -> str:
    try:
        return hashlib.sha256(ENCODER.encode(values).encode("utf-8")).hexdigest()
    except UnicodeEncodeError as error:
        raise DatasetError(
            "holds half of a surrogate pair, which is not a character", where=where, fix="Remove the \\ud… escape"
        ) from error


def _refuse_ragged_columns(rows: DatasetRows, source: str) -> None:
    for column, count in rows.column_counts.items():
        if count == len(rows) or column.startswith(RESERVED):
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
