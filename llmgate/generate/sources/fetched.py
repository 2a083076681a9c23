"""A cache of models that were fetched: whole or not at all, each file's digest beside it, checked before every use.

    ROOT/KEY/NAME/…       the files
    ROOT/KEY/files.json   where they came from, their sizes, tags and SHA-256
    ROOT/KEY.part/        the same while it is being fetched; whole files in it are kept for the next attempt
    ROOT/KEY.lock         one process at a time

KEY is made of the place and of the names, sizes and tags of its files, so what changed there is fetched as something
else. What changed *here* is found by the digests: the copy is then mended from the place, or refused with it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from llmgate.errors import CannotRunError, RecordError, WeightsError
from llmgate.generate.sources.listing import (
    BrokenOffError,
    RemoteFile,
    Teller,
    checked,
    content_key,
    list_digest,
    total_size,
)
from llmgate.generate.sources.work import Counter, check_space, free_bytes, locked, run_jobs, told_bytes
from llmgate.record.disk import private_folder, read_regular, write_atomic
from llmgate.record.weights_hashing import hash_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from llmgate.record.weights_cache import WeightsCache

__all__ = ["Fetched", "Store", "fetch_folder"]

VERSION: Final = 1
NOTE: Final = "files.json"
MOST_NOTE_BYTES: Final = 20_000_000
PAUSES_S: Final = (1.0, 4.0)
"""Before the second and the third attempt at a file whose transfer broke off."""
BUFFER_BYTES: Final = 1 << 20


class Store(Protocol):
    """A place with the files of a model."""

    @property
    def where(self) -> str:
        """The place, for messages: without credentials."""

    @property
    def identity(self) -> str:
        """What tells it from other places whose files have the same names and sizes."""

    def listing(self) -> Sequence[RemoteFile]:
        """Its files, now.

        Raises:
            CannotRunError: If it cannot be asked.
        """

    def fetch(self, file: RemoteFile, into: Path, counter: Counter) -> None:
        """Write a file's bytes to a path that is not there yet.

        Raises:
            BrokenOffError: If the transfer broke off.
            CannotRunError: For whatever will not be better the next time.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A model in the cache.

    Attributes:
        folder: Of its files, each of which is what was fetched.
        listed: SHA-256 of the listing that it was fetched by.
    """

    folder: Path
    listed: str


def fetch_folder(
    store: Store,
    *,
    name: str,
    root: Path,
    cache: WeightsCache | None,
    progress: Teller,
    free: Callable[[Path], int] = free_bytes,
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """The files of a place, from the cache or from there.

    Args:
        store: The place.
        name: What the folder is called: servers call a model by it.
        root: The cache's folder.
        cache: Digests of files that were hashed before, None to read every byte.
        progress: Told what is done.
        free: Bytes that a folder's disk has left.
        sleep: Waits before another attempt.

    Raises:
        CannotRunError: If the place cannot be asked, lists what cannot be written, changes meanwhile, or the disk is
            too small.
    """
    files = checked(store.listing(), store.where)
    entry = _Entry(store=store, files=files, name=name, root=root, cache=cache, progress=progress)
    with locked(root / f"{entry.key}.lock", progress, store.where):
        try:
            if not entry.whole():
                check_space(total_size(entry.missing()), root, store.where, free=free)
                entry.fill(sleep)
                entry.settle()
        except OSError as error:
            full = error.errno == errno.ENOSPC
            raise CannotRunError(
                "the disk is full" if full else f"the cache cannot be written ({error.strerror or error})",
                where=str(root),
                fix="Free some space, or let the cache lie elsewhere: XDG_CACHE_HOME. What was fetched is kept",
            ) from error
    return Fetched(folder=entry.home / name, listed=list_digest(files))


class _Entry:
    """One model's place in the cache, while it is locked."""

    def __init__(
        self,
        *,
        store: Store,
        files: Sequence[RemoteFile],
        name: str,
        root: Path,
        cache: WeightsCache | None,
        progress: Teller,
    ) -> None:
        self.store, self.files, self.cache, self.progress = store, files, cache, progress
        self.key, self.name = content_key(store.identity, files), name
        self.home, self.part = root / self.key, root / f"{self.key}.part"
        self.good: dict[str, str] = {}
        self.counter = Counter()

    # What is there.

    def whole(self) -> bool:
        """Whether the copy is what was fetched; one that is not becomes a part of what is to be fetched."""
        if self.home.is_symlink() or not self.home.is_dir():
            return False
        good = self._intact(self.home)
        strangers = _strangers(self.home / self.name, {file.path for file in self.files})
        bad = [file.path for file in self.files if file.path not in good]
        if not bad and not strangers:
            return True
        wrong = (bad or strangers)[0]
        self.progress.stage(
            f"the copy of {self.store.where} in the cache is not what was fetched ({ascii(wrong)}"
            f"{f' and {len(bad) + len(strangers) - 1} more' if len(bad) + len(strangers) > 1 else ''}): "
            "mending it from there"
        )
        shutil.rmtree(self.part, ignore_errors=True)
        self.home.rename(self.part)
        return False

    def missing(self) -> list[RemoteFile]:
        """What is still to be fetched, now that what an earlier attempt left was looked at."""
        private_folder(self.part)
        self.good = self._intact(self.part)
        _clean(self.part / self.name, set(self.good))
        shutil.rmtree(self.part / "drafts", ignore_errors=True)
        if self.good:
            self.progress.stage(f"{len(self.good)} of {len(self.files)} files are there from an earlier attempt")
        return [file for file in self.files if file.path not in self.good]

    def _intact(self, home: Path) -> dict[str, str]:
        """The files of an entry that are what was fetched, with their digests."""
        noted = _read_note(home / NOTE)
        names = [
            file.path
            for file in self.files
            if _is_own_file(home / self.name, file) and _noted(noted.get(file.path), file)
        ]
        if not names:
            return {}
        tell = told_bytes(self.progress, "checked, MB:")
        try:
            hashed = hash_files(home / self.name, names, cache=self.cache, progress=tell)
        except (OSError, WeightsError):
            return {}  # it changes under our eyes
        if self.cache is not None:
            self.cache.save()
        return {
            name: each.sha256
            for name, each in zip(names, hashed, strict=True)
            if each.sha256 == noted[name].get("sha256")
        }

    # What is fetched.

    def fill(self, sleep: Callable[[float], None]) -> None:
        """Fetch what is missing, the largest first."""
        left = sorted((file for file in self.files if file.path not in self.good), key=lambda file: -(file.size or 0))
        if not left:
            return
        total = total_size(left)
        self.progress.stage(f"fetching {len(left)} files, {total / 1e6:,.0f} MB, from {self.store.where}")
        private_folder(self.part / "drafts")
        drafts = {file.path: self.part / "drafts" / secrets.token_hex(16) for file in left}
        tell = told_bytes(self.progress, "fetched, MB:")
        arrived: dict[str, str] = {}

        def job(file: RemoteFile) -> Callable[[], None]:
            def fetch() -> None:
                arrived[file.path] = self._fetch(file, drafts[file.path], sleep)

            return fetch

        def watch() -> None:
            fresh = [path for path in list(arrived) if path not in self.good]
            for path in fresh:
                self.good[path] = arrived[path]
            if fresh:
                self._note()
            done = sum(file.size or 0 for file in left if file.path in self.good)
            tell(done + sum(_size(drafts[file.path]) for file in left if file.path not in self.good), total)

        try:
            run_jobs([job(file) for file in left], self.counter, watch)
        finally:
            for path in list(arrived):
                self.good[path] = arrived[path]
            with suppress(RecordError):
                self._note()
        tell(total, total)

    def _fetch(self, file: RemoteFile, draft: Path, sleep: Callable[[float], None]) -> str:
        """Fetch one file, check it, and put it in its place.

        Returns:
            Its SHA-256.
        """
        for pause in (*PAUSES_S, None):
            draft.unlink(missing_ok=True)
            try:
                self.store.fetch(file, draft, self.counter)
                digest = self._check(file, draft)
            except BrokenOffError:
                if pause is None or self.counter.stop.is_set():
                    raise
                sleep(pause)
                continue
            target = self.part / self.name / file.path
            private_folder(target.parent)
            draft.replace(target)
            return digest
        raise AssertionError  # the last attempt returns or raises

    def _check(self, file: RemoteFile, draft: Path) -> str:
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with draft.open("rb") as content:
            while piece := content.read(BUFFER_BYTES):
                sha256.update(piece)
                if file.md5:
                    md5.update(piece)
                size += len(piece)
            os.fsync(content.fileno())
        if file.size is not None and size != file.size:
            raise BrokenOffError(
                f"{ascii(file.path)} has {file.size:,} bytes there, and {size:,} arrived",
                where=self.store.where,
                fix="Try again; the files that are whole are kept",
            )
        if file.md5 and md5.hexdigest() != file.md5:
            raise BrokenOffError(
                f"{ascii(file.path)} arrived with other bytes than the place says it has",
                where=self.store.where,
                fix="Try again; if it stays, the file is damaged there",
            )
        return sha256.hexdigest()

    def settle(self) -> None:
        """Make the copy count, unless the place has changed meanwhile."""
        after = checked(self.store.listing(), self.store.where)
        if content_key(self.store.identity, after) != self.key:
            raise CannotRunError(
                "the files were changed there while they were fetched",
                where=self.store.where,
                fix="Try again when nobody writes to it",
            )
        self._note()
        shutil.rmtree(self.part / "drafts", ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)
        self.part.rename(self.home)

    def _note(self) -> None:
        by_path = {file.path: file for file in self.files}
        files = {
            path: {"size": by_path[path].size, "tag": by_path[path].tag, "sha256": digest}
            for path, digest in sorted(self.good.items())
        }
        note = {"version": VERSION, "where": self.store.where, "files": files}
        write_atomic(self.part / NOTE, json.dumps(note, indent=1).encode())


