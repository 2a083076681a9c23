"""Parquet as rows of JSON values; types that JSON lacks are refused instead of turned into text by somebody's rule."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import DatasetError
from llmgate.record.growth import ROW, check_rows
from llmgate.record.results.parquet import check_pages, open_parquet, text_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.growth import Growth
    from llmgate.suite.asserts import Json

__all__ = ["read_parquet"]

BATCH_ROWS: Final = 4096


def read_parquet(data: bytes, *, growth: Growth) -> Iterator[tuple[int, dict[str, Json]]]:
    """Read a Parquet file.

    Args:
        data: The file.
        growth: What reading it may cost.

    Yields:
        The number of a row, from 1, and its columns.

    Raises:
        DatasetError: If pyarrow is missing, the file is damaged, or a column holds what JSON cannot.
    """
    number, source = 0, growth.where
    with open_parquet(data, growth, DatasetError) as file:
        check_rows(file.metadata.num_rows, source)
        _check_schema(file.schema_arrow, source)
        check_pages(file, growth)
        growth.spend(ROW * file.metadata.num_rows)
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            growth.spend(sum(map(text_bytes, batch.columns)))
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
