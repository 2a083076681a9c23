"""The lock file of a dataset: what its rows were when its version was given."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from llmgate.errors import DatasetError
from llmgate.record.disk import JsonForm, write_atomic
from llmgate.suite.data.formats import Format
from llmgate.suite.data.source import DatasetSource, as_source, read_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.suite.data.rows import Row

__all__ = [
    "LOCK_MAJOR",
    "Lock",
    "lock_path",
    "next_version",
    "parse_lock",
    "read_lock",
    "save_lock",
    "version_key",
]

LOCK_MAJOR = 1
"""A lock of another major version is refused."""

VERSION = re.compile(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")
SHA256 = re.compile(r"[0-9a-f]{64}")
ROW_LINE = re.compile(r"[0-9a-f]{64} .+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What a dataset was when its version was given.

    Attributes:
        name: Dataset name.
        version: `major.minor.patch`.
        licence: SPDX expression or words; `unspecified` if nobody said.
        id_column: The column that names rows.
        sha256: Of the file's bytes.
        row_count: Number of rows.
        columns: Column to its JSON types.
        rows: One `digest id` per row, in file order.
        format: How the data is written.
        source: The pinned URI of data that lies elsewhere; empty for a file beside the lock.
        upstream: What the data's keeper calls this content, such as MLflow's digest; for readers only.
        origin: Where rows that were made from others come from; for readers only.
        major: Format of this file.

    Raises:
        ValueError: If fields are malformed or contradict each other.
    """

    name: str
    version: str
    licence: str
    id_column: str
    sha256: str
    row_count: int
    columns: Mapping[str, str]
    rows: tuple[str, ...]
    format: str = Format.JSONL.value
    source: str = ""
    upstream: str = ""
    origin: str = ""
    major: int = LOCK_MAJOR

    def __post_init__(self) -> None:
        version_key(self.version)
        if self.format not in set(Format):
            raise ValueError(f"format {self.format!r} is not one of {', '.join(Format)}")
        if not SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256 {self.sha256!r} is not 64 hexadecimal digits")
        if not all(ROW_LINE.fullmatch(line) for line in self.rows):
            raise ValueError("an entry of rows is not a digest, a space and an id")
        ids = len({line[65:] for line in self.rows})
        if not len(self.rows) == ids == self.row_count:
            raise ValueError(f"row_count is {self.row_count}, but rows names {ids} different ids")

    def holds(self, rows: Sequence[Row]) -> bool:
        """Whether these are the locked rows, in order."""
        return len(rows) == len(self.rows) and all(
            known[:64] == row.digest and known[65:] == row.id for known, row in zip(self.rows, rows, strict=True)
        )

    @property
    def digests(self) -> dict[str, str]:
        """Row id to digest, in file order."""
        return {line[65:]: line[:64] for line in self.rows}

    @property
    def cell_types(self) -> dict[str, str]:
        """Types of the columns that are not text, by which the cells of a CSV file are read."""
        return {name: kinds for name, kinds in self.columns.items() if kinds != "string"}


LOCK = JsonForm(Lock)


def lock_path(path: Path | DatasetSource) -> Path:
    """Return where the lock of a dataset lies: beside the file, or beside the suite for data that lies elsewhere."""
    return as_source(path).lock


def read_lock(path: Path | DatasetSource) -> Lock:
    """Read the lock of a dataset, without comparing.

    Raises:
        DatasetError: If it is missing, malformed, or of an unknown major version.
    """
    source = as_source(path)
    return parse_lock(
        read_bytes(
            source.lock,
            missing_fix=f"Run `{source.command}` and commit the lock with the data",
            within=source.reach,
        ),
        source,
    )


def parse_lock(data: bytes, source: DatasetSource) -> Lock:
    """Read the bytes of a lock.

    Raises:
        DatasetError: If it is malformed, or of an unknown major version.
    """
    where = str(source.lock)
    relock = f"Restore it from version control, or delete it and run `{source.command} --version` with a new version"
    try:
        head = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"the lock is not JSON: {error}", where=where, fix=relock) from error
    major = head.get("major") if isinstance(head, dict) else None
    del head  # of 200,000 rows, which are read again below
    if major != LOCK_MAJOR or isinstance(major, bool):
        raise DatasetError(
            f"the lock has format major {major!r}, but this llmgate reads {LOCK_MAJOR}",
            where=where,
            fix="Use the llmgate version that wrote it" if isinstance(major, int) else relock,
        )
    try:
        lock = LOCK.validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DatasetError(
            f"the lock is malformed: {field} {first['msg']}".rstrip(), where=where, fix=relock
        ) from error
    return lock


def save_lock(path: Path | DatasetSource, lock: Lock) -> None:
    """Write the lock of a dataset: whole or not at all. What says nothing is left out.

    Raises:
        DatasetError: If it cannot be written.
    """
    fields = {"major": lock.major, **json.loads(LOCK.dump_json(lock, exclude_defaults=True))}
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False, indent=2)
    write_atomic(lock_path(path), f"{text}\n".encode(), error=DatasetError, private=False)


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by.

    Raises:
        ValueError: If it is not `major.minor.patch`.
    """
    match = VERSION.fullmatch(version)
    if not match:
        raise ValueError(f"version {version!r} is not major.minor.patch")
    return tuple(int(part) for part in match.groups())


def next_version(version: str) -> str:
    """Return the next minor version, for messages."""
    major, minor, _ = version_key(version)
    return f"{major}.{minor + 1}.0"
