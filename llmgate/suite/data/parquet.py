"""Parquet as rows of JSON values; types that JSON lacks are refused instead of turned into text by somebody's rule."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import DatasetError
from llmgate.record.results.parquet import open_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.suite.asserts import Json

__all__ = ["MAX_ROWS", "read_parquet"]

MAX_ROWS: Final = 1_000_000
"""A file of some kilobytes can claim billions of rows."""
BATCH_ROWS: Final = 4096


def read_parquet(data: bytes, *, source: str) -> Iterator[tuple[int, dict[str, Json]]]:
    """Read a Parquet file.

    Args:
        data: The file.
        source: Its name, for messages.

    Yields:
        The number of a row, from 1, and its columns.

    Raises:
        DatasetError: If pyarrow is missing, the file is damaged, or a column holds what JSON cannot.
    """
    number = 0
    with open_parquet(data, source, DatasetError) as file:
        if file.metadata.num_rows > MAX_ROWS:
            raise DatasetError(
                f"has {file.metadata.num_rows} rows, more than {MAX_ROWS}", where=source, fix="Take a sample of it"
            )
        _check_schema(file.schema_arrow, source)
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            for values in batch.to_pylist():
                number += 1
                yield number, _finite(values, f"{source}:{number}")


def _check_schema(schema: Any, source: str) -> None:
    for name, count in Counter(schema.names).items():
        if count > 1:
            raise DatasetError(f"the column {name!r} is there {count} times", where=source, fix="Rename one of them")
    for field in schema:
        other = _not_json(field.type)
        if other is not None:
            raise DatasetError(
                f"the column {field.name!r} holds {other}, which JSON does not have",
                where=source,
                fix="Cast it to text or to a number before you write the file",
            )


def _not_json(kind: Any) -> str | None:
    """The first type in a type that JSON lacks."""
    from pyarrow import types  # noqa: PLC0415 - an extra, imported by the caller

    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_dictionary)
    numbers = (types.is_null, types.is_boolean, types.is_integer, types.is_floating)
    scalars = (*numbers, types.is_string, types.is_large_string, types.is_string_view)
    stack = [kind]
    while stack:
        kind = stack.pop()
        if types.is_struct(kind):
            names = [kind.field(i).name for i in range(kind.num_fields)]
            if len(set(names)) < len(names):
                return "a struct that names a field twice"
            stack.extend(kind.field(i).type for i in range(kind.num_fields))
        elif any(matches(kind) for matches in lists):
            stack.append(kind.value_type)
        elif not any(matches(kind) for matches in scalars):
            return str(kind)
    return None


def _finite(values: dict[str, Json], where: str) -> dict[str, Json]:
    """The row, unless it holds NaN or infinity."""
    stack: list[tuple[str, Json]] = list(values.items())
    while stack:
        name, value = stack.pop()
        if isinstance(value, float) and not float("-inf") < value < float("inf"):
            raise DatasetError(f"the column {name!r} holds {value}", where=where, fix="Write null where nothing is")
        if isinstance(value, list):
            stack.extend((name, part) for part in value)
        elif isinstance(value, dict):
            stack.extend((name, part) for part in value.values())
    return values
