"""Several transfers at once, watched from the thread that may be interrupted, and what two processes share."""

from __future__ import annotations

import fcntl
import os
import queue
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError
from llmgate.record.disk import open_own, private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from llmgate.generate.sources.listing import Teller

__all__ = ["Counter", "check_space", "free_bytes", "locked", "run_jobs", "told_bytes"]

THREADS: Final = 4
TICK_S: Final = 0.2
QUICK_S: Final = 2.0
"""Work that ends sooner needs no bar."""
MEGABYTE: Final = 1_000_000
SPARE_BYTES: Final = 100 * MEGABYTE
"""What is left free: a disk that is full to the last byte breaks other programs."""


@dataclass(slots=True)
class Counter:
    """Bytes that arrived, counted by several threads, and whether they shall stop."""

    done: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, count: int) -> None:
        """Count bytes; ends the transfer if the work was given up.

        Raises:
            CannotRunError: If it was.
        """
        if self.stop.is_set():
            raise CannotRunError("the transfer was ended")
        with self._lock:
            self.done += count


def run_jobs(jobs: Sequence[Callable[[], None]], counter: Counter, watch: Callable[[], None]) -> None:
    """Do jobs in threads, and watch them from this one.

    The threads end with this process whatever they wait for: a library that cannot be interrupted must not keep a user
    who pressed Ctrl-C.

    Args:
        jobs: What is to be done, the largest first.
        counter: Is told to stop when one fails, or `watch` raises.
        watch: Called five times a second; may raise.

    Raises:
        BaseException: The first that a job or `watch` raised.
    """
    waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)

    def work() -> None:
        while not counter.stop.is_set():
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
                ended.put(error)
                return
            ended.put(None)

    for number in range(min(THREADS, len(jobs))):
        threading.Thread(target=work, name=f"llmgate-fetch-{number}", daemon=True).start()
    left = len(jobs)
    try:
        while left:
            try:
                error = ended.get(timeout=TICK_S)
            except queue.Empty:
                watch()
                continue
            if error is not None:
                raise error
            left -= 1
            watch()
    except BaseException:
        counter.stop.set()
        raise


def told_bytes(
    progress: Teller, what: str, *, clock: Callable[[], float] = time.monotonic
) -> Callable[[int, int], None]:
    """Progress in megabytes, for work that takes more than a moment.

    Args:
        progress: Gets it; it knows the time that is left.
        what: For example `fetched, MB:`.
        clock: Seconds, monotonic.
    """
    began = clock()

    def tell(done: int, total: int) -> None:
        progress.check()
        if clock() - began >= QUICK_S:
            progress.count(what, min(done, total) // MEGABYTE, total // MEGABYTE)

    return tell


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write to the disk of a folder, or of the nearest folder above that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def check_space(need: int, folder: Path, where: str, *, free: Callable[[Path], int] = free_bytes) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        need: Bytes that are still to be written.
        folder: Where.
        where: The place, for messages.
        free: Bytes that a folder's disk has left.

    Raises:
        CannotRunError: If it cannot.
    """
    left = free(folder)
    if need and need + SPARE_BYTES > left:
        raise CannotRunError(
            f"{need / 1e9:,.1f} GB are to be fetched, and the disk of {folder} has {left / 1e9:,.1f} GB left",
            where=where,
            fix="Free some space, or let the cache lie elsewhere: XDG_CACHE_HOME (models of the hub: HF_HOME)",
        )


@contextmanager
def locked(path: Path, progress: Teller, where: str) -> Iterator[None]:
    """One process at a time; who comes second waits, and finds the work done.

    Args:
        path: The lock's file.
        progress: Told that somebody else is at it.
        where: The place, for messages.

    Raises:
        CannotRunError: If the lock cannot be made.
    """
    try:
        private_folder(path.parent)
        descriptor = open_own(path, os.O_RDWR)
    except OSError as error:
        raise CannotRunError(
            f"the cache cannot be written ({error.strerror})",
            where=str(path),
            fix="Let it lie elsewhere: XDG_CACHE_HOME",
        ) from error
    try:
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    progress.stage(f"another process is fetching {where}: waiting for it")
                    told = True
                progress.check()
                time.sleep(TICK_S)
        yield
    finally:
        os.close(descriptor)
