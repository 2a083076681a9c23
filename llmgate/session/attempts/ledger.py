"""The ledger's folder: one chain of attempts per candidate and gate, and the heads of all chains.

heads.json                  how long each chain is, and the digest of its last line
KEY/ledger.jsonl            the chain, see `entry`
KEY/kept/DIGEST.json.gz     what pooling needs of records, see `compact`

Whoever decides holds the lock of the chain meanwhile, so that two runs at once are two attempts.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError
from llmgate.record.disk import open_own, private_folder, read_regular, write_atomic
from llmgate.session.attempts.blobs import read_blob, write_blob
from llmgate.session.attempts.entry import NOTHING, AttemptEntry, chain, read_chain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


__all__ = ["AttemptLedger", "LedgerChain"]

HEADS: Final = "heads.json"
CHAIN: Final = "ledger.jsonl"
KEPT: Final = "kept"
LOCK: Final = "lock"
WAIT_S: Final = 600.0
"""A decision on a million answers takes less."""
POLL_S: Final = 0.05
MOST_BYTES: Final = 1 << 26
KEY: Final = re.compile(r"[0-9a-f]{64}")
RESTORE: Final = (
    "Restore it from a copy; or move its folder away: the attempts that records beside this one and MLflow know of are"
    " then taken from there, and the others are lost"
)


@dataclass(slots=True)
class LedgerChain:
    """The attempts of one key, locked.

    Attributes:
        key: See `attempt_key`.
        folder: Where they are kept.
        entries: All attempts as they were entered.
    """

    key: str
    folder: Path
    entries: tuple[AttemptEntry, ...]
    _heads: Path = field(repr=False)
    _root: Path = field(repr=False)

    def text(self, digest: str) -> bytes:
        """What was kept under a digest.

        Raises:
            RecordError: If it is missing or damaged.
        """
        return read_blob(self.folder / KEPT, digest)

    def add(self, new: Sequence[AttemptEntry], texts: Mapping[str, bytes]) -> None:
        """Enter attempts behind all others, with what was kept of them: whole or not at all.

        Raises:
            RecordError: If it cannot be written.
        """
        for digest, text in texts.items():
            write_blob(self.folder / KEPT, digest, text)
        if not new:
            return
        entries = (*self.entries, *new)
        data, head = chain(entries)
        write_atomic(self.folder / CHAIN, data)
        with locked(self._root / LOCK):
            heads = read_heads(self._heads)
            heads[self.key] = (len(entries), head)
            write_heads(self._heads, heads)
        self.entries = entries


class AttemptLedger:
    """A ledger on disk.

    Args:
        root: Its folder; made when the first attempt is entered.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def exists(self) -> bool:
        """Whether anything was ever entered here."""
        return (self.root / HEADS).exists()

    @contextmanager
    def hold(self, key: str) -> Iterator[LedgerChain]:
        """The attempts of a key, read and held against their head; nobody else adds any until the block ends.

        Raises:
            RecordError: If the folder cannot be used, another process does not let go of it, or the chain is not what
                was written.
        """
        folder = self.root / key
        try:
            private_folder(folder)
        except OSError as error:
            raise RecordError(
                f"the attempt ledger cannot be kept here ({error.strerror})",
                where=str(self.root),
                fix="Name a folder that you may write to: --attempts DIR",
            ) from error
        with locked(folder / LOCK):
            yield LedgerChain(
                key=key, folder=folder, entries=self._read(key), _heads=self.root / HEADS, _root=self.root
            )

    def peek(self, key: str) -> tuple[AttemptEntry, ...]:
        """The attempts of a key, without the lock; nothing is made.

        Raises:
            RecordError: As `hold`.
        """
        return self._read(key)

    def text(self, key: str, digest: str) -> bytes:
        """What was kept of an attempt, without the lock.

        Raises:
            RecordError: If it is missing or damaged.
        """
        return read_blob(self.root / key / KEPT, digest)

    def keys_known(self) -> tuple[str, ...]:
        """All keys, those whose attempts are gone included."""
        folders = [path.name for path in self.root.iterdir()] if self.root.is_dir() else []
        return tuple(sorted({*filter(KEY.fullmatch, folders), *read_heads(self.root / HEADS)}))

    def _read(self, key: str) -> tuple[AttemptEntry, ...]:
        path = self.root / key / CHAIN
        # The heads first: they are written last, so the chain may be ahead of them and never behind.
        length, head = read_heads(self.root / HEADS).get(key, (0, NOTHING))
        try:
            data = read_regular(path, limit=MOST_BYTES)
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise RecordError(f"the ledger cannot be read ({error.strerror})", where=str(path), fix=RESTORE) from error
        try:
            entries, digests = read_chain(data, key, where=str(path))
        except RecordError as error:
            raise RecordError(error.what, where=error.where, fix=RESTORE) from error
        if len(entries) < length or (length and digests[length - 1] != head):
            raise RecordError(
                f"{len(entries)} attempts are here, and {length} were entered; or others than these",
                where=str(path),
                fix=RESTORE,
            )
        return entries


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, once whoever has it lets go."""
    try:
        fd = open_own(path, os.O_RDWR)
    except OSError as error:
        raise RecordError(f"cannot be opened ({error.strerror})", where=str(path)) from error
    try:
        until = time.monotonic() + WAIT_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > until:
                    raise RecordError(
                        "another llmgate process holds the attempt ledger",
                        where=str(path),
                        fix="Wait for it to end, and decide again",
                    ) from error
                time.sleep(POLL_S)
        yield
    finally:
        os.close(fd)


def read_heads(path: Path) -> dict[str, tuple[int, str]]:
    """How long each chain is, and the digest of its last line.

    Raises:
        RecordError: If it cannot be read or understood.
    """
    try:
        told = json.loads(read_regular(path, limit=MOST_BYTES))
        heads = {str(key): (int(entries), str(head)) for key, (entries, head) in told.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(f"the ledger's heads cannot be read ({error})", where=str(path), fix=RESTORE) from error
    return heads


def write_heads(path: Path, heads: Mapping[str, tuple[int, str]]) -> None:
    """Keep the heads."""
    write_atomic(path, json.dumps(heads, sort_keys=True, indent=0).encode())
