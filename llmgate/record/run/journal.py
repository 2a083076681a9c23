"""The append-only journal of a run, safe against a crash at any byte.

One line is one fact: ``{"crc32":"1c291ca3","entry":{…}}``. The checksum is taken over the bytes of the entry, so a
line that was cut by a crash or a full disk is recognised; it can only be the last one, and resuming drops it.
A bad line in the middle is no crash artefact: the file was damaged or edited, and is refused.

Later entries for the same key replace earlier ones, which is how a resumed run mends what failed before.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from llmgate.errors import RecordError
from llmgate.record.disk import first_problem, open_own, stream_lines
from llmgate.record.reach import open_regular
from llmgate.record.redaction import NO_SECRETS, Redactor
from llmgate.record.run.stored import RESULT, StoredResults

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmgate.record.disk import Digest
    from llmgate.record.schema import CaseKey, CaseResult

__all__ = [
    "JOURNAL_NAME",
    "Journal",
    "JournalContent",
    "parse_line",
    "read_journal",
    "take_lock",
]

JOURNAL_NAME: Final = "journal.jsonl"
FSYNC_INTERVAL_S: Final = 1.0
"""A crash of the machine (not of the process) loses at most this much."""

PREFIX: Final = b'{"crc32":"'
MIDDLE: Final = b'","entry":'
SUFFIX: Final = b"}\n"
ENTRY_AT: Final = len(PREFIX) + 8 + len(MIDDLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalContent:
    """What a journal holds.

    Attributes:
        results: Last result of every key, in order of first appearance; what answers say is read when asked for.
        good_bytes: Length of the valid prefix; anything behind it is a torn last line.
        torn: Whether there is such a line.
    """

    results: StoredResults
    good_bytes: int
    torn: bool


def frame(entry: bytes) -> bytes:
    """Wrap the JSON bytes of an entry into a checksummed line."""
    return b"%s%08x%s%s%s" % (PREFIX, zlib.crc32(entry), MIDDLE, entry, SUFFIX)


def unframe(line: bytes) -> bytes | None:
    """Return the entry of a complete, undamaged line, else None."""
    if not (line.startswith(PREFIX) and line.endswith(SUFFIX) and line[ENTRY_AT - len(MIDDLE) : ENTRY_AT] == MIDDLE):
        return None
    entry = line[ENTRY_AT : -len(SUFFIX)]
    return entry if b"%08x" % zlib.crc32(entry) == line[len(PREFIX) : len(PREFIX) + 8] else None


def read_journal(
    path: Path, *, planned: Mapping[CaseKey, CaseKey] | None = None, digest: Digest | None = None
) -> JournalContent:
    """Read a journal, tolerating only a torn last line.

    Args:
        path: The file.
        planned: Keys that are known already, each by itself.
        digest: Is told all bytes of the file.

    Raises:
        RecordError: If the file cannot be read or a line other than the last is damaged.
    """
    good, damaged = 0, 0
    try:
        with open_regular(path) as file:
            results = StoredResults(path, planned)
            for number, line in enumerate(stream_lines(file, digest), start=1):
                if damaged:
                    raise damaged_line(f"{path}:{damaged}")
                entry = unframe(line)
                if entry is None:
                    # Of a crash, if it is the last one.
                    damaged = number
                    continue
                results.note(parse_entry(entry, where=f"{path}:{number}"), entry, good + ENTRY_AT)
                good += len(line)
    except OSError as error:
        raise RecordError(
            f"the journal cannot be read ({error.strerror})", where=str(path), fix="Name the folder of a run"
        ) from error
    return JournalContent(results=results, good_bytes=good, torn=damaged > 0)


def parse_line(line: bytes, *, where: str) -> CaseResult:
    """Read one complete line.

    Raises:
        RecordError: If it is damaged or cannot be understood.
    """
    entry = unframe(line)
    if entry is None:
        raise damaged_line(where)
    return parse_entry(entry, where=where)


def damaged_line(where: str) -> RecordError:
    """The error for a line in the middle that is not what was written."""
    return RecordError(
        "this line is damaged, and it is not the last one, so no crash explains it",
        where=where,
        fix="Restore the file, or run again into a new folder",
    )


def parse_entry(entry: bytes, *, where: str) -> CaseResult:
    """Read what stands in an undamaged line.

    Raises:
        RecordError: If it cannot be understood.
    """
    try:
        return RESULT.validate_json(entry)
    except ValidationError as error:
        raise RecordError(
            f"this entry cannot be understood: {first_problem(error)}",
            where=where,
            fix="Use the llmgate version that wrote it, or run again",
        ) from error


def take_lock(fd: int, path: Path) -> None:
    """Lock an open file for writing, or close it and say who has it.

    Raises:
        RecordError: If another process holds the lock.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise RecordError(
            "another llmgate process is writing to this run",
            where=str(path),
            fix="Wait for it to end, or choose another folder with --out",
        ) from error


class Journal:
    """Writer of one journal. Holds an exclusive lock on the file for as long as it is open.

    Args:
        path: The journal file, created if it does not exist.
        redact: Applied to the bytes of every entry.
        planned: Keys that are known already, each by itself.

    Attributes:
        results: What it holds.

    Raises:
        RecordError: If another process is writing to it, or what is there is damaged.
    """

    def __init__(
        self, path: Path, *, redact: Redactor = NO_SECRETS, planned: Mapping[CaseKey, CaseKey] | None = None
    ) -> None:
        self.path = path
        self.redact = redact
        self._mutex = threading.Lock()
        self._synced = time.monotonic()
        self._broken: str | None = None
        try:
            self._fd = open_own(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise RecordError(
                f"the journal cannot be written ({error.strerror})",
                where=str(path),
                fix="Choose another output folder with --out",
            ) from error
        take_lock(self._fd, path)
        try:
            content = read_journal(path, planned=planned)
        except RecordError:
            os.close(self._fd)
            raise
        if content.torn:
            os.ftruncate(self._fd, content.good_bytes)
        self._size = content.good_bytes
        self.results = content.results

    def append(self, result: CaseResult) -> None:
        """Write one result; it has left this process when the call returns.

        Raises:
            RecordError: If it could not be written whole. Nothing half-written stays in the file.
        """
        entry = self.redact(RESULT.dump_json(result))
        line = frame(entry)
        with self._mutex:
            if self._broken:
                raise RecordError(self._broken, where=str(self.path), fix="Free some space, then add --resume")
            try:
                written = os.write(self._fd, line)
                if written != len(line):
                    raise OSError(f"only {written} of {len(line)} bytes were written")
                if time.monotonic() - self._synced > FSYNC_INTERVAL_S:
                    os.fsync(self._fd)
                    self._synced = time.monotonic()
            except OSError as error:
                os.ftruncate(self._fd, self._size)
                self._broken = (
                    f"the run record cannot be written ({error.strerror or error}); what it held before is safe"
                )
                raise RecordError(
                    self._broken, where=str(self.path), fix="Free some space, then add --resume"
                ) from error
            self.results.note(result, entry, self._size + ENTRY_AT)
            self._size += len(line)

    def close(self) -> None:
        """Flush to disk and give up the lock."""
        with self._mutex:
            if self._fd >= 0:
                os.fsync(self._fd)
                os.close(self._fd)
                self._fd = -1
                self._broken = "the journal is closed"
