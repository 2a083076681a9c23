"""Rows and their lock: load, digest, refuse content that changed without a new version.

The lock of a file lies beside it as `<stem>.lock.json`; that of data on a hub or in MLflow beside the suite that names
it (see `source`). It is committed with the data or the suite. Its digest is over the bytes, so a repository should keep
git from changing line endings (`datasets/** -text` in `.gitattributes`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.errors import DatasetError, did_you_mean
from llmgate.suite.data.csv import check_types
from llmgate.suite.data.diff import Drift, compare_rows
from llmgate.suite.data.formats import NO_TYPES, Format
from llmgate.suite.data.lock import Lock, next_version, read_lock, save_lock, version_key
from llmgate.suite.data.rows import DatasetRows, parse_rows
from llmgate.suite.data.source import Content, DatasetSource, as_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Dataset", "check_lock", "load_dataset", "read_rows", "write_lock"]

FIRST_VERSION = "1.0.0"
UNSPECIFIED = "unspecified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Rows that match their lock.

    Attributes:
        name: From the lock.
        version: From the lock.
        licence: SPDX expression or words, from the lock.
        columns: Column names, sorted.
        rows: In file order; at least one.
        digest: Full SHA-256 of the file's bytes.
    """

    name: str
    version: str
    licence: str
    columns: tuple[str, ...]
    rows: DatasetRows
    digest: str


def load_dataset(path: Path | DatasetSource, *, id_column: str = "id") -> Dataset:
    """Read a dataset and hold it against its lock.

    Args:
        path: The data file, or where else the rows come from.
        id_column: The column that names rows.

    Raises:
        DatasetError: If the data or its lock is missing or malformed, or they differ.
    """
    return _load(as_source(path), id_column)[0]


def check_lock(path: Path | DatasetSource, *, id_column: str = "id") -> Lock:
    """Return the lock of a dataset that matches it.

    Raises:
        DatasetError: As `load_dataset`.
    """
    return _load(as_source(path), id_column)[1]


def read_rows(
    source: DatasetSource, content: Content, *, id_column: str, types: Mapping[str, str] = NO_TYPES
) -> DatasetRows:
    """Read the rows of a dataset without asking its lock.

    Raises:
        DatasetError: If they are malformed.
    """
    return parse_rows(content.data, source=source.name, id_column=id_column, kind=content.kind, types=types)


def write_lock(
    path: Path | DatasetSource,
    *,
    version: str | None = None,
    licence: str | None = None,
    name: str | None = None,
    id_column: str | None = None,
    types: Mapping[str, str] = NO_TYPES,
    origin: str | None = None,
    before: Lock | None = None,
) -> Lock:
    """Lock a dataset as it is now.

    What is not given stays as in the lock before; a first lock is version 1.0.0 and named after the file.

    Args:
        path: The data file, or where else the rows come from.
        version: `major.minor.patch`; must be higher than the locked one if the content changed.
        licence: SPDX expression or words.
        name: Dataset name.
        id_column: The column that names rows.
        types: Types of CSV columns that are not text, such as `number` or `null|array`.
        origin: Where rows that were made from others come from.
        before: The lock that was there, if it is there no more.

    Raises:
        DatasetError: If the data is malformed, or the content changed and the version is not a higher one.
    """
    source = as_source(path)
    old = read_lock(source) if source.lock.exists() else before
    content = source.read(missing_fix="Check the path")
    id_column = id_column or (old.id_column if old else "id")
    _check_types(types, content, source)
    rows = read_rows(source, content, id_column=id_column, types={**(old.cell_types if old else {}), **types})
    _check_columns(types, rows, source)
    version = version or (old.version if old else FIRST_VERSION)
    _check_version(version, source)
    if old:
        _refuse_reuse(old, source, version=version, content=content, rows=rows, id_column=id_column)
    lock = Lock(
        name=name or (old.name if old else source.title),
        version=version,
        licence=licence or (old.licence if old else UNSPECIFIED),
        id_column=id_column,
        sha256=hashlib.sha256(content.data).hexdigest(),
        row_count=len(rows),
        columns=rows.column_types,
        rows=tuple(f"{row.digest} {row.id}" for row in rows),
        format=content.kind.value,
        source=source.uri,
        upstream=content.upstream,
        origin=(old.origin if old else "") if origin is None else origin,
    )
    save_lock(source, lock)
    return lock


