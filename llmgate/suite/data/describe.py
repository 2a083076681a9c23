"""What is in a dataset: rows, columns, lengths, duplicates, slices and clusters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import DatasetError, did_you_mean
from llmgate.suite.data.ngrams import NEAR, near_groups, plain
from llmgate.suite.data.rows import RESERVED
from llmgate.suite.data.strict_json import canonical, texts_in, value_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.suite.asserts import Json
    from llmgate.suite.data.rows import DatasetRows, Row

__all__ = ["ColumnStats", "DatasetStats", "Lengths", "dataset_stats", "stats_lines"]

SLICE_VALUES: Final = 20
"""A column with more different values is no slice, unless somebody says that it is."""
SHOWN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Characters of texts, or members of lists."""

    least: int
    median: float
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStats:
    """One column.

    Attributes:
        name: Its name.
        types: Its JSON types, joined by `|`.
        missing: Rows in which it is null, blank text or not there.
        distinct: How many different values it has.
        lengths: Of its texts and lists; None if it has none.
    """

    name: str
    types: str
    missing: int
    distinct: int
    lengths: Lengths | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStats:
    """A dataset.

    Attributes:
        rows: Number of rows.
        columns: Sorted by name.
        duplicates: Ids of rows that are the same but for their ids, group by group.
        near_duplicates: Ids of rows whose texts are nearly the same, group by group; duplicates count too.
        slices: Column to value to number of rows.
        clusters: Size of a cluster to number of clusters of that size; None without a cluster column.
    """

    rows: int
    columns: tuple[ColumnStats, ...]
    duplicates: tuple[tuple[str, ...], ...]
    near_duplicates: tuple[tuple[str, ...], ...]
    slices: Mapping[str, Mapping[str, int]]
    clusters: Mapping[int, int] | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def dataset_stats(
    rows: DatasetRows,
    *,
    id_column: str,
    slices: Sequence[str] = (),
    cluster: str | None = None,
    texts: Sequence[str] = (),
    near: float = NEAR,
) -> DatasetStats:
    """Describe a dataset.

    Args:
        rows: Its rows.
        id_column: The column that names rows.
        slices: Slice columns; without any, the columns with few different values that repeat.
        cluster: The column whose rows belong together.
        texts: Columns whose texts are compared for near-duplicates; without any, all but the id and the slices.
        near: Least resemblance of near-duplicates.

    Raises:
        DatasetError: If a named column does not exist.
    """
    types = rows.column_types
    for name in (*slices, *([cluster] if cluster else []), *texts):
        if name not in types:
            raise DatasetError(f"there is no column {name!r}", fix=did_you_mean(name, types))
    values = {name: [row.values.get(name) for row in rows] for name in types}
    columns = tuple(_column(name, types[name], values[name]) for name in types)
    sliced = list(slices) or [each.name for each in columns if each.name != id_column and _is_slice(each, len(rows))]
    compared = list(texts) or [name for name in types if name not in {id_column, cluster, *sliced}]
    return DatasetStats(
        rows=len(rows),
        columns=columns,
        duplicates=_duplicates(rows, id_column),
        near_duplicates=_near_duplicates(rows, compared, near),
        slices={name: dict(Counter(map(value_text, values[name])).most_common()) for name in sliced},
        clusters=dict(sorted(Counter(Counter(map(value_text, values[cluster])).values()).items())) if cluster else None,
    )


def stats_lines(stats: DatasetStats) -> list[str]:
    """Word the statistics for a terminal."""
    lines = [f"{stats.rows} rows, {len(stats.columns)} columns"]
    width = max(len(column.name) for column in stats.columns)
    for column in stats.columns:
        lengths = column.lengths
        size = f", length {lengths.least} to {lengths.most}, median {lengths.median:g}" if lengths else ""
        missing = f", {column.missing} missing" if column.missing else ""
        lines.append(f"  {column.name:<{width}}  {column.types}, {column.distinct} distinct{size}{missing}")
    for name, counts in stats.slices.items():
        shown = [f"{value} {count}" for value, count in list(counts.items())[:SLICE_VALUES]]
        rest = len(counts) - len(shown)
        lines.append(f"slice {name}: {', '.join(shown)}" + (f" and {rest} more" if rest > 0 else ""))
    if stats.clusters is not None:
        sizes = ", ".join(f"{count} of {size}" for size, count in stats.clusters.items())
        lines.append(f"clusters: {sum(stats.clusters.values())} ({sizes} rows)")
    lines += _groups("duplicates", stats.duplicates)
    lines += _groups("near-duplicates", stats.near_duplicates)
    return lines


def _column(name: str, types: str, values: Sequence[Json]) -> ColumnStats:
    sizes = sorted(len(value) for value in values if isinstance(value, str | list))
    return ColumnStats(
        name=name,
        types=types,
        missing=sum(value is None or (isinstance(value, str) and not value.strip()) for value in values),
        distinct=len({canonical(value) for value in values}),
        lengths=Lengths(
            least=sizes[0],
            median=float(median(sizes)),
            most=sizes[-1],
        )
        if sizes
        else None,
    )


def _is_slice(column: ColumnStats, rows: int) -> bool:
    scalar = not {"array", "object"} & set(column.types.split("|")) and not column.name.startswith(RESERVED)
    return scalar and 1 < column.distinct <= SLICE_VALUES and 2 * column.distinct <= rows


def _duplicates(rows: Sequence[Row], id_column: str) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = {}
    for row in rows:
        rest = {name: value for name, value in row.values.items() if name != id_column}
        groups.setdefault(canonical(rest), []).append(row.id)
    return tuple(tuple(ids) for ids in groups.values() if len(ids) > 1)


def _near_duplicates(rows: Sequence[Row], columns: Sequence[str], near: float) -> tuple[tuple[str, ...], ...]:
    texts = [plain("\n".join(texts_in([row.values.get(name) for name in columns]))) for row in rows]
    return tuple(tuple(rows[i].id for i in group) for group in near_groups(texts, near=near))


def _groups(what: str, groups: Sequence[tuple[str, ...]]) -> list[str]:
    rows = sum(map(len, groups))
    if not groups:
        return [f"no {what}"]
    lines = [f"{what}: {rows} rows in {len(groups)} group{'' if len(groups) == 1 else 's'}"]
    lines += [f"  {', '.join(ids[:SHOWN])}" + (" …" if len(ids) > SHOWN else "") for ids in groups[:SHOWN]]
    return lines + ([f"  and {len(groups) - SHOWN} more groups"] if len(groups) > SHOWN else [])
