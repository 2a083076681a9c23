"""The receiver, from its start to its end."""

from __future__ import annotations

import asyncio
import signal
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from llmgate.errors import EXIT_CANNOT_RUN, EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, RecordError
from llmgate.promote.webhook.events import AliasChanged, VersionCreated
from llmgate.promote.webhook.refusal import DeliveryRefusedError
from llmgate.session.webhook.catch_up import CatchUp
from llmgate.session.webhook.http import WEBHOOK_PATH, DeliveryServer
from llmgate.session.webhook.memory import Memory
from llmgate.session.webhook.notes import StatusNotes
from llmgate.session.webhook.runs import GateRuns
from llmgate.session.webhook.watch import AliasWatch, exit_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmgate.promote.webhook.events import Event
    from llmgate.promote.webhook.ledger import AliasFinding
    from llmgate.promote.webhook.registry import WatchedRegistry
    from llmgate.session.webhook.settings import ReceiverSettings

__all__ = ["Receiver", "receive"]

LAST_NOTES_S: Final = 10.0
"""What is still to be written on versions has this long when the receiver ends; the rest is kept for the next one."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
CODES: Final[Mapping[str, int]] = {"PASS": EXIT_PASS, "FAIL": EXIT_FAIL, "INCONCLUSIVE": EXIT_INCONCLUSIVE}


def receive(settings: ReceiverSettings, registry: WatchedRegistry, say: Callable[[str], None]) -> int:
    """Run a receiver until SIGTERM or Ctrl-C, or with `once` until the first delivery was carried out.

    Args:
        settings: What it was told.
        registry: The registry.
        say: Takes a line for the log.

    Returns:
        The exit code: 0, or with `once` that of the run or of the comparison.

    Raises:
        CannotRunError: If it cannot start, or can no longer write its state.
    """
    return asyncio.run(Receiver(settings, registry, say).serve())


class Receiver:
    """A receiver; everything happens in one event loop.

    Args:
        settings: What it was told.
        registry: The registry.
        say: Takes a line for the log.
        listening: Called with the port once it listens.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        registry: WatchedRegistry,
        say: Callable[[str], None],
        *,
        listening: Callable[[int], None] | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._say = say
        self._listening = listening
        self._code = EXIT_PASS
        self._stop = asyncio.Event()
        self._wakes: list[Callable[[], None]] = []

    async def serve(self) -> int:
        """Serve until told to stop. Afterwards nothing that it started runs."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        memory = Memory(self._settings.folder, time.time)
        try:
            await self._serve(memory)
        except* RecordError as group:
            # One is enough to say, and a group of errors is no error that a door knows.
            raise first(group) from None
        finally:
            memory.close()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        return self._code

    def stop(self) -> None:
        """End; may be called more than once."""
        self._stop.set()
        for wake in self._wakes:
            wake()

    async def _serve(self, memory: Memory) -> None:
        settings, command = self._settings, self._settings.command
        notes = StatusNotes(memory, self._registry, self._say)
        runs = None
        if command is not None:
            runs = GateRuns(
                settings, command, memory=memory, registry=self._registry, notes=notes,
                say=self._say, finished=self._run_finished,
            )  # fmt: skip
        watch = AliasWatch(
            settings,
            memory=memory,
            registry=self._registry,
            say=self._say,
            finished=self._look_finished,
            polled=CatchUp(memory, self._registry, runs, self._say).look if runs else None,
        )
        # The time of the first start is kept before the first version can come.
        memory.save()
        self._wakes = [notes.wake, watch.wake, *([runs.stop] if runs else [])]

        def accept(event: Event, delivery: str) -> str:
            return self._accept(event, delivery, memory, runs, watch)

        server = DeliveryServer(secrets=settings.secrets, seen=memory.seen, accept=accept, say=self._say)
        port = await server.start(settings.host, settings.port)
        try:
            self._say(f"listening on http://{settings.host}:{port}{WEBHOOK_PATH}")
            if settings.host not in LOOPBACK:
                self._say("others can reach this address, and it speaks no TLS: put a proxy that does before it")
            if self._listening is not None:
                self._listening(port)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(notes.work(self._stop))
                tasks.create_task(watch.work(self._stop))
                if runs is not None:
                    tasks.create_task(self._run(runs, tasks))
        finally:
            await server.stop()
        try:
            await asyncio.wait_for(notes.flush(), LAST_NOTES_S)
        except TimeoutError:
            self._say("the registry is slow; what is still to be written on versions is kept for the next start")
        memory.save()
        self._say("ended")

    async def _run(self, runs: GateRuns, tasks: asyncio.TaskGroup) -> None:
        await runs.recover()
        for _ in range(self._settings.at_once):
            tasks.create_task(runs.work())

    def _accept(self, event: Event, delivery: str, memory: Memory, runs: GateRuns | None, watch: AliasWatch) -> str:
        if self._stop.is_set():
            raise DeliveryRefusedError(503, "the receiver ends")
        if not isinstance(event, VersionCreated | AliasChanged):
            return f"nothing to do for {event.kind}"
        if event.workspace not in {None, self._settings.workspace}:
            return f"nothing to do for workspace {event.workspace}"
        if not any(fnmatchcase(event.name, pattern) for pattern in self._settings.models):
            return f"nothing to do for model {event.name}"
        status = "nothing to do for new versions"
        if isinstance(event, AliasChanged):
            watch.ask(event.name)
            status = "will be compared with the ledger"
        elif runs is not None:
            status = runs.offer(event, delivery)
            self._say(f"models:/{event.name}/{event.version}: new, {status}")
        try:
            memory.save()
        except RecordError as error:
            if isinstance(event, VersionCreated) and runs is not None:
                runs.withdraw(event, delivery)
            self._say(str(error))
            raise DeliveryRefusedError(503, "the receiver cannot write down what is to be done") from error
        return status

    def _run_finished(self, word: str) -> None:
        if self._settings.once:
            self._code = CODES.get(word, EXIT_CANNOT_RUN)
            self.stop()

    def _look_finished(self, findings: Sequence[AliasFinding]) -> None:
        if self._settings.once:
            self._code = exit_code(findings)
            self.stop()


def first(group: BaseExceptionGroup[RecordError]) -> RecordError:
    """The first error of a group."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found if isinstance(found, RecordError) else RecordError(str(found))
