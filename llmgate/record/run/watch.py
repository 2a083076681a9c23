"""Follow a run from another thread or process while it is written.

The writer holds a lock on `run.lock` for as long as it works. Whoever can take the lock knows that the writer has
ended, however it ended: a seal means that the run is complete, its absence that it was aborted. Nothing has to be
written for that, so it holds on a full disk and after `kill -9`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from llmgate.errors import RecordError
from llmgate.record.disk import lines_of, open_own, private_folder, read_regular, write_atomic
from llmgate.record.reach import open_regular
from llmgate.record.redaction import NO_SECRETS, Redactor
from llmgate.record.run.files import SEAL
from llmgate.record.run.journal import JOURNAL_NAME, parse_line, take_lock
from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from llmgate.record.schema import CaseKey, CaseResult

__all__ = ["RunLock", "RunPhase", "RunState", "RunWatch"]

LOCK_NAME: Final = "run.lock"
REASON_NAME: Final = "aborted.txt"


class RunPhase(StrEnum):
    """How far a run is."""

    RUNNING = "running"
    SEALED = "sealed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The phase and, for an aborted run, the reason."""

    phase: RunPhase
    reason: str = ""


class RunLock:
    """Held by the writer of a run. Use as a context manager.

    Args:
        path: The run's folder.
        redact: Applied to the reason why a run ended.

    Raises:
        RecordError: If another process is writing to the folder, or it cannot be used.
    """

    def __init__(self, path: Path, *, redact: Redactor = NO_SECRETS) -> None:
        self.path = path
        self._redact = redact
        try:
            private_folder(path)
            self._fd = open_own(path / LOCK_NAME, os.O_RDWR)
        except OSError as error:
            raise RecordError(
                f"the folder cannot be used ({error.strerror})", where=str(path), fix="Choose another one with --out"
            ) from error
        take_lock(self._fd, path)
        (path / REASON_NAME).unlink(missing_ok=True)
        self._note_start()

    def _note_start(self) -> None:
        """Tell followers where the journal ended before this run: a failure noted there is asked again."""
        journal = self.path / JOURNAL_NAME
        try:
            size = journal.stat().st_size if journal.exists() else 0
            os.ftruncate(self._fd, 0)
            os.write(self._fd, b"%d" % size)
        except OSError as error:
            os.close(self._fd)
            raise RecordError(
                f"the folder cannot be written ({error.strerror})", where=str(self.path), fix="Free some space"
            ) from error

    def release(self, reason: str = "") -> None:
        """Let followers know that the writer has ended; `reason` tells why, if the run is not complete."""
        if self._fd < 0:
            return
        if reason:
            # On a full disk the missing seal says enough.
            with contextlib.suppress(RecordError):
                write_atomic(self.path / REASON_NAME, self._redact.text(reason).encode())
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        """The lock itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it, with the error as the reason."""
        self.release(str(error) or repr(error) if error else "")


class RunWatch:
    """Reads results of a run as they are written.

    Args:
        path: The run's folder. It may still be empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[CaseKey, CaseResult] = {}
        self._old: set[CaseKey] = set()
        self._offset = 0

    def settled(self, key: CaseKey) -> CaseResult | None:
        """The result of a generation, once nothing will be added to it while the run goes on.

        Not settled are an answer that waits for its judge, and what failed before a run was resumed.
        """
        result = self.results.get(key)
        if result is None or (key in self._old and not result.evaluated):
            return None
        return result if result.judged or not isinstance(result.answer, Generation) else None

    def all_settled(self, keys: Sequence[CaseKey]) -> list[CaseResult]:
        """The results of several generations, empty until all of them are settled."""
        settled = [result for key in keys if (result := self.settled(key))]
        return settled if len(settled) == len(keys) else []

    def refresh(self) -> None:
        """Read what was added since the last call.

        Raises:
            RecordError: If the journal is damaged.
        """
        try:
            with open_regular(self.path / JOURNAL_NAME) as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        start = self._start()
        for line in lines_of(data):
            if not line.endswith(b"\n"):
                return  # being written
            result = parse_line(line, where=f"{self.path / JOURNAL_NAME} at byte {self._offset}")
            self.results[result.key] = result
            if self._offset < start:
                self._old.add(result.key)
            else:
                self._old.discard(result.key)
            self._offset += len(line)

    def _start(self) -> int:
        """Size of the journal when the run began, 0 if it is not known."""
        try:
            return int(read_regular(self.path / LOCK_NAME) or 0)
        except (OSError, ValueError):
            return 0

    def begun(self) -> bool:
        """Whether a writer has ever taken the lock."""
        return (self.path / LOCK_NAME).exists()

    def state(self) -> RunState:
        """Whether the writer still works, and how it ended if not."""
        try:
            fd = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return RunState(phase=RunPhase.RUNNING)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return RunState(phase=RunPhase.RUNNING)
        finally:
            os.close(fd)
        # The reason counts first: a resumed run that failed early leaves the seal of the run before it.
        try:
            reason = read_regular(self.path / REASON_NAME).decode(errors="replace")
        except OSError:
            if SEAL.exists(self.path):
                return RunState(phase=RunPhase.SEALED)
            reason = "the run ended before it was complete"
        return RunState(phase=RunPhase.ABORTED, reason=reason)
