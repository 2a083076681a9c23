"""Plain tables in Parquet, read by column: a million items are arrays and never a million objects."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from llmgate.errors import DatasetError, RecordError
from llmgate.record.growth import CELL
from llmgate.record.results.rows import NO_SCORE
from llmgate.record.scores import NO_LABEL, Items, Labels, ScoreTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from llmgate.record.growth import Growth
    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile

__all__ = ["check_pages", "open_parquet", "read_parquet", "text_bytes"]

EXTRA: Final = "pip install 'pytest-llmgate[data]'"
MAGIC: Final = b"PAR1"
MAX_FOOTER_BYTES: Final = 20_000_000
"""What it says of columns and row groups becomes ten times as large."""
MAX_COLUMNS: Final = 10_000
FEWER: Final = "Write it with fewer columns and larger row groups"


def read_parquet(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """Read the columns that the layout names. Null and NaN are no score and count as an error.

    Raises:
        RecordError: If pyarrow is missing, the file is damaged, a column is missing or has a type that it cannot have,
            an id is null, empty or occurs twice, or a score lies outside [0, 1].
    """
    with open_parquet(source.data, source.growth) as file:
        names = file.schema_arrow.names
        _check_names(names, layout, source.path)
        columns = [name for name in layout.known if name in names]
        check_pages(file, source.growth, columns)
        table = file.read(columns=columns)
        source.growth.spend(sum(text_bytes(chunk) for column in table.columns for chunk in column.chunks))
        return _tables(_Columns(_chosen(table, layout), source.path), layout, suite=suite)


@contextmanager
def open_parquet(data: bytes, growth: Growth, error: type[DatasetError | RecordError] = RecordError) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile` over bytes, whose texts stay as they are stored: each once, and where it stands.

    Raises:
        RecordError, DatasetError: As `error` says, if pyarrow is missing or what is read within the block is damaged.
    """
    where = growth.where
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, 0.3 s to import
        from pyarrow import parquet  # noqa: PLC0415 - see above
    except ImportError as missing:
        raise error("Parquet files need pyarrow", where=where, fix=EXTRA) from missing

    if data.endswith(MAGIC) and int.from_bytes(data[-8:-4], "little") > MAX_FOOTER_BYTES:
        raise error(f"its footer has more than {MAX_FOOTER_BYTES} bytes", where=where, fix=FEWER)
    try:
        known = parquet.read_metadata(pa.BufferReader(data))
        if known.num_columns > MAX_COLUMNS:
            raise error(f"has {known.num_columns} columns, more than {MAX_COLUMNS}", where=where, fix=FEWER)
        columns = [known.schema.column(i) for i in range(known.num_columns)]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        yield parquet.ParquetFile(pa.BufferReader(data), metadata=known, read_dictionary=texts)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as damage:
        first = (str(damage).strip() or type(damage).__name__).splitlines()[0]
        raise error(f"is not Parquet that can be read: {first[:300]}", where=where, fix="Write it again") from damage


def check_pages(file: Any, growth: Growth, columns: Sequence[str] | None = None) -> None:
    """Pay for the values and the unpacked pages of some columns, before they are read.

    Raises:
        DatasetError, RecordError: If they grow too large.
    """
    for group in range(file.metadata.num_row_groups):
        about = file.metadata.row_group(group)
        chunks = [about.column(i) for i in range(about.num_columns)]
        read = [chunk for chunk in chunks if columns is None or chunk.path_in_schema.partition(".")[0] in columns]
        growth.spend(sum(chunk.total_uncompressed_size + CELL * chunk.num_values for chunk in read))


def text_bytes(array: Any) -> int:
    """What the texts of an array come to when each is written out wherever it stands."""
    from pyarrow import compute, types  # noqa: PLC0415 - an extra, imported by the caller

    kind = array.type
    if types.is_struct(kind):
        return sum(text_bytes(part) for part in array.flatten())
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return text_bytes(array.flatten())
    if types.is_dictionary(kind):
        lengths = compute.binary_length(array.dictionary).take(array.indices)
    elif types.is_string(kind) or types.is_large_string(kind):
        lengths = compute.binary_length(array)
    else:
        return 0
    return compute.sum(lengths.cast("int64")).as_py() or 0


def _check_names(names: list[str], layout: Layout, where: str) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise RecordError(f"the column {twice[0]!r} is there twice", where=where, fix="Rename one of them")
    layout.check(names, where)


def _chosen(table: Any, layout: Layout) -> Any:
    """The rows with the values that the layout asks for."""
    from pyarrow import compute  # noqa: PLC0415 - an extra, imported by the caller

    for column, value in layout.only:
        table = table.filter(compute.equal(table[column].cast("string"), value))
    return table


