"""What a restart has to know: runs that wait or were cut off, deliveries, tags to write, the ledger as it was seen."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmgate.errors import CannotRunError, RecordError
from llmgate.promote.mirror import MirrorEvent
from llmgate.promote.webhook.replay import SeenDeliveries
from llmgate.record.disk import first_problem, open_own, private_folder, read_regular, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Job", "Memory", "PendingTag"]

STATE: Final = "state.json"
LOCK: Final = "lock"
RUNS: Final = "runs"
LARGEST: Final = 32_000_000
MOST_NOTES: Final = 10_000


class Job(BaseModel):
    """A gate run that waits or runs.

    Attributes:
        name: The model.
        version: Its version.
        delivery: The delivery that asked for it.
        at: When that came.
        state: Whether it has been started.
        starts: How often it was started and not finished.
        session: The session of its processes, None before they were started.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    delivery: str
    at: str
    state: Literal["queued", "running"] = "queued"
    starts: int = 0
    session: int | None = None

    @property
    def key(self) -> str:
        """What there is one run at a time of."""
        return f"{self.name}/{self.version}"

    @property
    def uri(self) -> str:
        """The version's URI."""
        return f"models:/{self.name}/{self.version}"


class PendingTag(BaseModel):
    """A tag that is still to be written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    status: str


class StateFile(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    form: Literal[1] = 1
    jobs: list[Job] = Field(default_factory=list)
    notes: list[PendingTag] = Field(default_factory=list)
    since: float | None = None
    seen: dict[str, float] = Field(default_factory=dict)
    ledger: dict[str, MirrorEvent] = Field(default_factory=dict)


class Memory:
    """The state of a receiver, in memory and on disk. One process at a time has it.

    Args:
        folder: Where it lies; made for its owner alone.
        clock: Unix time in seconds.

    Attributes:
        runs: The folder of the runs' logs.
        jobs: By key, in order of arrival.
        notes: By key of a version.
        seen: Deliveries.
        since: When a receiver first worked here, Unix time in seconds.
        ledger: By `model/alias`, the newest event that the ledger's mirror told.

    Raises:
        CannotRunError: If another process has it, or it cannot be read.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._path = folder / STATE
        self._clock = clock
        self.runs = folder / RUNS
        try:
            private_folder(folder)
            # Before anything is believed that lies in it: a job is a command with names in it.
            if why := shared(folder.stat()):
                raise OSError(errno.EPERM, why)
            private_folder(self.runs)
            self._lock = open_own(folder / LOCK, os.O_RDWR)
        except OSError as error:
            fix = "Choose a folder of your own with --state"
            raise CannotRunError(f"cannot be used ({error.strerror})", where=str(folder), fix=fix) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            fix = "End it, or give this one a folder of its own with --state"
            raise CannotRunError("another receiver works in this folder", where=str(folder), fix=fix) from error
        try:
            kept = self._read()
        except BaseException:
            self.close()
            raise
        self.jobs = {job.key: job for job in kept.jobs}
        self.notes = {f"{note.name}/{note.version}": note for note in kept.notes}
        self.seen = SeenDeliveries(kept.seen)
        self.since = clock() if kept.since is None else kept.since
        self.ledger: dict[str, MirrorEvent] = dict(kept.ledger)

    def _read(self) -> StateFile:
        try:
            data = read_regular(self._path, limit=LARGEST)
        except FileNotFoundError:
            return StateFile()
        except OSError as error:
            raise CannotRunError(f"cannot be read ({error.strerror})", where=str(self._path)) from error
        try:
            return StateFile.model_validate_json(data)
        except ValidationError as error:
            raise CannotRunError(
                f"is no state of a receiver ({first_problem(error)})",
                where=str(self._path),
                fix="Move it away; runs that waited are forgotten then, and deliveries of the last minutes taken again",
            ) from error

    def save(self) -> None:
        """Write it all down.

        Raises:
            RecordError: If that fails.
        """
        kept = StateFile(
            jobs=list(self.jobs.values()),
            notes=list(self.notes.values()),
            since=self.since,
            seen=self.seen.young(self._clock()),
            ledger=self.ledger,
        )
        write_atomic(self._path, kept.model_dump_json().encode(), error=RecordError)

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)


def shared(status: os.stat_result) -> str:
    """Why others can put files into a folder, "" if they cannot."""
    if status.st_uid != os.geteuid():
        return "it belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write to it"
    return ""
