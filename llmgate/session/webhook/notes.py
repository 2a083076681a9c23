"""How far a gate run is, written on its version: later if the registry does not answer now."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError
from llmgate.session.clock import timestamp
from llmgate.session.webhook.memory import MOST_NOTES, PendingTag

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.promote.webhook.registry import WatchedRegistry
    from llmgate.session.webhook.memory import Memory

__all__ = ["StatusNotes"]

PATIENCE_S: Final = (1.0, 5.0, 30.0, 120.0)
"""Before the next attempt; the last one for ever."""
MOST_FAILURES: Final = 3
"""In one go: a registry that is down is not asked about each version, and one version that is closed to us is."""


class StatusNotes:
    """Tags that are to be written. A newer one of a version takes the place of an older one.

    Args:
        memory: Keeps them over a restart.
        registry: Where they go.
        say: Takes a line for the log.
    """

    def __init__(self, memory: Memory, registry: WatchedRegistry, say: Callable[[str], None]) -> None:
        self._memory = memory
        self._registry = registry
        self._say = say
        self._wake = asyncio.Event()

    def put(self, name: str, version: str, word: str) -> None:
        """Have a state written; the caller saves the memory."""
        notes, key = self._memory.notes, f"{name}/{version}"
        notes.pop(key, None)
        if len(notes) >= MOST_NOTES:
            notes.pop(next(iter(notes)))
        notes[key] = PendingTag(name=name, version=version, status=f"{word} {timestamp()}")
        self._wake.set()

    async def work(self, stop: asyncio.Event) -> None:
        """Write what there is to write, until `stop` is set."""
        failures = 0
        while not stop.is_set():
            self._wake.clear()
            failures = 0 if await self.flush() else failures + 1
            patience = PATIENCE_S[min(failures, len(PATIENCE_S)) - 1] if failures else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), patience)

    def wake(self) -> None:
        """Look whether to stop."""
        self._wake.set()

    async def flush(self) -> bool:
        """Write all; False if any could not be written. Those come last the next time."""
        notes, failed = self._memory.notes, 0
        for key, note in list(notes.items()):
            if failed == MOST_FAILURES:
                break
            try:
                known = await asyncio.to_thread(self._registry.note, note.name, note.version, note.status)
            except CannotRunError as error:
                self._say(f"models:/{key}: its state {note.status!r} could not be written: {error}")
                failed += 1
                if notes.get(key) is note:
                    notes[key] = notes.pop(key)
                continue
            if not known:
                self._say(f"models:/{key}: there is no such version, so its state {note.status!r} was not written")
            if notes.get(key) is note:
                del notes[key]
                self._memory.save()
        return not failed
