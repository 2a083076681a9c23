"""SHA-256 digests of files that were hashed before, by what the file system says of them.

It saves time and proves nothing: whoever may write to the user's cache may write digests into it, and whoever owns the
machine may set its clock back. So nothing that is signed rests on it, unless the user says so.

A file is known again by device, inode, size, and the times of its last change of contents (mtime) and of anything
(ctime), to the nanosecond. A program may set mtime to what it was; ctime it cannot set. Times are coarse, so a file
that was changed less than two seconds before it was hashed is not remembered: it might be changed once more within the
same tick of the clock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError
from llmgate.record.disk import open_own, private_folder, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["YOUNG_S", "WeightsCache", "cache_file", "entry_key"]

VERSION: Final = 1
YOUNG_S: Final = 2.0
MOST_ENTRIES: Final = 10_000
MOST_BYTES: Final = 8_000_000
LOCK_WAIT_S: Final = 3.0
ENTRY: Final = re.compile(r"\d+:\d+:\d+:-?\d+:-?\d+")
SHA256: Final = re.compile(r"[0-9a-f]{64}")
READING: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def cache_file(environ: Mapping[str, str]) -> Path | None:
    """Where the cache lies: in the user's folder for such things; None for a user who has no home."""
    named = environ.get("XDG_CACHE_HOME")
    if named and Path(named).is_absolute():
        return Path(named) / "llmgate" / "weights.json"
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    return Path(home) / ".cache" / "llmgate" / "weights.json" if Path(home).is_absolute() else None


class WeightsCache:
    """Digests of files by identity. Read once; what is new is added to the file by `save`.

    Whatever is wrong with the file, it is as if it were empty: unreadable, no JSON, of another user, a link, writable
    by others. Threads may use one cache together; processes may use one file together.

    Args:
        path: The file, None to read and write none.
        clock: Seconds since 1970, as file times are.
        memory: What this process has hashed itself, which nobody else can have written; gets what it hashes now.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        clock: Callable[[], float] = time.time,
        memory: dict[str, str] | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._known = {} if path is None else read_entries(path)
        self._memory: dict[str, str] = {} if memory is None else memory
        self._seen: dict[str, str] = {}

    def find(self, status: os.stat_result) -> str | None:
        """The digest of an open file, None if it is not known."""
        key = entry_key(status)
        digest = self._memory.get(key) or self._known.get(key)
        if digest is not None:
            self._seen[key] = digest
        return digest

    def note(self, status: os.stat_result, digest: str, *, began: float) -> None:
        """Remember a file's digest.

        Args:
            status: As it was before it was read, and after.
            digest: Of its bytes, SHA-256 in hexadecimal.
            began: When its reading began, by `now`.
        """
        if began - max(status.st_mtime, status.st_ctime) >= YOUNG_S:
            self._seen[entry_key(status)] = self._memory[entry_key(status)] = digest

    def now(self) -> float:
        """The time, as file times are."""
        return self._clock()

    def save(self) -> None:
        """Add what was seen to the file; entries that nobody saw for long go first. A failure loses time only."""
        if not self._seen or self._path is None:
            return
        with contextlib.suppress(OSError, RecordError):
            private_folder(self._path.parent)
            lock = open_own(self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR)
            try:
                if not _locked(lock):
                    return
                merged = {name: digest for name, digest in read_entries(self._path).items() if name not in self._seen}
                merged |= self._seen
                kept = dict(list(merged.items())[-MOST_ENTRIES:])
                write_atomic(self._path, json.dumps({"version": VERSION, "files": kept}, indent=0).encode())
            finally:
                os.close(lock)


def entry_key(status: os.stat_result) -> str:
    """What a file is known by."""
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def read_entries(path: Path) -> dict[str, str]:
    """The entries of a cache that the user wrote, in the order in which they were last seen; else none."""
    try:
        descriptor = os.open(path, READING)
    except OSError:
        return {}
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        others_write = stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
        own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
        if not own or others_write or status.st_size > MOST_BYTES:
            return {}
        try:
            content: Any = json.loads(file.read(MOST_BYTES + 1))
        except (OSError, ValueError, RecursionError):
            return {}
    files = content.get("files") if isinstance(content, dict) and content.get("version") == VERSION else None
    if not isinstance(files, dict):
        return {}
    well_formed = all(
        ENTRY.fullmatch(name) and isinstance(digest, str) and SHA256.fullmatch(digest) for name, digest in files.items()
    )
    return files if well_formed else {}


def _locked(descriptor: int) -> bool:
    """Whether the lock was got; whoever holds it longer than a moment keeps others from writing, not from ending."""
    until = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True
