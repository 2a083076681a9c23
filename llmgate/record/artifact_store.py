"""Where MLflow keeps files: what a run names is only read from there.

Whoever may log a run chooses what it names: any path of this machine, any address that this machine reaches. So files
are taken from the folder of a run's experiment only, and from there only

- over MLflow's own server and out of object stores,
- on this machine: below the folder of the store that the user named (`sqlite:///…`, a folder), or MLflow's own folders
  in the working directory.
"""

from __future__ import annotations

import posixpath
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.record.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["is_artifact_store", "lies_below", "local_path", "local_reach", "location_parts"]

OBJECT_STORES: Final = frozenset({"s3", "gs", "wasbs", "abfss", "dbfs", "hdfs"})
OWN_SERVER: Final = "mlflow-artifacts"
OWN_FOLDERS: Final = ("mlruns", "mlartifacts")


def location_parts(location: str) -> urllib.parse.SplitResult:
    """The parts of a location. Of what is no URL, such as `file://[`, a scheme that nothing is taken from."""
    try:
        return urllib.parse.urlsplit(location)
    except ValueError:
        return urllib.parse.SplitResult(scheme="unreadable", netloc="", path="", query="", fragment="")


def is_artifact_store(location: str) -> bool:
    """Whether files are taken from a location: a folder here, MLflow's server, an object store, and no other host."""
    parts = location_parts(location)
    if local_path(location) is not None:
        return True
    return parts.scheme in OBJECT_STORES or (parts.scheme == OWN_SERVER and not parts.netloc)


def local_path(location: str) -> Path | None:
    """The path of a location on this machine, None if it is none."""
    parts = location_parts(location)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(urllib.parse.unquote(parts.path))
    return Path(location) if not parts.scheme and not parts.netloc else None


def lies_below(location: str, folders: Iterable[str]) -> bool:
    """Whether a location that is not on this machine lies below one of several folders."""
    there = location_parts(location)
    if not is_artifact_store(location) or there.query or there.fragment or "%" in location or "\\" in location:
        return False
    for folder in map(location_parts, folders):
        root = posixpath.normpath(folder.path or "/").rstrip("/")
        same = (there.scheme, there.netloc) == (folder.scheme, folder.netloc)
        if same and posixpath.normpath(there.path) == there.path and there.path.startswith(f"{root}/"):
            return True
    return False


def local_reach(tracking_uri: str, folders: Iterable[str]) -> Reach:
    """Where files of runs lie on this machine: those of the folders that belong to the store.

    Args:
        tracking_uri: Of the store, as the user named it.
        folders: Where the experiment and the run say that their files are.
    """
    parts = location_parts(tracking_uri)
    here = [Path(name).resolve() for name in OWN_FOLDERS]
    if parts.scheme.partition("+")[0] == "sqlite":
        beside = Path(urllib.parse.unquote(parts.path[1:])).resolve().parent
        here += [beside, *(beside / name for name in OWN_FOLDERS)]
    elif (store := local_path(tracking_uri)) is not None:
        here.append(store.resolve())
    elif parts.scheme in {"http", "https", "databricks"}:
        here = []  # a server's own disk is not this machine's
    named = [path.resolve() for folder in folders if (path := local_path(folder)) is not None]
    return Reach(folders=tuple(path for path in named if any(map(path.is_relative_to, Reach.apart(here)))))
