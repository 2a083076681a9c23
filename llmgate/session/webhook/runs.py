"""The queue of gate runs. One at a time of a version; what a restart cut off is run again."""

from __future__ import annotations

import asyncio
import shutil
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError
from llmgate.generate.vllm.supervisor import members
from llmgate.promote.webhook.command import argument_name
from llmgate.promote.webhook.refusal import DeliveryRefusedError
from llmgate.record.disk import private_folder
from llmgate.session.clock import timestamp
from llmgate.session.webhook.memory import Job
from llmgate.session.webhook.process import RunEnd, carry_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmgate.promote.webhook.command import CommandTemplate
    from llmgate.promote.webhook.events import VersionCreated
    from llmgate.promote.webhook.registry import WatchedRegistry
    from llmgate.session.webhook.memory import Memory
    from llmgate.session.webhook.notes import StatusNotes
    from llmgate.session.webhook.settings import ReceiverSettings

__all__ = ["GateRuns"]

MOST_STARTS: Final = 3
"""A run that brings the machine down is not started for ever."""
LOOKUPS_S: Final = (1.0, 5.0, 20.0, 60.0)
"""After attempts to ask the registry whether the version exists."""
OTHERS_S: Final = 30.0
"""How long processes of a run that was cut off may need to end: their supervisor has noticed by then."""
KEPT_RUNS: Final = 500
LONGEST_NAME: Final = 60
"""Characters of a model's name in that of a folder."""


class GateRuns:
    """Takes versions and runs the operator's command on them.

    Args:
        settings: Of the receiver.
        command: The command.
        memory: Keeps the queue.
        registry: Says whether a version exists.
        notes: Writes on versions.
        say: Takes a line for the log.
        finished: Called with the word of every run that ended.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        command: CommandTemplate,
        *,
        memory: Memory,
        registry: WatchedRegistry,
        notes: StatusNotes,
        say: Callable[[str], None],
        finished: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._command = command
        self._memory = memory
        self._registry = registry
        self._notes = notes
        self._say = say
        self._finished = finished
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()

    def offer(self, event: VersionCreated, delivery: str) -> str:
        """Queue a version; the caller saves the memory.

        Returns:
            What became of it, in a word or two.

        Raises:
            DeliveryRefusedError: With 422 for a name that is not put into a command, 503 if the queue is full.
        """
        job = Job(name=argument_name(event.name), version=event.version, delivery=delivery, at=timestamp())
        if job.key in self._memory.jobs:
            return f"already {self._memory.jobs[job.key].state}"
        if len(self._memory.jobs) >= self._settings.waiting + self._settings.at_once:
            raise DeliveryRefusedError(503, f"{len(self._memory.jobs)} gate runs wait already", fix="Raise --queue")
        self._memory.jobs[job.key] = job
        self._notes.put(job.name, job.version, "queued")
        self._wake.set()
        return "queued"

    def withdraw(self, event: VersionCreated, delivery: str) -> None:
        """Take a version back that this delivery queued: it could not be written down."""
        key = f"{event.name}/{event.version}"
        if key in self._memory.jobs and self._memory.jobs[key].delivery == delivery:
            del self._memory.jobs[key]
            self._memory.notes.pop(key, None)

    async def recover(self) -> None:
        """Queue again what an earlier receiver left running, once nothing of it runs any more."""
        cut_off = [job for job in self._memory.jobs.values() if job.state == "running"]
        deadline = time.monotonic() + OTHERS_S
        for job in cut_off:
            while job.session and members(job.session) and time.monotonic() < deadline:
                if await self._stopped_within(0.2):
                    return
            if job.starts >= MOST_STARTS:
                self._say(f"{job.uri}: its run was cut off {job.starts} times and is given up")
                self._end(job, RunEnd(word="ERROR", why=f"cut off {job.starts} times"))
            else:
                self._say(f"{job.uri}: its run was cut off by a restart and is run again")
                self._put(job, state="queued", session=None)
                self._notes.put(job.name, job.version, "queued")
        if cut_off:
            self._memory.save()

    def stop(self) -> None:
        """End the runs and start no more."""
        self._stop.set()
        self._wake.set()

    async def work(self) -> None:
        """Run what waits, one after the other, until `stop` is called. Several tasks may do so at once."""
        while not self._stop.is_set():
            self._wake.clear()
            job = next((job for job in self._memory.jobs.values() if job.state == "queued"), None)
            if job is None:
                await self._wake.wait()
            else:
                await self._run(self._put(job, state="running", starts=job.starts + 1))

    def _put(self, job: Job, **changes: object) -> Job:
        changed = job.model_copy(update=changes)
        self._memory.jobs[job.key] = changed
        return changed

    async def _run(self, job: Job) -> None:
        self._notes.put(job.name, job.version, "running")
        self._memory.save()
        end = await self._missing(job) or await self._carry_out(job)
        if end.stopped:
            # Ended by us and not by itself, so that this start does not count.
            self._put(job, state="queued", starts=job.starts - 1, session=None)
            self._notes.put(job.name, job.version, "queued")
            self._say(f"{job.uri}: its run was ended with the receiver and will be run again")
        else:
            self._end(job, end)
        self._memory.save()

    def _end(self, job: Job, end: RunEnd) -> None:
        self._memory.jobs.pop(job.key, None)
        self._notes.put(job.name, job.version, end.word)
        self._say(f"{job.uri}: {end.word} ({end.why})")
        self._finished(end.word)

    async def _missing(self, job: Job) -> RunEnd | None:
        """Why the version cannot be judged, None if it is there. A delivery may be MLflow's test of a webhook."""
        for patience in LOOKUPS_S:
            try:
                there = await asyncio.to_thread(self._registry.has_version, job.name, job.version)
            except CannotRunError as error:
                self._say(f"{job.uri}: {error}")
            else:
                return None if there else RunEnd(word="ERROR", why="there is no such version")
            if await self._stopped_within(patience):
                return RunEnd(word="ERROR", why="the receiver ends", stopped=True)
        return RunEnd(word="ERROR", why="the registry does not answer")

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _carry_out(self, job: Job) -> RunEnd:
        try:
            folder = self._folder(job)
        except OSError as error:
            return RunEnd(word="ERROR", why=f"its folder cannot be made ({error.strerror})")
        values = {
            "model": job.name,
            "version": job.version,
            "version_uri": job.uri,
            "workspace": self._settings.workspace,
            "run_folder": str(folder / "run"),
        }
        self._say(f"{job.uri}: running, log in {folder}")

        def started(session: int) -> None:
            self._put(job, session=session)
            self._memory.save()

        return await carry_out(
            self._command.filled(values),
            environ=self._settings.environ,
            log=folder / "log",
            time_limit_s=self._settings.time_limit_s,
            grace_s=self._settings.grace_s,
            stop=self._stop,
            started=started,
        )

    def _folder(self, job: Job) -> Path:
        """A folder for one run; the oldest ones make room."""
        folders = sorted(self._memory.runs.iterdir())
        for old in folders[: max(0, len(folders) - KEPT_RUNS + 1)]:
            shutil.rmtree(old, ignore_errors=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        folder = self._memory.runs / f"{stamp}-{job.name[:LONGEST_NAME]}-v{job.version}"
        private_folder(folder)
        return folder
