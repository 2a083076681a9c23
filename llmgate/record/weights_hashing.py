"""SHA-256 of many large files, on all cores.

A file is hashed by one thread, for SHA-256 goes from its first byte to its last; hashlib lets other threads run
meanwhile. The largest files begin, so that no long one is left for the end. Memory is a buffer per thread.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.errors import WeightsError
from llmgate.record.reach import open_regular
from llmgate.record.weights_cache import YOUNG_S, entry_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.record.weights_cache import WeightsCache

__all__ = ["HashProgress", "Hashed", "hash_files"]

HashProgress = Callable[[int, int], None]
"""Is told how many bytes are done and how many there are; an error that it raises ends the work."""
BUFFER_BYTES: Final = 1 << 20
TICK_S: Final = 0.2
"""How often progress is told, and how soon an interrupt is obeyed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashed:
    """One file.

    Attributes:
        size: Bytes.
        sha256: 64 hexadecimal digits.
        key: What the file system said of it meanwhile: see `entry_key`.
        young: Whether it had changed so shortly before that one more change need not show in its key.
    """

    size: int
    sha256: str
    key: str
    young: bool


def hash_files(
    folder: Path,
    names: Sequence[str],
    *,
    threads: int | None = None,
    cache: WeightsCache | None = None,
    progress: HashProgress | None = None,
) -> list[Hashed]:
    """Hash files of a folder.

    Args:
        folder: The folder.
        names: Paths below it.
        threads: How many files at once; default: as many as this process may use cores.
        cache: What is known of earlier times; None to read every byte.
        progress: Is told of the bytes.

    Returns:
        Sizes and digests, in the order of the names.

    Raises:
        WeightsError: If a file changed while it was read.
        OSError: If one cannot be read or is no regular file.
    """
    sizes = [(folder / name).stat().st_size for name in names]
    order = sorted(range(len(names)), key=lambda i: -sizes[i])
    work = _Work(cache)
    with ThreadPoolExecutor(max(1, min(threads or _cores(), len(names)))) as pool:
        futures = {i: pool.submit(work.hash, folder / names[i]) for i in order}
        try:
            open_ones = set(futures.values())
            while open_ones:
                ended, open_ones = wait(open_ones, timeout=TICK_S, return_when=FIRST_EXCEPTION)
                for future in ended:
                    future.result()
                if progress is not None:
                    progress(min(work.done, sum(sizes)), sum(sizes))
        except BaseException:
            work.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        return [futures[i].result() for i in range(len(names))]


class _Work:
    """What the threads share."""

    def __init__(self, cache: WeightsCache | None) -> None:
        self.cache = cache
        self.stop = threading.Event()
        self.done = 0
        self._lock = threading.Lock()

    def hash(self, path: Path) -> Hashed:
        """Hash one file, or know it again."""
        with open_regular(path) as file:
            before = os.fstat(file.fileno())
            young = time.time() - max(before.st_mtime, before.st_ctime) < YOUNG_S
            digest = self.cache.find(before) if self.cache else None
            if digest is None:
                began = self.cache.now() if self.cache else 0.0
                digest = self._read(file.fileno(), path, before.st_size)
                self._unchanged(path, before, os.fstat(file.fileno()))
                if self.cache:
                    self.cache.note(before, digest, began=began)
            else:
                self._count(before.st_size)
            # The name may have been given to another file meanwhile.
            self._unchanged(path, before, path.stat())
        return Hashed(size=before.st_size, sha256=digest, key=entry_key(before), young=young)

    def _read(self, descriptor: int, path: Path, size: int) -> str:
        digest = hashlib.sha256()
        # One byte more than the file should have shows that it has grown.
        buffer = memoryview(bytearray(min(BUFFER_BYTES, size + 1)))
        left = size
        while count := os.readv(descriptor, [buffer]):
            if self.stop.is_set():
                raise WeightsError("hashing was ended", where=str(path))
            digest.update(buffer[:count])
            self._count(count)
            left -= count
            if left < 0:
                break
        if left:
            raise _changed(path)
        return digest.hexdigest()

    def _count(self, count: int) -> None:
        with self._lock:
            self.done += count

    @staticmethod
    def _unchanged(path: Path, before: os.stat_result, after: os.stat_result) -> None:
        if entry_key(before) != entry_key(after):
            raise _changed(path)


def _changed(path: Path) -> WeightsError:
    return WeightsError(
        "the file changed while it was read", where=str(path), fix="Try again when nothing writes to the folder"
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
