"""The files of a model as a server lists them: names are hostile input, and nothing is written before they are checked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from llmgate.errors import CannotRunError
from llmgate.generate.sources.place import is_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["BrokenOffError", "RemoteFile", "Teller", "checked", "content_key", "list_digest", "total_size"]

MOST_FILES: Final = 10_000
LONGEST_PART: Final = 255
"""Bytes of a name, on the file systems of this world."""
LONGEST_PATH: Final = 1_000
SHOWN: Final = 80


class BrokenOffError(CannotRunError):
    """A transfer that broke off in the middle; it may be tried again."""


class Teller(Protocol):
    """Receives what happens; `llmgate.session.progress.Progress` is one."""

    def stage(self, text: str) -> None:
        """Something worth a line happened."""

    def count(self, what: str, done: int, total: int) -> None:
        """Work advanced."""

    def check(self) -> None:
        """Called often; raises to end the work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file as a server lists it.

    Attributes:
        path: Below the model's folder, with `/`.
        size: Bytes, None where the server does not say.
        tag: What changes when its content does: an ETag, a generation. "" where there is none.
        md5: Of its bytes, 32 hexadecimal digits; "" where the server does not say.
    """

    path: str
    size: int | None = None
    tag: str = ""
    md5: str = ""


def checked(files: Iterable[RemoteFile], where: str) -> tuple[RemoteFile, ...]:
    """A listing that can be written below a folder, sorted by path.

    Args:
        files: As listed.
        where: The place, for messages.

    Raises:
        CannotRunError: If there is nothing, too much, or a name that would be written elsewhere or over another one.
    """
    found = sorted(files, key=lambda file: file.path)
    if not found:
        raise CannotRunError("there are no files of a model", where=where, fix="Check the place, and your rights there")
    if len(found) > MOST_FILES:
        raise CannotRunError(
            f"more than {MOST_FILES:,} files lie there", where=where, fix="Name the folder of one model"
        )
    folders: set[str] = set()
    for file in found:
        _check_name(file.path, where)
        if file.size is not None and file.size < 0:
            raise CannotRunError(f"the size of {_shown(file.path)} is listed as {file.size}", where=where)
        parts = file.path.split("/")
        folders.update("/".join(parts[:end]) for end in range(1, len(parts)))
    names = [file.path for file in found]
    twice = next((a for a, b in zip(names, names[1:], strict=False) if a == b), None)
    both = twice or next((name for name in names if name in folders), None)
    if both is not None:
        raise CannotRunError(
            f"{_shown(both)} is listed twice, or as a file and as a folder",
            where=where,
            fix="Nothing was written; put the model into a folder of its own",
        )
    return tuple(found)


def _check_name(path: str, where: str) -> None:
    try:
        too_long = len(path) > LONGEST_PATH or any(len(part.encode()) > LONGEST_PART for part in path.split("/"))
    except UnicodeEncodeError:
        too_long = True
    if too_long or not is_plain(path):
        raise CannotRunError(
            f"a file is listed as {_shown(path)}, which would be written outside the model's folder or cannot be a name",
            where=where,
            fix="Nothing was fetched. Look who wrote there before you use anything of it",
        )


def _shown(path: str) -> str:
    return ascii(path if len(path) <= SHOWN else f"{path[:SHOWN]}...")


def list_digest(files: Sequence[RemoteFile]) -> str:
    """SHA-256 over names, sizes and tags: two listings with the same digest are of the same content, where tags are."""
    listed = [[file.path, file.size, file.tag] for file in sorted(files, key=lambda file: file.path)]
    return hashlib.sha256(json.dumps(listed, separators=(",", ":")).encode()).hexdigest()


def content_key(identity: str, files: Sequence[RemoteFile]) -> str:
    """Under which name a listing's content lies in the cache.

    Args:
        identity: What tells one place from another, where tags do not.
        files: As listed.
    """
    return hashlib.sha256(f"{identity}\n{list_digest(files)}\n".encode()).hexdigest()[:40]


def total_size(files: Iterable[RemoteFile]) -> int:
    """Bytes of all files whose size is known."""
    return sum(file.size or 0 for file in files)
