"""Files of datasets on the Hugging Face hub, pinned to a commit.

Two ways to write the same file, of which the second is the hub's own:

    hf://datasets/owner/name/path/file.parquet@0123…cdef     (40 hexadecimal digits)
    hf://datasets/owner/name@0123…cdef/path/file.parquet     (`datasets/` may be left out)

A branch or a tag can come to mean other content, so only a commit will do. What was fetched once stays in the hub's
cache, and a pinned file in the cache is never asked for again: a run works without a network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from llmgate.errors import DatasetError
from llmgate.suite.data.formats import format_of
from llmgate.suite.data.source import Content, DatasetSource, read_bytes, remote_source

__all__ = ["SCHEME", "hub_source"]

SCHEME: Final = "hf://"
EXTRA: Final = "pip install 'pytest-llmgate[data]'"
FORM: Final = "Write hf://datasets/OWNER/NAME/FILE@COMMIT"
COMMIT: Final = re.compile(r"[0-9a-f]{40}")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _HubFile:
    repo: str
    path: str
    commit: str

    @property
    def stable(self) -> str:
        return f"{SCHEME}datasets/{self.repo}/{self.path}"


def hub_source(uri: str, folder: Path) -> DatasetSource:
    """Read a `hf://` URI.

    Args:
        uri: As written.
        folder: The folder of the suite, where the lock lies.

    Raises:
        DatasetError: If it names no file of a dataset at a commit.
    """
    file = _parse(uri)
    return remote_source(
        f"{file.stable}@{file.commit}",
        stable=file.stable,
        title=PurePosixPath(file.path).stem,
        folder=folder,
        fetch=lambda: _fetch(file, uri),
    )


def _parse(uri: str) -> _HubFile:
    rest = uri.removeprefix(SCHEME).removeprefix("datasets/")
    front, at, tail = rest.partition("@")
    revision, _, file = tail.partition("/")
    parts = front.split("/")
    if file:
        parts += file.split("/")
    if len(parts) < 3 or not all(NAME.fullmatch(part) for part in parts[:2]) or not _plain(parts[2:]):
        raise DatasetError("this is no file of a dataset on the hub", where=uri, fix=FORM)
    if file and len(front.split("/")) != 2:
        raise DatasetError("a file is named before and after the revision", where=uri, fix=FORM)
    if not at or not COMMIT.fullmatch(revision):
        raise DatasetError(
            f"the revision {revision!r} is no full commit" if at else "no revision is named",
            where=uri,
            fix="Pin all 40 hexadecimal digits of a commit, as the hub's file history shows them: "
            "a branch or a tag can come to mean other rows",
        )
    return _HubFile(repo="/".join(parts[:2]), path="/".join(parts[2:]), commit=revision)


def _plain(parts: list[str]) -> bool:
    return all(part not in {"", ".", ".."} and part.isprintable() and "\\" not in part for part in parts)


def _fetch(file: _HubFile, uri: str) -> Content:
    try:
        import huggingface_hub as hub  # noqa: PLC0415 - an extra, 0.4 s to import
        from huggingface_hub import errors  # noqa: PLC0415 - see above
    except ImportError as error:
        raise DatasetError("datasets on the hub need huggingface-hub", where=uri, fix=EXTRA) from error
    try:
        cached = hub.hf_hub_download(file.repo, file.path, repo_type="dataset", revision=file.commit)
    except errors.GatedRepoError as error:
        raise DatasetError(
            f"the dataset {file.repo} is gated", where=uri, fix="Accept its terms on the hub and set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise DatasetError(
            f"there is no dataset {file.repo}, or it is private", where=uri, fix="Check the name, or set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DatasetError(
            f"{file.repo} has no commit {file.commit}", where=uri, fix="Copy it from the hub's file history"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise DatasetError(
            "the hub cannot be reached, and the file is not in the cache",
            where=uri,
            fix="Run it once with a network, or copy the cache (HF_HOME) from a machine that has the file",
        ) from error
    except errors.EntryNotFoundError as error:
        raise DatasetError(
            f"{file.repo} has no file {file.path} at this commit", where=uri, fix="Check the path in the repository"
        ) from error
    except (OSError, ValueError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DatasetError(f"the hub says: {first[:300]}", where=uri, fix="Try again, or set HF_TOKEN") from error
    return Content(
        data=read_bytes(Path(cached), missing_fix="The hub's cache is broken; delete it"), kind=format_of(file.path)
    )