class _Columns:
    """The columns of a table as numpy sees them."""

    def __init__(self, table: Any, where: str) -> None:
        self.table = table
        self.where = where

    def __contains__(self, name: str) -> bool:
        return name in self.table.column_names

    def refuse(self, name: str, what: str, row: int | None = None) -> RecordError:
        """What is wrong with a column, or a cell of it; rows count from 1."""
        place = self.where if row is None else f"{self.where}:{row + 1}"
        return RecordError(f"{name} {what}", where=place, fix="Cast or correct it before you write the file")

    def text(self, name: str) -> Any:
        """A column of texts, as Arrow has it; whole numbers are written out."""
        from pyarrow import types  # noqa: PLC0415 - an extra, imported by the caller

        column = self.table[name].combine_chunks()
        kind = column.type.value_type if types.is_dictionary(column.type) else column.type
        if types.is_integer(kind) or types.is_boolean(kind):
            return column.cast("string")
        if types.is_null(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
            return column
        raise self.refuse(name, f"holds {column.type}, but must hold text or whole numbers")

    def ids(self, name: str) -> NDArray[np.object_]:
        """The ids, each once."""
        column = self.text(name)
        if column.null_count:
            raise self.refuse(name, "is null", int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0]))
        ids: NDArray[np.object_] = np.asarray(column.cast("string").to_numpy(zero_copy_only=False), dtype=np.object_)
        listed = ids.tolist()
        if "" in listed:
            raise self.refuse(name, "is empty", listed.index(""))
        return ids

    def labels(self, name: str) -> Labels:
        """A column of which many rows share few texts."""
        from pyarrow import types  # noqa: PLC0415 - an extra, imported by the caller

        column = self.text(name)
        if not types.is_dictionary(column.type):
            column = column.cast("string").dictionary_encode()
        codes = column.indices.fill_null(NO_LABEL).to_numpy(zero_copy_only=False).astype(np.int64)
        names = tuple(column.dictionary.to_pylist())
        if None in names or len(set(names)) < len(names):
            return Labels.of(column.to_pylist())
        return Labels(codes=codes, names=names)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of numbers in [0, 1], NaN where there is none."""
        from pyarrow import types  # noqa: PLC0415 - an extra, imported by the caller

        column = self.table[name]
        if types.is_boolean(column.type):
            column = column.cast("int8")
        if not (types.is_floating(column.type) or types.is_integer(column.type) or types.is_null(column.type)):
            kind = column.type.value_type if types.is_dictionary(column.type) else column.type
            raise self.refuse(name, f"holds {kind}, but must hold numbers")
        numbers: NDArray[np.float64] = column.cast("float64").to_numpy()
        outside = ~(np.isnan(numbers) | ((numbers >= 0.0) & (numbers <= 1.0)))
        if bool(outside.any()):
            row = int(np.flatnonzero(outside)[0])
            raise RecordError(
                f"{name} is {numbers[row]:g}, but must lie in [0, 1]",
                where=f"{self.where}:{row + 1}",
                fix="Divide by the largest possible score",
            )
        return numbers


def _tables(columns: _Columns, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    if not columns.table.num_rows:
        only = " and ".join(f"{column} = {value}" for column, value in layout.only)
        raise RecordError(
            f"no scores{f' with {only}' if only else ''}", where=columns.where, fix="Write a row per item"
        )
    clusters = columns.labels(layout.cluster_column) if layout.cluster_column in columns else None
    ids, slices = columns.ids(layout.item_column), {name: columns.labels(name) for name in layout.slices}
    try:
        items = Items(ids=ids, clusters=clusters if clusters is not None and clusters.names else None, slices=slices)
    except ValueError:
        # Looked for only now: that a million ids differ takes long to check, and the items do so themselves.
        item, times = Counter(ids.tolist()).most_common(1)[0]
        if times == 1:
            raise
        raise RecordError(
            f"{layout.item_column} {item!r} occurs {times} times",
            where=columns.where,
            fix="Write one row per item; average repeats first",
        ) from None
    causes = columns.labels(layout.error_column) if layout.error_column in columns else None
    human = columns.numbers(layout.human_column) if layout.human_column in columns else None
    if human is not None and bool(np.all(np.isnan(human))):
        human = None
    if human is not None and len(layout.score_columns) > 1:
        raise RecordError(
            f"people's scores stand beside {len(layout.score_columns)} columns of scores",
            where=columns.where,
            fix="Name the one that they are about: --score COLUMN",
        )
    tables = []
    for name in layout.score_columns:
        scores, errors = _with_errors(columns.numbers(name), causes)
        tables.append(ScoreTable(suite=suite, metric=name, items=items, scores=scores, errors=errors, human=human))
    return tuple(tables)


def _with_errors(scores: NDArray[np.float64], causes: Labels | None) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Scores without those of rows that say why there is none, and the reasons."""
    lost = np.isnan(scores)
    if causes is not None:
        named = np.array([bool(name) for name in causes.names] + [False])
        lost = lost | named[causes.codes]
        scores = np.where(lost, np.nan, scores)
    errors = {}
    for row in np.flatnonzero(lost).tolist():
        errors[row] = (causes.at(row) if causes is not None else None) or NO_SCORE
    return scores, errors