def _load(source: DatasetSource, id_column: str) -> tuple[Dataset, Lock]:
    content = source.read(missing_fix="Check the `dataset:` path, which is relative to the suite file")
    # Cells are read with the types that the lock knows; other formats say their types themselves.
    known = read_lock(source) if content.kind is Format.CSV else None
    rows = read_rows(source, content, id_column=id_column, types=known.cell_types if known else NO_TYPES)
    lock = known or read_lock(source)
    _refuse_other_source(lock, source, content)
    _refuse_drift(lock, source, content=content, rows=rows, id_column=id_column)
    dataset = Dataset(
        name=lock.name,
        version=lock.version,
        licence=lock.licence,
        columns=tuple(sorted(lock.columns)),
        rows=rows,
        digest=lock.sha256,
    )
    return dataset, lock


def _check_types(types: Mapping[str, str], content: Content, source: DatasetSource) -> None:
    if types and content.kind is not Format.CSV:
        raise DatasetError(
            "types are for CSV: this format says itself what its values are", where=source.name, fix="Leave --type out"
        )
    check_types(types, source=source.name)


def _check_columns(types: Mapping[str, str], rows: DatasetRows, source: DatasetSource) -> None:
    for name in types:
        if name not in rows[0].values:
            raise DatasetError(
                f"there is no column {name!r}", where=source.name, fix=did_you_mean(name, rows[0].values)
            )


def _refuse_other_source(lock: Lock, source: DatasetSource, content: Content) -> None:
    if lock.source != source.uri:
        raise DatasetError(
            f"the lock is for {lock.source or 'a file beside it'}, not for {source.name}",
            where=str(source.lock),
            fix=f"Name the locked one, or run `{source.command} --version {next_version(lock.version)}`",
        )
    if lock.format != content.kind.value:
        raise DatasetError(
            f"the lock is for the format {lock.format}, but the data is {content.kind.value}",
            where=str(source.lock),
            fix="Give files of different formats different names, as each has its own lock",
        )


def _refuse_drift(lock: Lock, source: DatasetSource, *, content: Content, rows: DatasetRows, id_column: str) -> None:
    if lock.id_column != id_column:
        raise DatasetError(
            f"locked with the id column {lock.id_column!r}, but asked for {id_column!r}",
            where=source.name,
            fix=f"Write `case: {{id: {lock.id_column}}}`, or lock a new version with `--id-column {id_column}`",
        )
    drift = Drift() if lock.holds(rows) else compare_rows(lock.digests, rows)
    if drift or hashlib.sha256(content.data).hexdigest() != lock.sha256:
        raise _drift_error(lock, source, drift, content.data)
    if dict(lock.columns) != rows.column_types:
        raise DatasetError(
            "the lock names other columns than the data it belongs to",
            where=str(source.lock),
            fix="Somebody edited it; restore it from version control",
        )


def _drift_error(lock: Lock, source: DatasetSource, drift: Drift, data: bytes) -> DatasetError:
    path = source.name
    fix = f"Run `{source.command} --version {next_version(lock.version)}` to lock it as it is, or restore the file"
    since = f"since version {lock.version} was locked"
    if drift:
        where = f"{path}:{drift.line}" if drift.line else path
        return DatasetError(f"{drift} {since}", where=where, fix=fix)
    endings = (data.replace(b"\r\n", b"\n"), data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    if lock.sha256 in {hashlib.sha256(variant).hexdigest() for variant in endings}:
        return DatasetError(
            f"the line endings changed {since}",
            where=path,
            fix="Put `datasets/** -text` into .gitattributes and check the file out again",
        )
    return DatasetError(f"no row changed, but the file's bytes did {since}", where=path, fix=fix)


def _refuse_reuse(
    old: Lock, source: DatasetSource, *, version: str, content: Content, rows: DatasetRows, id_column: str
) -> None:
    if version_key(version) > version_key(old.version):
        return
    if version_key(version) < version_key(old.version):
        raise DatasetError(
            f"version {version} is lower than the locked {old.version}",
            where=str(source.lock),
            fix=f"Use {next_version(old.version)} or higher, so that a version never means two things",
        )
    _refuse_other_source(old, source, content)
    _refuse_drift(old, source, content=content, rows=rows, id_column=id_column)


def _check_version(version: str, source: DatasetSource) -> None:
    try:
        version_key(version)
    except ValueError as error:
        raise DatasetError(str(error), where=source.name, fix="Write three numbers, such as 1.1.0") from error
