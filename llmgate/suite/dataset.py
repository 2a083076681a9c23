"""Rows and their lock: load, digest, refuse content that changed without a new version.

The lock lies beside the data as `<stem>.lock.json` and is committed with it. Its digest is over the file's bytes, so
a repository should keep git from changing line endings (`datasets/** -text` in `.gitattributes`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from llmgate.errors import DatasetError
from llmgate.suite.drift import Drift, compare_rows
from llmgate.suite.lock import Lock, lock_path, next_version, read_bytes, read_lock, save_lock, version_key
from llmgate.suite.rows import Row, column_types, parse_rows

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Dataset", "Lock", "Row", "check_lock", "load_dataset", "lock_path", "read_lock", "write_lock"]

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
    rows: tuple[Row, ...]
    digest: str


def load_dataset(path: Path, *, id_column: str = "id") -> Dataset:
    """Read a dataset and hold it against its lock.

    Args:
        path: The JSONL file; its lock lies beside it.
        id_column: The column that names rows.

    Raises:
        DatasetError: If the file or its lock is missing or malformed, or they differ.
    """
    return _load(path, id_column)[0]


def check_lock(path: Path, *, id_column: str = "id") -> Lock:
    """Return the lock of a dataset that matches it.

    Raises:
        DatasetError: As `load_dataset`.
    """
    return _load(path, id_column)[1]


def write_lock(
    path: Path,
    *,
    version: str | None = None,
    licence: str | None = None,
    name: str | None = None,
    id_column: str | None = None,
) -> Lock:
    """Lock the dataset at `path` as it is now.

    What is not given stays as in the existing lock; a first lock is version 1.0.0 and named after the file.

    Args:
        path: The JSONL file.
        version: `major.minor.patch`; must be higher than the locked one if the content changed.
        licence: SPDX expression or words.
        name: Dataset name.
        id_column: The column that names rows.

    Raises:
        DatasetError: If the file is malformed, or the content changed and the version is not a higher one.
    """
    old = read_lock(path) if lock_path(path).exists() else None
    data = read_bytes(path, missing_fix="Check the path")
    id_column = id_column or (old.id_column if old else "id")
    rows = parse_rows(data, source=str(path), id_column=id_column)
    version = version or (old.version if old else FIRST_VERSION)
    _check_version(version, path)
    if old:
        _refuse_reuse(old, path, version=version, data=data, rows=rows, id_column=id_column)
    lock = Lock(
        name=name or (old.name if old else path.stem),
        version=version,
        licence=licence or (old.licence if old else UNSPECIFIED),
        id_column=id_column,
        sha256=hashlib.sha256(data).hexdigest(),
        row_count=len(rows),
        columns=MappingProxyType(column_types(rows)),
        rows=tuple(f"{row.digest} {row.id}" for row in rows),
    )
    save_lock(path, lock)
    return lock


def _load(path: Path, id_column: str) -> tuple[Dataset, Lock]:
    data = read_bytes(path, missing_fix="Check the `dataset:` path, which is relative to the suite file")
    rows = parse_rows(data, source=str(path), id_column=id_column)
    lock = read_lock(path)
    _refuse_drift(lock, path, data=data, rows=rows, id_column=id_column)
    dataset = Dataset(
        name=lock.name,
        version=lock.version,
        licence=lock.licence,
        columns=tuple(sorted(lock.columns)),
        rows=rows,
        digest=lock.sha256,
    )
    return dataset, lock


def _refuse_drift(lock: Lock, path: Path, *, data: bytes, rows: tuple[Row, ...], id_column: str) -> None:
    if lock.id_column != id_column:
        raise DatasetError(
            f"locked with the id column {lock.id_column!r}, but asked for {id_column!r}",
            where=str(path),
            fix=f"Write `case: {{id: {lock.id_column}}}`, or lock a new version with `--id-column {id_column}`",
        )
    drift = compare_rows(lock.digests, rows)
    if drift or hashlib.sha256(data).hexdigest() != lock.sha256:
        raise _drift_error(lock, path, drift, data)
    if dict(lock.columns) != column_types(rows):
        raise DatasetError(
            "the lock names other columns than the data it belongs to",
            where=str(lock_path(path)),
            fix="Somebody edited it; restore it from version control",
        )


def _drift_error(lock: Lock, path: Path, drift: Drift, data: bytes) -> DatasetError:
    fix = f"Run `llmgate lock {path} --version {next_version(lock.version)}` to lock it as it is, or restore the file"
    since = f"since version {lock.version} was locked"
    if drift:
        where = f"{path}:{drift.line}" if drift.line else str(path)
        return DatasetError(f"{drift} {since}", where=where, fix=fix)
    endings = (data.replace(b"\r\n", b"\n"), data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    if lock.sha256 in {hashlib.sha256(variant).hexdigest() for variant in endings}:
        return DatasetError(
            f"the line endings changed {since}",
            where=str(path),
            fix="Put `datasets/** -text` into .gitattributes and check the file out again",
        )
    return DatasetError(f"no row changed, but the file's bytes did {since}", where=str(path), fix=fix)


def _refuse_reuse(old: Lock, path: Path, *, version: str, data: bytes, rows: tuple[Row, ...], id_column: str) -> None:
    if version_key(version) > version_key(old.version):
        return
    if version_key(version) < version_key(old.version):
        raise DatasetError(
            f"version {version} is lower than the locked {old.version}",
            where=str(lock_path(path)),
            fix=f"Use {next_version(old.version)} or higher, so that a version never means two things",
        )
    _refuse_drift(old, path, data=data, rows=rows, id_column=id_column)


def _check_version(version: str, path: Path) -> None:
    try:
        version_key(version)
    except ValueError as error:
        raise DatasetError(str(error), where=str(path), fix="Write three numbers, such as 1.1.0") from error
