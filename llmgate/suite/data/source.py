"""Where the rows of a dataset come from, and where their lock lies.

A lock lies beside a file as `<stem>.lock.json`. Data on a hub or in MLflow has no folder of its own here, so its lock
lies beside the suite that names it, as the URI without its revision, with `-` for what a file name cannot hold:
`hf-datasets-owner-name-file.parquet.lock.json`, `mlflow-datasets-support.lock.json`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from llmgate.errors import DatasetError
from llmgate.record.disk import read_lined, read_regular
from llmgate.record.reach import Reach
from llmgate.suite.data.formats import Format, format_of

__all__ = ["Content", "DatasetSource", "as_source", "read_bytes", "remote_source"]

UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The bytes of a dataset.

    Attributes:
        data: The bytes.
        kind: How they are written.
        upstream: What their keeper calls this content, such as `mlflow digest 1a2b3c4d`.
    """

    data: bytes
    kind: Format
    upstream: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSource:
    """Where rows come from.

    Attributes:
        name: Path or URI, for messages.
        title: What a dataset without another name is called.
        lock: Where its lock lies.
        folder: Where relative paths in its rows start.
        uri: The pinned URI; empty for a file.
        path: The file, None for a URI.
        reach: Where the file has to lie; None for one that the user named.
        command: What locks it.
        fetch: Gets the content of a URI.
    """

    name: str
    title: str
    lock: Path
    folder: Path
    command: str
    uri: str = ""
    path: Path | None = None
    reach: Reach | None = None
    fetch: Callable[[], Content] | None = field(default=None, repr=False, compare=False)

    @property
    def may_bring_asserts(self) -> bool:
        """Whether rows may have `__expected` cells, which only tables of text have."""
        return self.name.lower().partition("@")[0].endswith(".csv")

    def read(self, *, missing_fix: str) -> Content:
        """Get the bytes.

        Args:
            missing_fix: What to advise if a file does not exist.

        Raises:
            DatasetError: If they cannot be had.
        """
        if self.path is not None:
            data = read_bytes(self.path, missing_fix=missing_fix, within=self.reach)
            return Content(data=data, kind=format_of(self.path))
        if self.fetch is None:
            raise DatasetError("there is neither a file nor a way to get one", where=self.name)
        return self.fetch()


def as_source(path: Path | DatasetSource, reach: Reach | None = None) -> DatasetSource:
    """A file on disk as a source; a source stays as it is."""
    if isinstance(path, DatasetSource):
        return path
    return DatasetSource(
        name=str(path),
        title=path.stem,
        lock=path.with_name(f"{path.stem}.lock.json"),
        folder=path.parent,
        command=f"llmgate lock {path}",
        path=path,
        reach=reach,
    )


def remote_source(uri: str, *, stable: str, title: str, folder: Path, fetch: Callable[[], Content]) -> DatasetSource:
    """Data that lies elsewhere.

    Args:
        uri: Where, pinned.
        stable: The part of it that does not change from one revision to the next.
        title: What a dataset without another name is called.
        folder: The folder of the suite.
        fetch: Gets the content.
    """
    return DatasetSource(
        name=uri,
        title=title,
        lock=folder / f"{UNSAFE.sub('-', stable)}.lock.json",
        folder=folder,
        command=f"llmgate lock {uri} --beside {folder}",
        uri=uri,
        fetch=fetch,
    )


def read_bytes(path: Path, *, missing_fix: str, within: Reach | None = None) -> bytes:
    """Read a file.

    Args:
        path: The file.
        missing_fix: What to advise if it does not exist.
        within: Where it has to lie; None for one that the user named.

    Raises:
        DatasetError: If it cannot be read.
    """
    try:
        read = read_regular if format_of(path) is Format.PARQUET else read_lined
        return read(path, within=within)
    except FileNotFoundError as error:
        raise DatasetError("there is no such file", where=str(path), fix=missing_fix) from error
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror}", where=str(path), fix="Check the path") from error