def _read_note(path: Path) -> dict[str, Mapping[str, Any]]:
    """What is noted of files; nothing where it cannot be read."""
    try:
        note = json.loads(read_regular(path, limit=MOST_NOTE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    files = note.get("files") if isinstance(note, dict) and note.get("version") == VERSION else None
    if not isinstance(files, dict):
        return {}
    return {path: facts for path, facts in files.items() if isinstance(facts, dict)}


def _noted(facts: Mapping[str, Any] | None, file: RemoteFile) -> bool:
    return facts is not None and (facts.get("size"), facts.get("tag")) == (file.size, file.tag)


def _is_own_file(folder: Path, file: RemoteFile) -> bool:
    """Whether a regular file of the listed size lies there, and no link on the way leads elsewhere."""
    path = folder
    for part in ("", *file.path.split("/")):
        path = path / part
        try:
            status = path.lstat()
        except OSError:
            return False
        if stat.S_ISLNK(status.st_mode):
            return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and file.size in {None, status.st_size}


def _strangers(folder: Path, known: set[str]) -> list[str]:
    """What lies in a folder and was not fetched."""
    found = []
    for at, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(at, name))]  # noqa: PTH114, PTH118 - names of any bytes
        for name in (*names, *links):
            path = os.path.relpath(os.path.join(at, name), folder)  # noqa: PTH118 - see above
            if path not in known:
                found.append(path)
    return sorted(found)


def _clean(folder: Path, kept: set[str]) -> None:
    """Remove whatever is not known to be good."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()
    for path in _strangers(folder, kept):
        (folder / path).unlink()
    with suppress(FileNotFoundError):
        # A folder that stands where a file belongs would be in its way.
        for at, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):
                os.rmdir(at)  # noqa: PTH106 - names of any bytes


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
